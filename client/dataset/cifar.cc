// Format `cifar`: the binary files of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009,
// https://www.cs.toronto.edu/~kriz/cifar.html). A record is a label (CIFAR-100: a coarse one, then
// the fine one, which is taken), then 32x32 pixels of red, of green and of blue.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/raw_png.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr int kSide = 32;
constexpr size_t kPlaneBytes = size_t{kSide} * kSide;
constexpr int kPlaceShift = 32;  // file, then record

struct Variant {
  std::vector<std::string> train;
  std::string test;
  size_t label_bytes;  // the last is the label
  int classes;
  std::string names;
};

const std::vector<Variant>& Variants() {
  static const auto& variants =
      *new std::vector<Variant>{{{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                  "data_batch_4.bin", "data_batch_5.bin"},
                                 "test_batch.bin",
                                 1,
                                 10,
                                 "batches.meta.txt"},
                                {{"train.bin"}, "test.bin", 2, 100, "fine_label_names.txt"}};
  return variants;
}

// The variant of which there is a file.
const Variant* VariantOf(FileSystem& files, const std::string& root) {
  for (const Variant& variant : Variants()) {
    std::vector<std::string> names = variant.train;
    names.push_back(variant.test);
    for (const std::string& name : names) {
      const auto info = files.Stat(JoinPath(root, name));
      if (info.ok() && info->type == FileInfo::Type::kFile &&
          info->size_bytes >= variant.label_bytes + 3 * kPlaneBytes) {
        return &variant;
      }
    }
  }
  return nullptr;
}

class CifarReader : public DatasetReader {
 public:
  CifarReader(FileSystem& files, std::string root, const ReaderOptions& options)
      : files_(files), root_(std::move(root)), options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    variant_ = VariantOf(files_, root_);
    if (variant_ == nullptr) {
      return BadSource("cifar", root_,
                       "must hold data_batch_1.bin (CIFAR-10) or train.bin (CIFAR-100)");
    }
    DatasetListing listing;
    listing.keeps_sources = true;
    CVT_ASSIGN_OR_RETURN(listing.classes, ReadClasses());
    listing.splits.push_back({"train", {}});
    for (const std::string& name : variant_->train) {
      CVT_RETURN_IF_ERROR(ListFile(name, 0, &listing));
    }
    listing.splits.push_back({"test", {}});
    CVT_RETURN_IF_ERROR(ListFile(variant_->test, 1, &listing));
    CVT_RETURN_IF_ERROR(FinishListing("cifar", root_, &listing));
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    const RandomAccessFile& file = *open_[static_cast<size_t>(sample.place >> kPlaceShift)];
    const uint64_t record = sample.place & ((uint64_t{1} << kPlaceShift) - 1);
    CVT_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadRange(file, record * RecordBytes(), RecordBytes()));
    const absl::string_view planes = absl::string_view(bytes).substr(variant_->label_bytes);
    std::string pixels(3 * kPlaneBytes, '\0');
    for (size_t i = 0; i < kPlaneBytes; ++i) {
      for (size_t c = 0; c < 3; ++c) pixels[3 * i + c] = planes[c * kPlaneBytes + i];
    }
    SourceBytes source;
    source.digest = Sha256Of(planes);
    source.bytes = EncodeRawPng({.width = kSide, .height = kSide, .channels = 3, .pixels = pixels});
    return source;
  }

 private:
  uint64_t RecordBytes() const { return variant_->label_bytes + 3 * kPlaneBytes; }

  absl::StatusOr<std::vector<std::string>> ReadClasses() const {
    std::vector<std::string> names = options_.classes;
    const std::string path = JoinPath(root_, variant_->names);
    if (names.empty() && IsFile(files_, path)) {
      CVT_ASSIGN_OR_RETURN(const std::string text, ReadFile(files_, path, kAnnotationFileBytesMax));
      for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
        names.emplace_back(absl::StripAsciiWhitespace(line));
        if (!IsClassName(names.back())) {
          return BadSource("cifar", path, "a class's name must be plain UTF-8 text");
        }
      }
    }
    if (!names.empty() && names.size() != static_cast<size_t>(variant_->classes)) {
      return BadSource(
          "cifar", path,
          absl::StrCat("must name ", variant_->classes, " classes, names ", names.size()));
    }
    return NumberedClasses(variant_->classes, names);
  }

  // Adds the records of a file to split number `split`; nothing if the file is not there.
  absl::Status ListFile(const std::string& name, size_t split, DatasetListing* listing) {
    const std::string path = JoinPath(root_, name);
    if (!IsFile(files_, path)) return absl::OkStatus();
    CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(path));
    CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                         files_.NewRandomAccessFile(path));
    const std::string stem = name.substr(0, name.find('.'));
    SourceSplit& to = listing->splits[split];
    const uint64_t records = info.size_bytes / RecordBytes();
    if (records >= kSourceSamplesMax) return BadSource("cifar", path, "is too large");
    for (uint64_t i = 0; i < records; ++i) {
      CVT_ASSIGN_OR_RETURN(const std::string label,
                           ReadRange(*file, i * RecordBytes() + variant_->label_bytes - 1, 1));
      SourceSample sample;
      sample.key = absl::StrFormat("%s/%05d", stem, i);
      sample.label = static_cast<uint8_t>(label[0]);
      if (sample.label >= listing->classes.size()) {
        listing->skipped.push_back(
            {to.name, sample.key, "label_out_of_range",
             absl::StrCat("label ", sample.label, " of ", listing->classes.size(), " classes")});
        continue;
      }
      sample.place = uint64_t{open_.size()} << kPlaceShift | i;
      sample.stamp = StampOf(info);
      to.samples.push_back(std::move(sample));
    }
    if (info.size_bytes % RecordBytes() != 0) {
      listing->skipped.push_back(
          {to.name, absl::StrFormat("%s/%05d", stem, records), "truncated",
           absl::StrCat("the file ends within a record of ", RecordBytes(), " bytes")});
    }
    return Open(path);
  }

  absl::Status Open(const std::string& path) {
    CVT_ASSIGN_OR_RETURN(open_.emplace_back(), files_.NewRandomAccessFile(path));
    return absl::OkStatus();
  }

  FileSystem& files_;
  const std::string root_;
  const ReaderOptions options_;
  const Variant* variant_ = nullptr;
  std::vector<std::unique_ptr<RandomAccessFile>> open_;
};

}  // namespace

extern const DatasetFormat kCifarFormat = {
    .name = "cifar",
    .layout = "the binary version of CIFAR-10 or CIFAR-100: data_batch_1.bin ..., or train.bin",
    .is_fallback = false,
    .fits = [](FileSystem& files,
               const std::string& root) { return VariantOf(files, root) != nullptr; },
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<CifarReader>(files, root, options);
    }};

}  // namespace cvtrain::client
