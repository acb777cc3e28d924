// Format `coco`: detection and instance segmentation as COCO has it. One of
//
//   annotations/instances_SPLIT.json   with pictures in SPLIT/ or images/SPLIT/ or images/; the
//   year
//                                      at the end of SPLIT is no part of the split's name
//   SPLIT/_annotations.coco.json       with pictures beside it
//   FILE.json                          with pictures beside it or in images/; samples are held out

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/dataset/boxes.h"
#include "client/dataset/coco_file.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr char kExportName[] = "_annotations.coco.json";

struct Source {
  std::string path;
  std::string split;                  // empty: held out
  std::vector<std::string> pictures;  // folders that may hold them, the likeliest first
};

// "train2017" -> "train"
std::string WithoutYear(std::string name) {
  if (name.size() <= 4) return name;
  const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
  if (std::all_of(name.end() - 4, name.end(), is_digit)) name.resize(name.size() - 4);
  return name;
}

std::vector<Source> SourcesIn(FileSystem& files, const std::string& root) {
  if (IsFile(files, root)) {
    const std::string folder = DirName(root);
    return {{root, "", {JoinPath(folder, "images"), folder}}};
  }
  std::vector<Source> sources;
  const std::string folder = JoinPath(root, "annotations");
  for (const std::string& name : NamesIn(files, folder)) {
    absl::string_view stem = name;
    if (!absl::ConsumePrefix(&stem, "instances_") || !absl::ConsumeSuffix(&stem, ".json")) continue;
    const std::string images = JoinPath(root, "images");
    const std::string split = WithoutYear(std::string(stem));
    sources.push_back({JoinPath(folder, name),
                       split,
                       {JoinPath(root, stem), JoinPath(images, stem), JoinPath(root, split),
                        JoinPath(images, split), images, root}});
  }
  for (const std::string& name : NamesIn(files, root)) {
    const std::string path = JoinPath(JoinPath(root, name), kExportName);
    if (IsFile(files, path)) sources.push_back({path, name, {JoinPath(root, name)}});
  }
  const std::string alone = JoinPath(root, kExportName);
  if (sources.empty() && IsFile(files, alone)) sources.push_back({alone, "", {root}});
  return sources;
}

class CocoReader : public DatasetReader {
 public:
  CocoReader(FileSystem& files, std::string root, const ReaderOptions& options)
      : files_(files), root_(std::move(root)), options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    CVT_RETURN_IF_ERROR(CheckTrainFraction(options_.train_fraction));
    const std::vector<Source> sources = SourcesIn(files_, root_);
    if (sources.empty()) {
      return BadSource("coco", root_, "must hold annotations/instances_SPLIT.json");
    }
    DatasetListing listing;
    listing.annotated = true;
    std::vector<CocoFile> parsed;
    for (const Source& source : sources) {
      if (!source.split.empty() && !IsSplitName(source.split)) {
        return BadSource("coco", source.path,
                         "a split's name must be 1 to 63 of a-z, 0-9, '.', '_', '-'");
      }
      CVT_ASSIGN_OR_RETURN(const std::string text,
                           ReadFile(files_, source.path, kManifestBytesMax));
      absl::StatusOr<CocoFile> file = ParseCocoFile(text);
      CVT_RETURN_IF_ERROR(Annotate(file.status(), "reading", source.path));
      parsed.push_back(*std::move(file));
    }
    NameClasses(parsed, &listing);
    for (size_t i = 0; i < sources.size(); ++i) {
      CVT_RETURN_IF_ERROR(ListSource(sources[i], parsed[i], &listing));
    }
    CVT_RETURN_IF_ERROR(FinishListing("coco", root_, &listing));
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    const Place& place = places_[static_cast<size_t>(sample.place)];
    CVT_ASSIGN_OR_RETURN(std::string bytes, ReadBeneath(files_, folders_[place.folder], place.name,
                                                        limits::kImageFileSizeBytesMax));
    return WithDigest(std::move(bytes));
  }

 private:
  struct Place {
    size_t folder = 0;
    std::string name;
  };

  // All categories of all splits, in order of the ids in the first file that has them.
  void NameClasses(const std::vector<CocoFile>& parsed, DatasetListing* listing) {
    for (const CocoFile& file : parsed) {
      for (const CocoFile::Category& category : file.categories) {
        const auto label = static_cast<uint32_t>(listing->classes.size());
        if (label_of_.emplace(category.name, label).second) {
          listing->classes.push_back(category.name);
        }
      }
    }
  }

  // The first folder that holds one of the first few pictures; else the first there is.
  std::string FolderOf(const Source& source, const CocoFile& file) const {
    constexpr size_t kTries = 16;
    for (const std::string& folder : source.pictures) {
      for (size_t i = 0; i < std::min(kTries, file.pictures.size()); ++i) {
        const std::string& name = file.pictures[i].file_name;
        if (ValidateNameBeneath(name).ok() && IsFile(files_, JoinPath(folder, name))) return folder;
      }
    }
    return source.pictures[0];
  }

  absl::Status ListSource(const Source& source, CocoFile& file, DatasetListing* listing) {
    folders_.push_back(FolderOf(source, file));
    std::vector<SourceSample> samples;
    for (CocoFile::Picture& picture : file.pictures) {
      CVT_RETURN_IF_ERROR(Take(source, file, picture, &samples, listing));
    }
    for (const std::string& stray : file.strays) {
      listing->passed_over.push_back({source.split, BaseName(source.path), "stray_annotation",
                                      absl::StrCat(stray, ", which is not there")});
    }
    if (source.split.empty()) {
      HoldOutInto(std::move(samples), options_, listing);
    } else {
      listing->splits.push_back({source.split, std::move(samples)});
    }
    return absl::OkStatus();
  }

  absl::Status Take(const Source& source, const CocoFile& file, CocoFile::Picture& picture,
                    std::vector<SourceSample>* samples, DatasetListing* listing) {
    const auto skip = [&](absl::string_view cause, absl::string_view detail) {
      listing->skipped.push_back(
          {source.split, picture.file_name, std::string(cause), std::string(detail)});
      return absl::OkStatus();
    };
    if (!ValidateNameBeneath(picture.file_name).ok() || !IsSampleKey(picture.file_name)) {
      return skip("bad_name", "`file_name` must be a path below the folder of the pictures");
    }
    if (!picture.problem.empty()) return skip(picture.problem, picture.problem_detail);
    const auto info = files_.Stat(JoinPath(folders_.back(), picture.file_name));
    if (absl::IsNotFound(info.status())) {
      return skip("missing", absl::StrCat(SafeText(folders_.back()), " has no such file"));
    }
    if (!info.ok()) return skip("unreadable", info.status().message());
    auto annotation = std::make_unique<SourceAnnotation>();
    annotation->size = picture.size;
    annotation->annotation = std::move(picture.annotation);
    for (storage::v1::Box& box : *annotation->annotation.mutable_boxes()) {
      box.set_label(label_of_.at(file.categories[box.label()].name));
    }
    SourceSample& sample = samples->emplace_back();
    sample.key = picture.file_name;
    sample.label = LabelOfBoxes(annotation->annotation);
    sample.place = places_.size();
    sample.stamp = StampOf(*info);
    sample.annotation = std::move(annotation);
    places_.push_back({folders_.size() - 1, picture.file_name});
    return absl::OkStatus();
  }

  FileSystem& files_;
  const std::string root_;
  const ReaderOptions options_;
  std::map<std::string, uint32_t> label_of_;  // by the category's name
  std::vector<std::string> folders_;          // of each source's pictures
  std::vector<Place> places_;                 // of each sample
};

bool Fits(FileSystem& files, const std::string& root) {
  if (IsFile(files, root)) return absl::EndsWithIgnoreCase(root, ".json");
  return !SourcesIn(files, root).empty();
}

}  // namespace

extern const DatasetFormat kCocoFormat = {
    .name = "coco",
    .layout =
        "COCO detection: annotations/instances_SPLIT.json with pictures in SPLIT or images, "
        "SPLIT/_annotations.coco.json, or one such file",
    .is_fallback = false,
    .fits = Fits,
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<CocoReader>(files, root, options);
    }};

}  // namespace cvtrain::client
