#ifndef CVTRAIN_CLIENT_DATASET_DATASET_READER_H_
#define CVTRAIN_CLIENT_DATASET_DATASET_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/sha256.h"
#include "cvtrain/storage/v1/annotation.pb.h"
#include "cvtrain/v1/dataset.pb.h"
#include "formats/shard/shard_format.h"

// What a data set of somebody's holds, whatever its format: what is there first, then the bytes of
// one sample at a time. dataset_formats.h lists the formats.
namespace cvtrain::client {

// Limits of what is read here; those of pictures and classes are in common/limits.h.
inline constexpr uint64_t kManifestBytesMax = uint64_t{1} << 30;  // of a CSV or JSON file
inline constexpr uint64_t kAnnotationFileBytesMax = uint64_t{1} << 20;
inline constexpr size_t kSourceSamplesMax = 100'000'000;

// What somebody knows of a picture, in pixels of the file as it is stored: not turned by its EXIF
// orientation, unless `size` says that it is meant so. Not checked yet: fit_annotation.h.
struct SourceAnnotation {
  storage::v1::Annotation annotation;
  // Of the picture, as the annotation says; 0x0: it does not.
  formats::PictureSize size;
};

// A sample before its bytes are read.
struct SourceSample {
  // Unique in its split; 1 to 1,024 bytes.
  std::string key;
  // Index into the classes. With boxes: that of the largest, 0 without any.
  uint32_t label = 0;
  // Where its bytes are, for the reader that listed it.
  uint64_t place = 0;
  // Size and time of change of the file that holds them, mixed: another number says that the file
  // is another one.
  uint64_t stamp = 0;
  // Null: nothing is known but the label.
  std::unique_ptr<const SourceAnnotation> annotation;
};

struct SourceSplit {
  std::string name;
  std::vector<SourceSample> samples;  // by key
};

// Something that is not taken.
struct SkippedSource {
  // Empty if it belongs to none.
  std::string split;
  // Its key, or its path below the root.
  std::string key;
  // A word for counting: `no_label`, `link`, ...
  std::string cause;
  std::string detail;
};

struct DatasetListing {
  std::vector<std::string> classes;
  std::vector<SourceSplit> splits;  // by name, each with a sample
  v1::DatasetVersion::Media media = v1::DatasetVersion::MEDIA_IMAGES;
  // Samples have annotations.
  bool annotated = false;
  // Pixels come raw: what Read() returns is stored as it is, so that nothing is lost.
  bool keeps_sources = false;
  // Samples that are no good, and count as such.
  std::vector<SkippedSource> skipped;
  // Files that belong to no sample.
  std::vector<SkippedSource> passed_over;
};

struct SourceBytes {
  // A picture's file, or whatever else it is.
  std::string bytes;
  // SHA-256 of the bytes that they were made from.
  Sha256Digest digest = {};
};

struct ReaderOptions {
  // Of a set without splits: this share of each class, rounded, is `train`, the rest `test`. In
  // (0, 1]; each class has one sample at least in `train`, and with less than 1, one of two samples
  // or more has one in `test`, too.
  double train_fraction = 0.9;
  // Of the choice: which samples are held out depends on it and on their keys alone.
  uint64_t seed = 0;
  // Names of the classes, in order of their numbers, for formats that have numbers only; empty:
  // what the format says.
  std::vector<std::string> classes;
  // Of files that could be anything. Unspecified: as the first one looks.
  v1::DatasetVersion::Media media = v1::DatasetVersion::MEDIA_UNSPECIFIED;
};

// Reads one data set.
//
// Names that come from files are data: nothing is opened through a link, an absolute name or `..`,
// nothing is extracted, and everything has a bound.
class DatasetReader {
 public:
  virtual ~DatasetReader() = default;

  // What there is, without the bytes. Called once, before Read().
  //
  // Returns INVALID_ARGUMENT: FIELD_INVALID if the shape of the set breaks a rule of its format or
  // of `options`, DATA_BAD if a file that describes it is damaged; RESOURCE_EXHAUSTED
  // (LIMIT_EXCEEDED); the errors of the files.
  virtual absl::StatusOr<DatasetListing> List() = 0;

  // The bytes of a sample that List() returned. Thread-safe.
  //
  // Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if they are more than a picture may have;
  // INVALID_ARGUMENT (DATA_BAD) if they cannot be made; the errors of the files.
  virtual absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const = 0;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_DATASET_READER_H_
