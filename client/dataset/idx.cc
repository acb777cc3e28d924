// Format `idx`: MNIST and its kin (LeCun, http://yann.lecun.com/exdb/mnist):
// PREFIX-images-idx3-ubyte and PREFIX-labels-idx1-ubyte, packed by gzip or not. An IDX file is two
// zero bytes, the type (8: bytes), the number of dimensions, each dimension as a big-endian u32,
// then the bytes. Pictures are (n, height, width), or (n, height, width, 3).

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/raw_png.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr int kPlaceShift = 32;  // pair of files, then record

// "train-images-idx3-ubyte.gz" -> "train"; nothing for other names. Some write a dot for the last
// dash but one.
std::optional<std::string> PrefixOf(absl::string_view name, absl::string_view what) {
  absl::ConsumeSuffix(&name, ".gz");
  for (const char* dimensions : {"1", "3", "4"}) {
    for (const char* separator : {"-", "."}) {
      absl::string_view rest = name;
      if (absl::ConsumeSuffix(&rest, absl::StrCat(what, separator, "idx", dimensions, "-ubyte"))) {
        absl::ConsumeSuffix(&rest, "-");
        return std::string(rest);
      }
    }
  }
  return std::nullopt;
}

struct IdxPair {
  std::string prefix;
  std::string images;
  std::string labels;
};

std::vector<IdxPair> PairsIn(FileSystem& files, const std::string& root) {
  std::vector<IdxPair> pairs;
  const std::vector<std::string> names = NamesIn(files, root);
  for (const std::string& name : names) {
    const std::optional<std::string> prefix = PrefixOf(name, "images");
    if (!prefix.has_value()) continue;
    // Both, packed and unpacked, may lie there: the first, which is the unpacked one.
    if (!pairs.empty() && pairs.back().prefix == *prefix) continue;
    IdxPair pair{.prefix = *prefix, .images = name, .labels = ""};
    for (const std::string& other : names) {
      if (pair.labels.empty() && PrefixOf(other, "labels") == prefix) pair.labels = other;
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

// The parts of a prefix that name no split are the set's own name.
std::string SplitOf(const std::string& prefix) {
  if (absl::StrContains(prefix, "t10k") || absl::StrContains(prefix, "test")) return "test";
  if (absl::StrContains(prefix, "valid") || absl::StrContains(prefix, "val")) return "val";
  return "train";
}

// One file: what its head says, and its bytes, in memory if they were packed.
class IdxFile {
 public:
  static absl::StatusOr<IdxFile> Open(FileSystem& files, const std::string& path) {
    IdxFile idx;
    CVT_ASSIGN_OR_RETURN(idx.file_, files.NewRandomAccessFile(path));
    CVT_ASSIGN_OR_RETURN(idx.size_, idx.file_->Size());
    CVT_ASSIGN_OR_RETURN(const std::string magic,
                         ReadRange(*idx.file_, 0, std::min<uint64_t>(2, idx.size_)));
    if (IsGzip(magic)) {
      CVT_ASSIGN_OR_RETURN(const std::string packed, ReadFile(files, path, kManifestBytesMax));
      CVT_ASSIGN_OR_RETURN(idx.unpacked_, Gunzip(packed, kManifestBytesMax));
      idx.file_ = nullptr;
      idx.size_ = idx.unpacked_.size();
    }
    CVT_RETURN_IF_ERROR(Annotate(idx.ReadHead(), "reading", path));
    return idx;
  }

  const std::vector<uint64_t>& dimensions() const { return dimensions_; }
  uint64_t count() const { return dimensions_[0]; }
  uint64_t item_bytes() const { return item_bytes_; }

  absl::StatusOr<std::string> Item(uint64_t item) const {
    return Range(HeadBytes() + item * item_bytes_, item_bytes_);
  }
  absl::StatusOr<std::string> All() const { return Range(HeadBytes(), count() * item_bytes_); }

 private:
  uint64_t HeadBytes() const { return 4 + 4 * dimensions_.size(); }

  absl::StatusOr<std::string> Range(uint64_t offset, uint64_t length) const {
    if (file_ != nullptr) return ReadRange(*file_, offset, length);
    return unpacked_.substr(static_cast<size_t>(offset), static_cast<size_t>(length));
  }

  static absl::Status Bad(absl::string_view problem) {
    return InvalidArgument(Reason::kDataBad, absl::StrCat("idx: ", problem));
  }

  absl::Status ReadHead() {
    CVT_ASSIGN_OR_RETURN(const std::string magic, Range(0, std::min<uint64_t>(4, size_)));
    if (magic.size() < 4) return Bad("the file is cut off");
    const auto count = static_cast<size_t>(magic[3]);
    if (magic.substr(0, 3) != absl::string_view("\0\0\x08", 3) || count < 1 || count > 4) {
      return Bad("must begin with 0, 0, 8 and 1 to 4 dimensions: an IDX file of bytes");
    }
    if (size_ < 4 + 4 * count) return Bad("the file is cut off");
    CVT_ASSIGN_OR_RETURN(const std::string head, Range(4, 4 * count));
    for (size_t i = 0; i < count; ++i) {
      uint64_t value = 0;
      for (size_t b = 0; b < 4; ++b) value = value << 8 | static_cast<uint8_t>(head[4 * i + b]);
      dimensions_.push_back(value);
      if (i == 0) continue;
      if (value == 0 || value > uint64_t{limits::kImageSideMax}) {
        return Bad("a side must be in 1 to 16384");
      }
      item_bytes_ *= value;
    }
    if (item_bytes_ > limits::kImageFileSizeBytesMax) return Bad("a picture is too large");
    if (dimensions_[0] >= kSourceSamplesMax) return Bad("has too many pictures");
    const uint64_t wanted = HeadBytes() + dimensions_[0] * item_bytes_;
    if (size_ == wanted) return absl::OkStatus();
    return Bad(absl::StrCat("must have ", wanted, " bytes, has ", size_));
  }

  std::unique_ptr<RandomAccessFile> file_;
  std::string unpacked_;
  uint64_t size_ = 0;
  std::vector<uint64_t> dimensions_;
  uint64_t item_bytes_ = 1;
};

class IdxReader : public DatasetReader {
 public:
  IdxReader(FileSystem& files, std::string root, const ReaderOptions& options)
      : files_(files), root_(std::move(root)), options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    DatasetListing listing;
    listing.keeps_sources = true;
    std::vector<std::string> labels;  // of each pair
    for (const IdxPair& pair : PairsIn(files_, root_)) {
      CVT_RETURN_IF_ERROR(OpenPair(pair, &labels));
      const std::string split = SplitOf(pair.prefix);
      for (const SourceSplit& other : listing.splits) {
        if (other.name == split) {
          return BadSource("idx", root_,
                           absl::StrCat("has several pairs of files for split ", split,
                                        "; put each set into a folder of its own"));
        }
      }
      listing.splits.push_back({split, {}});
    }
    if (images_.empty()) {
      return BadSource("idx", root_,
                       "must hold train-images-idx3-ubyte and train-labels-idx1-ubyte");
    }
    CVT_RETURN_IF_ERROR(NumberClasses(labels, &listing));
    for (size_t p = 0; p < images_.size(); ++p) ListPair(p, labels[p], &listing);
    CVT_RETURN_IF_ERROR(FinishListing("idx", root_, &listing));
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    const IdxFile& file = images_[static_cast<size_t>(sample.place >> kPlaceShift)];
    CVT_ASSIGN_OR_RETURN(const std::string pixels,
                         file.Item(sample.place & std::numeric_limits<uint32_t>::max()));
    SourceBytes source;
    source.digest = Sha256Of(pixels);
    source.bytes = EncodeRawPng({.width = static_cast<int>(file.dimensions()[2]),
                                 .height = static_cast<int>(file.dimensions()[1]),
                                 .channels = file.dimensions().size() == 4 ? 3 : 1,
                                 .pixels = pixels});
    return source;
  }

 private:
  absl::Status OpenPair(const IdxPair& pair, std::vector<std::string>* labels) {
    const std::string path = JoinPath(root_, pair.images);
    if (pair.labels.empty()) {
      return BadSource("idx", path, "the file of its labels is not beside it");
    }
    CVT_ASSIGN_OR_RETURN(IdxFile images, IdxFile::Open(files_, path));
    const size_t dimensions = images.dimensions().size();
    if (dimensions < 3 || (dimensions == 4 && images.dimensions()[3] != 3)) {
      return BadSource("idx", path, "must have 3 dimensions, or 4 of which the last is 3");
    }
    CVT_ASSIGN_OR_RETURN(const IdxFile of_labels,
                         IdxFile::Open(files_, JoinPath(root_, pair.labels)));
    if (of_labels.dimensions().size() != 1 || of_labels.count() != images.count()) {
      return BadSource(
          "idx", path,
          absl::StrCat("has ", images.count(), " pictures, and ", of_labels.count(), " labels"));
    }
    CVT_ASSIGN_OR_RETURN(labels->emplace_back(), of_labels.All());
    CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(path));
    stamps_.push_back(StampOf(info));
    prefixes_.push_back(pair.prefix);
    images_.push_back(std::move(images));
    return absl::OkStatus();
  }

  absl::Status NumberClasses(const std::vector<std::string>& labels, DatasetListing* listing) {
    int64_t count = 0;
    for (const std::string& of_pair : labels) {
      for (const char label : of_pair) {
        count = std::max<int64_t>(count, int64_t{static_cast<uint8_t>(label)} + 1);
      }
    }
    CVT_ASSIGN_OR_RETURN(listing->classes, NumberedClasses(count, options_.classes));
    return absl::OkStatus();
  }

  void ListPair(size_t pair, const std::string& labels, DatasetListing* listing) {
    SourceSplit& split = listing->splits[pair];
    for (uint64_t i = 0; i < images_[pair].count(); ++i) {
      SourceSample sample;
      sample.key = absl::StrFormat("%s/%06d", prefixes_[pair], i);
      sample.label = static_cast<uint8_t>(labels[static_cast<size_t>(i)]);
      if (sample.label >= listing->classes.size()) {
        listing->skipped.push_back(
            {split.name, sample.key, "label_out_of_range",
             absl::StrCat("label ", sample.label, " of ", listing->classes.size(), " classes")});
        continue;
      }
      sample.place = uint64_t{pair} << kPlaceShift | i;
      sample.stamp = stamps_[pair];
      split.samples.push_back(std::move(sample));
    }
  }

  FileSystem& files_;
  const std::string root_;
  const ReaderOptions options_;
  // Of each pair.
  std::vector<IdxFile> images_;
  std::vector<std::string> prefixes_;
  std::vector<uint64_t> stamps_;
};

}  // namespace

extern const DatasetFormat kIdxFormat = {
    .name = "idx",
    .layout = "MNIST and its kin: train-images-idx3-ubyte with train-labels-idx1-ubyte, .gz or not",
    .is_fallback = false,
    .fits = [](FileSystem& files,
               const std::string& root) { return !PairsIn(files, root).empty(); },
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<IdxReader>(files, root, options);
    }};

}  // namespace cvtrain::client
