// Format `csv_manifest`: a CSV file with a first row that names its columns: `path`, `label` and,
// if there are splits, `split`; others are left out. Paths are relative to the folder of the CSV
// file, and never lead out of it. The files are pictures, sounds or anything: what the first one
// is, or what the caller says.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/dataset/csv.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr char kDefaultName[] = "manifest.csv";

std::string ManifestOf(FileSystem& files, const std::string& root) {
  return IsFolder(files, root) ? JoinPath(root, kDefaultName) : root;
}

class CsvManifestReader : public DatasetReader {
 public:
  CsvManifestReader(FileSystem& files, const std::string& root, const ReaderOptions& options)
      : files_(files),
        manifest_(ManifestOf(files, root)),
        folder_(DirName(manifest_)),
        options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    CVT_RETURN_IF_ERROR(CheckTrainFraction(options_.train_fraction));
    CVT_ASSIGN_OR_RETURN(const std::string text, ReadFile(files_, manifest_, kManifestBytesMax));
    CVT_RETURN_IF_ERROR(ReadRows(text));
    LabelNames labels;
    for (const Row& row : rows_) labels.Add(row.label);
    CVT_RETURN_IF_ERROR(Annotate(labels.Number(options_.classes), "reading", manifest_));
    DatasetListing listing;
    listing.classes = labels.classes();
    std::map<std::string, std::vector<SourceSample>> splits;
    for (size_t i = 0; i < rows_.size(); ++i) {
      CVT_RETURN_IF_ERROR(Take(i, labels, &splits, &listing));
    }
    if (column_split_ < 0) {
      HoldOutInto(std::move(splits[""]), options_, &listing);
    } else {
      for (auto& [name, samples] : splits) listing.splits.push_back({name, std::move(samples)});
    }
    CVT_RETURN_IF_ERROR(FinishListing("csv_manifest", manifest_, &listing));
    listing.media = options_.media != v1::DatasetVersion::MEDIA_UNSPECIFIED ? options_.media
                                                                            : MediaOfFirst(listing);
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    CVT_ASSIGN_OR_RETURN(std::string bytes,
                         ReadBeneath(files_, folder_, rows_[static_cast<size_t>(sample.place)].path,
                                     limits::kImageFileSizeBytesMax));
    return WithDigest(std::move(bytes));
  }

 private:
  struct Row {
    std::string path;
    std::string label;
    std::string split;
    size_t line = 0;
  };

  absl::Status BadLine(size_t line, absl::string_view problem) const {
    return BadSource("csv_manifest", manifest_, absl::StrCat("line ", line, ": ", problem));
  }

  absl::Status ReadRows(absl::string_view text) {
    CsvRows rows(text);
    std::vector<std::string> row;
    if (!rows.Next(&row)) {
      CVT_RETURN_IF_ERROR(Annotate(rows.status(), "reading", manifest_));
      return BadSource("csv_manifest", manifest_, "is empty");
    }
    CVT_RETURN_IF_ERROR(ReadColumns(row));
    while (rows.Next(&row)) {
      if (static_cast<int>(row.size()) != columns_) {
        return BadLine(rows.line(),
                       absl::StrCat("must have ", columns_, " columns, has ", row.size()));
      }
      if (rows_.size() == kSourceSamplesMax) return BadLine(rows.line(), "too many rows");
      Row& to = rows_.emplace_back();
      to.path = row[static_cast<size_t>(column_path_)];
      to.label = row[static_cast<size_t>(column_label_)];
      to.line = rows.line();
      if (column_split_ >= 0) to.split = row[static_cast<size_t>(column_split_)];
      if (column_split_ >= 0 && !IsSplitName(to.split)) {
        return BadLine(rows.line(), absl::StrCat("a split's name must be 1 to 63 of a-z, 0-9, '.', "
                                                 "'_', '-', got ",
                                                 SafeText(to.split)));
      }
    }
    return Annotate(rows.status(), "reading", manifest_);
  }

  absl::Status ReadColumns(const std::vector<std::string>& names) {
    columns_ = static_cast<int>(names.size());
    for (int i = 0; i < columns_; ++i) {
      const std::string name = absl::AsciiStrToLower(names[static_cast<size_t>(i)]);
      if (name == "path") column_path_ = i;
      if (name == "label") column_label_ = i;
      if (name == "split") column_split_ = i;
    }
    if (column_path_ >= 0 && column_label_ >= 0) return absl::OkStatus();
    return BadLine(1, "the first row must name the columns: path,label or path,label,split");
  }

  // Adds row number `i` to its split, or says why not.
  absl::Status Take(size_t i, const LabelNames& labels,
                    std::map<std::string, std::vector<SourceSample>>* splits,
                    DatasetListing* listing) {
    const Row& row = rows_[i];
    const auto skip = [&](absl::string_view cause, absl::string_view detail) {
      listing->skipped.push_back(
          {row.split, row.path, std::string(cause), absl::StrCat("line ", row.line, ": ", detail)});
      return absl::OkStatus();
    };
    if (!ValidateNameBeneath(row.path).ok() || !IsSampleKey(row.path)) {
      return skip("bad_name", "must be a path below the folder of the CSV file");
    }
    const int64_t label = labels.LabelOf(row.label);
    if (label < 0) {
      return skip("label_out_of_range",
                  absl::StrCat("label ", SafeText(row.label), " is none of the classes"));
    }
    const auto info = files_.Stat(JoinPath(folder_, row.path));
    if (absl::IsNotFound(info.status())) return skip("missing", "there is no such file");
    if (!info.ok()) return skip("unreadable", info.status().message());
    if (info->type != FileInfo::Type::kFile) return skip("link", "is no plain file");
    SourceSample sample;
    sample.key = row.path;
    sample.label = static_cast<uint32_t>(label);
    sample.place = i;
    sample.stamp = StampOf(*info);
    (*splits)[row.split].push_back(std::move(sample));
    return absl::OkStatus();
  }

  v1::DatasetVersion::Media MediaOfFirst(const DatasetListing& listing) const {
    const SourceSample& first = listing.splits[0].samples[0];
    const auto bytes = Read(first);
    return MediaOf(KindOfSource(first.key, bytes.ok() ? absl::string_view(bytes->bytes) : ""));
  }

  FileSystem& files_;
  const std::string manifest_;
  const std::string folder_;
  const ReaderOptions options_;
  int columns_ = 0;
  int column_path_ = -1;
  int column_label_ = -1;
  int column_split_ = -1;
  std::vector<Row> rows_;
};

}  // namespace

extern const DatasetFormat kCsvManifestFormat = {
    .name = "csv_manifest",
    .layout =
        "a CSV file (or a folder with manifest.csv) whose first row is path,label or "
        "path,label,split: pictures, sounds or other files",
    .is_fallback = false,
    .fits =
        [](FileSystem& files, const std::string& root) {
          const std::string path = ManifestOf(files, root);
          return absl::EndsWithIgnoreCase(path, ".csv") && IsFile(files, path);
        },
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<CsvManifestReader>(files, root, options);
    }};

}  // namespace cvtrain::client
