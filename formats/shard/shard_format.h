#ifndef CVTRAIN_FORMATS_SHARD_SHARD_FORMAT_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_FORMAT_H_

// A shard: one immutable file with some thousand pictures of one split of a data set, each as a
// ladder of JPEG rungs and a source. docs/formats/shard.md has the byte layout; this header has its
// names and numbers.
//
//   header page | record table | keys | source digests | rung 0 | rung 1 | ... | source | footer
//
// Version 2 has annotations behind the source digests, and may hold sounds or other files, which
// have a source only. It is written where version 1 cannot say it, and nowhere else.
//
// Everything is little-endian. Sections begin at multiples of 4,096 and are padded with zeros.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cvtrain::formats {

inline constexpr absl::string_view kShardMagic = "CVTSHARD";
inline constexpr absl::string_view kShardFooterMagic = "CVTSFOOT";
inline constexpr uint32_t kShardVersion = 1;
inline constexpr uint32_t kShardVersionAnnotated = 2;
inline constexpr int64_t kShardPageBytes = 4096;
inline constexpr int64_t kShardBlockBytes = int64_t{1} << 20;

// Limits of the format. A file outside them is refused before memory is taken for it.
inline constexpr int kShardRungsMax = 8;
inline constexpr int64_t kShardRecordsMax = int64_t{1} << 22;
inline constexpr int64_t kShardKeyBytesMax = 1024;
inline constexpr int64_t kShardSplitBytesMax = 63;
inline constexpr int64_t kShardPictureBytesMax = int64_t{64} << 20;
// Of one record's annotation, its boxes, and the numbers of all its masks.
inline constexpr int64_t kShardAnnotationBytesMax = int64_t{4} << 20;
inline constexpr int kShardBoxesMax = 10'000;
inline constexpr int kShardMaskNumbersMax = 1'000'000;
// Of one rung's section: offsets within it are 32 bits.
inline constexpr int64_t kShardSectionBytesMax = (int64_t{1} << 32) - kShardPageBytes;

// Short sides of the rungs, pixels, and the greatest short side of a source.
inline constexpr std::array<int, 5> kDefaultRungs = {72, 112, 144, 184, 256};
inline constexpr int kDefaultSourceSide = 500;

// How the bytes of a source are to be read. Rungs are always upright JPEG.
enum class SourceFormat : uint8_t { kJpeg = 1, kPng = 2, kOther = 3 };

// What the sources of a shard are. Only pictures have sizes and rungs.
enum class ShardMedia : uint32_t { kPictures = 1, kSounds = 2, kFiles = 3 };

struct PictureSize {
  int width = 0;
  int height = 0;
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

// Size of a picture whose short side is reduced to `short_side`: the long side in proportion,
// rounded half up, at least 1. A picture that is not larger stays as it is.
PictureSize ShrinkToShortSide(PictureSize size, int short_side);

// One picture, as the record table describes it.
struct ShardRecord {
  uint32_t label = 0;
  // Upright size of the stored source, pixels; 0x0 for what is no picture.
  PictureSize source;
  SourceFormat source_format = SourceFormat::kJpeg;
  // EXIF orientation to apply after decoding the source; 1 unless originals are kept.
  int source_orientation = 1;
  // Where the bytes are in the file: an entry for each rung, then one for the source. Length 0: the
  // source is no larger than that rung, which is therefore absent.
  struct Extent {
    int64_t offset = 0;
    int64_t length = 0;
  };
  std::array<Extent, kShardRungsMax + 1> extents;
  // Where its annotation is in the file. Length 0: it has none.
  Extent annotation;

  bool HasRung(int rung) const { return extents[static_cast<size_t>(rung)].length != 0; }
};

// What a header says.
struct ShardInfo {
  // 1 or 2.
  uint32_t version = kShardVersion;
  // Pictures in version 1.
  ShardMedia media = ShardMedia::kPictures;
  // Derived from the index, so that equal shards have equal ids. Lower-case, 8-4-4-4-12.
  std::string uuid;
  // Split that all pictures belong to.
  std::string split;
  int64_t records = 0;
  // Labels are below it.
  uint32_t classes = 0;
  // Short sides of the rungs, ascending.
  std::vector<int> rungs;
  int64_t file_bytes = 0;
  // Where each rung's section begins and how long it is, then the source's: what a stage that needs
  // one rung reads, in order.
  std::vector<ShardRecord::Extent> sections;
};

// What a training step wants of a picture.
struct CropWant {
  // Size of the crop in pixels of the upright source; at least 1.
  double crop_width = 1;
  double crop_height = 1;
  // Size to which it will be resized, pixels.
  int target_width = 1;
  int target_height = 1;
};

// The smallest rung in which the crop is at least as wide and as high as its target; the source
// (index `rungs.size()`) if none is. Never an absent rung.
int PickRung(const ShardRecord& record, const std::vector<int>& rungs, const CropWant& want);

// Upright size of the picture at `rung`, or of the source if `rung` is `rungs.size()`.
PictureSize RungSize(const ShardRecord& record, const std::vector<int>& rungs, int rung);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_FORMAT_H_
