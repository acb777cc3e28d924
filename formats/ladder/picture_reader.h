#ifndef CVTRAIN_FORMATS_LADDER_PICTURE_READER_H_
#define CVTRAIN_FORMATS_LADDER_PICTURE_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "formats/image/image.h"
#include "formats/image/jpeg.h"
#include "formats/image/picture_decoder.h"
#include "formats/image/resize.h"
#include "formats/image/scaled_crop.h"
#include "formats/ladder/picture_cache.h"
#include "formats/shard/shard_reader.h"
#include "plan/augment/crop.h"

namespace cvtrain::formats {

// How a picture of a shard becomes pixels of a batch.
struct PictureTarget {
  plan::CropRect crop;  // in pixels of the upright source, inside of it
  int width = 0;        // size to which the crop is resized
  int height = 0;
  bool flip = false;  // mirrored left to right
};

// Decodes crops of pictures from the rung that costs least: the smallest in
// which the crop is at least as large as wanted, decoded at 1/2, 1/4 or 1/8 by a
// smaller inverse transform where that is still large enough, and only around
// the crop. The rest of the way is an area-weighted resize in integers, so the
// pixels do not depend on the machine, nor on what `cache` holds.
//
// Keeps its buffers from picture to picture. Thread-compatible: one per thread.
class PictureReader {
 public:
  PictureReader() : PictureReader(nullptr) {}
  // `cache` may be null, and must outlive this; it may be shared.
  explicit PictureReader(PictureCache* cache) : cache_(cache) {}

  // Finds what `target` is cut from: in the cache, or as bytes of `shard`, which
  // are verified. `shard` is used until Decode() is done.
  //
  // Returns DATA_LOSS (SHARD_BAD) and other errors of ShardReader::Read() if the
  // shard is damaged.
  absl::Status Find(ShardReader& shard, int64_t record, const PictureTarget& target);

  // Fills `pixels`, height x width x 3 bytes, with what was found last. Called
  // once after each Find() that succeeded.
  //
  // Returns INVALID_ARGUMENT (DATA_BAD) or RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if
  // the picture itself cannot be decoded.
  absl::Status Decode(absl::Span<uint8_t> pixels);

  // Which section of the shard Find() reads: a rung by number, or `rungs.size()` for the
  // source.
  static int SectionOf(const ShardRecord& record, const std::vector<int>& rungs,
                       const PictureTarget& target);

  // Both at once.
  absl::Status Read(ShardReader& shard, int64_t record, const PictureTarget& target,
                    absl::Span<uint8_t> pixels);

 private:
  // What is to be decoded of a picture.
  struct Cut {
    PictureCache::Key key;
    ScaledCrop crop;  // of the rung
    int width = 0;    // of the whole rung at that scale
    int height = 0;
    bool is_jpeg = true;  // an upright JPEG, which can be decoded in part
  };
  static Cut CutOf(const ShardReader& shard, int64_t record, const PictureTarget& target);

  // The part of the picture that is to be resized.
  absl::StatusOr<ImageView> DecodeCut();
  absl::Status DecodeWhole(Image* out);
  // Decodes all of it into the cache, if there is room and nothing of it is damaged.
  void DecodeForCache();

  PictureCache* const cache_;
  JpegDecoder decoder_;
  PictureDecoder originals_;  // of what is no upright JPEG
  Resizer resizer_;
  Image decoded_;

  // Of the picture that was found last.
  PictureTarget target_;
  Cut cut_;
  std::shared_ptr<const Image> whole_;  // decoded before
  absl::string_view bytes_;             // to be decoded; into the shard or scratch_
  std::string scratch_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_LADDER_PICTURE_READER_H_
