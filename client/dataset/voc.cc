// Format `voc`: Pascal VOC (Everingham et al., 2010; http://host.robots.ox.ac.uk/pascal/VOC):
//
//   Annotations/ID.xml       boxes; a box's corners are pixels counted from 1, both within it
//   JPEGImages/ID.jpg        or another ending
//   ImageSets/Main/SET.txt   ids of `train`, `val`, `test`; `trainval` where there is no `train`
//
// Names of files within the XML are not used. Without ImageSets, samples are held out.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/dataset/boxes.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "client/dataset/xml.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr uint64_t kSetFileBytesMax = uint64_t{64} << 20;

std::string Stem(const std::string& name) { return name.substr(0, name.rfind('.')); }

absl::Status BadAnnotation(absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, problem);
}

// The number in the child `name`.
absl::StatusOr<double> NumberIn(const Xml& parent, absl::string_view name) {
  const Xml* child = parent.Find(name);
  double value = 0;
  if (child == nullptr || !absl::SimpleAtod(child->text, &value)) {
    return BadAnnotation(absl::StrCat("<", name, "> of a <", parent.name, "> is no number"));
  }
  return value;
}

// A box whose label is a text still.
struct NamedBox {
  std::string label;
  storage::v1::Box box;
};

struct VocFile {
  std::vector<NamedBox> boxes;
  formats::PictureSize size;
};

absl::StatusOr<NamedBox> ReadObject(const Xml& object) {
  NamedBox named;
  const Xml* name = object.Find("name");
  if (name == nullptr || !IsClassName(name->text)) {
    return BadAnnotation("the <name> of an <object> must be plain text");
  }
  named.label = name->text;
  const Xml* corners = object.Find("bndbox");
  if (corners == nullptr) return BadAnnotation("an <object> has no <bndbox>");
  CVT_ASSIGN_OR_RETURN(const double left, NumberIn(*corners, "xmin"));
  CVT_ASSIGN_OR_RETURN(const double top, NumberIn(*corners, "ymin"));
  CVT_ASSIGN_OR_RETURN(const double right, NumberIn(*corners, "xmax"));
  CVT_ASSIGN_OR_RETURN(const double bottom, NumberIn(*corners, "ymax"));
  named.box.set_left(static_cast<float>(left - 1));
  named.box.set_top(static_cast<float>(top - 1));
  named.box.set_right(static_cast<float>(right));
  named.box.set_bottom(static_cast<float>(bottom));
  const Xml* difficult = object.Find("difficult");
  named.box.set_difficult(difficult != nullptr && difficult->text == "1");
  return named;
}

absl::StatusOr<VocFile> ReadVocFile(absl::string_view text) {
  CVT_ASSIGN_OR_RETURN(const Xml root, ParseXml(text));
  if (root.name != "annotation") return BadAnnotation("the XML must be an <annotation>");
  VocFile file;
  if (const Xml* size = root.Find("size"); size != nullptr) {
    CVT_ASSIGN_OR_RETURN(const double width, NumberIn(*size, "width"));
    CVT_ASSIGN_OR_RETURN(const double height, NumberIn(*size, "height"));
    // Some tools write 0 for what they do not know.
    const bool known = width >= 1 && height >= 1 && width <= limits::kImageSideMax &&
                       height <= limits::kImageSideMax;
    if (known) file.size = {static_cast<int>(width), static_cast<int>(height)};
  }
  for (const Xml& child : root.children) {
    if (child.name != "object") continue;
    if (file.boxes.size() == size_t{formats::kShardBoxesMax}) {
      return BadAnnotation(absl::StrCat("has more than ", formats::kShardBoxesMax, " boxes"));
    }
    CVT_ASSIGN_OR_RETURN(file.boxes.emplace_back(), ReadObject(child));
  }
  return file;
}

class VocReader : public DatasetReader {
 public:
  VocReader(FileSystem& files, std::string root, const ReaderOptions& options)
      : files_(files),
        root_(std::move(root)),
        annotations_(JoinPath(root_, "Annotations")),
        pictures_(JoinPath(root_, "JPEGImages")),
        options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    CVT_RETURN_IF_ERROR(CheckTrainFraction(options_.train_fraction));
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> annotations, files_.ListDir(annotations_));
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> pictures, files_.ListDir(pictures_));
    std::set<std::string> ids;
    for (const std::string& name : annotations) {
      if (absl::EndsWith(name, ".xml")) ids.insert(Stem(name));
    }
    for (const std::string& name : pictures) picture_of_.emplace(Stem(name), name);

    DatasetListing listing;
    listing.annotated = true;
    CVT_ASSIGN_OR_RETURN(const auto sets, ReadSets());
    std::map<std::string, std::vector<Pending>> pending;  // by split
    if (sets.empty()) {
      for (const std::string& id : ids) CVT_RETURN_IF_ERROR(Take(id, "", &pending, &listing));
    }
    for (const auto& [split, members] : sets) {
      for (const std::string& id : members) {
        CVT_RETURN_IF_ERROR(Take(id, split, &pending, &listing));
        ids.erase(id);
      }
    }
    if (!sets.empty()) {
      for (const std::string& id : ids) {
        listing.passed_over.push_back(
            {"", absl::StrCat("Annotations/", id, ".xml"), "not_listed", "is in no image set"});
      }
    }
    CVT_RETURN_IF_ERROR(NumberLabels(std::move(pending), &listing));
    CVT_RETURN_IF_ERROR(FinishListing("voc", root_, &listing));
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    CVT_ASSIGN_OR_RETURN(std::string bytes,
                         ReadBeneath(files_, pictures_, names_[static_cast<size_t>(sample.place)],
                                     limits::kImageFileSizeBytesMax));
    return WithDigest(std::move(bytes));
  }

 private:
  struct Pending {
    std::string id;
    std::string name;  // of the picture
    uint64_t stamp = 0;
    VocFile file;
  };

  // Ids of each split. A line may go on after the id: with 1 and -1, in the sets of one class.
  absl::StatusOr<std::map<std::string, std::vector<std::string>>> ReadSets() {
    std::map<std::string, std::vector<std::string>> sets;
    const std::string folder = JoinPath(JoinPath(root_, "ImageSets"), "Main");
    for (const char* name : {"train", "val", "test", "trainval"}) {
      const std::string path = JoinPath(folder, absl::StrCat(name, ".txt"));
      const bool both = absl::string_view(name) == "trainval";
      if (!IsFile(files_, path) || (both && (sets.contains("train") || sets.contains("val")))) {
        continue;
      }
      CVT_ASSIGN_OR_RETURN(const std::string text, ReadFile(files_, path, kSetFileBytesMax));
      std::vector<std::string>& ids = sets[both ? "train" : name];
      for (absl::string_view line : absl::StrSplit(text, '\n')) {
        line = absl::StripAsciiWhitespace(line);
        if (!line.empty()) ids.emplace_back(line.substr(0, line.find_first_of(" \t")));
      }
    }
    return sets;
  }

  // Reads what is known of a picture, or says why it is left out.
  absl::Status Take(const std::string& id, const std::string& split,
                    std::map<std::string, std::vector<Pending>>* pending, DatasetListing* listing) {
    const auto skip = [&](absl::string_view cause, absl::string_view detail) {
      listing->skipped.push_back({split, id, std::string(cause), std::string(detail)});
      return absl::OkStatus();
    };
    const std::string name = absl::StrCat(id, ".xml");
    if (absl::StrContains(id, '/') || !ValidateNameBeneath(name).ok() || !IsSampleKey(name)) {
      return skip("bad_name", "an id must be the name of a file without its ending");
    }
    const auto picture = picture_of_.find(id);
    if (picture == picture_of_.end()) return skip("missing", "JPEGImages has no such picture");
    const auto text = ReadBeneath(files_, annotations_, name, kAnnotationFileBytesMax);
    if (absl::IsNotFound(text.status())) return skip("no_annotation", "Annotations has none");
    if (absl::IsPermissionDenied(text.status())) return skip("link", "the XML is no plain file");
    if (absl::IsResourceExhausted(text.status())) {
      return skip("bad_annotation", text.status().message());
    }
    CVT_RETURN_IF_ERROR(text.status());
    absl::StatusOr<VocFile> file = ReadVocFile(*text);
    if (!file.ok()) return skip("bad_annotation", file.status().message());
    CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(JoinPath(pictures_, picture->second)));
    (*pending)[split].push_back({id, picture->second, StampOf(info), *std::move(file)});
    return absl::OkStatus();
  }

  absl::Status NumberLabels(std::map<std::string, std::vector<Pending>> pending,
                            DatasetListing* listing) {
    LabelNames labels;
    for (const auto& [split, pictures] : pending) {
      for (const Pending& one : pictures) {
        for (const NamedBox& box : one.file.boxes) labels.Add(box.label);
      }
    }
    CVT_RETURN_IF_ERROR(labels.Number(options_.classes));
    listing->classes = labels.classes();
    if (listing->classes.empty()) return BadSource("voc", root_, "there is no <object>");
    for (auto& [split, pictures] : pending) {
      std::vector<SourceSample> samples;
      for (Pending& one : pictures) {
        std::optional<SourceSample> sample = MakeSample(one, split, labels, listing);
        if (sample.has_value()) samples.push_back(*std::move(sample));
      }
      if (split.empty()) {
        HoldOutInto(std::move(samples), options_, listing);
      } else {
        listing->splits.push_back({split, std::move(samples)});
      }
    }
    return absl::OkStatus();
  }

  std::optional<SourceSample> MakeSample(Pending& one, const std::string& split,
                                         const LabelNames& labels, DatasetListing* listing) {
    auto annotation = std::make_unique<SourceAnnotation>();
    annotation->size = one.file.size;
    for (NamedBox& named : one.file.boxes) {
      const int64_t label = labels.LabelOf(named.label);
      if (label < 0) {
        listing->skipped.push_back(
            {split, one.id, "label_out_of_range",
             absl::StrCat(SafeText(named.label), " is none of the classes")});
        return std::nullopt;
      }
      named.box.set_label(static_cast<uint32_t>(label));
      *annotation->annotation.add_boxes() = std::move(named.box);
    }
    SourceSample sample;
    sample.key = one.name;
    sample.label = LabelOfBoxes(annotation->annotation);
    sample.place = names_.size();
    sample.stamp = one.stamp;
    sample.annotation = std::move(annotation);
    names_.push_back(std::move(one.name));
    return sample;
  }

  FileSystem& files_;
  const std::string root_;
  const std::string annotations_;
  const std::string pictures_;
  const ReaderOptions options_;
  std::map<std::string, std::string> picture_of_;  // id -> name
  std::vector<std::string> names_;                 // of each sample's picture
};

}  // namespace

extern const DatasetFormat kVocFormat = {
    .name = "voc",
    .layout = "Pascal VOC: Annotations/*.xml, JPEGImages and ImageSets/Main",
    .is_fallback = false,
    .fits =
        [](FileSystem& files, const std::string& root) {
          return IsFolder(files, JoinPath(root, "JPEGImages")) &&
                 IsFolder(files, JoinPath(root, "Annotations"));
        },
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<VocReader>(files, root, options);
    }};

}  // namespace cvtrain::client
