#ifndef CVTRAIN_WORKER_TRAINER_DATA_PICTURE_READER_H_
#define CVTRAIN_WORKER_TRAINER_DATA_PICTURE_READER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "formats/image/image.h"
#include "formats/image/jpeg.h"
#include "formats/shard/shard_reader.h"
#include "worker/trainer/data/crop.h"

namespace cvtrain::trainer {

// How a picture of a shard becomes pixels of a batch.
struct PictureTarget {
  CropRect crop;  // in pixels of the upright source, inside of it
  int width = 0;  // size to which the crop is resized
  int height = 0;
  bool flip = false;  // mirrored left to right
};

// Decodes crops of pictures from the rung that costs least: the smallest in
// which the crop is at least as large as wanted, decoded at 1/2, 1/4 or 1/8 by a
// smaller inverse transform where that is still large enough, and only around
// the crop. The rest of the way is an area-weighted resize in integers, so the
// pixels do not depend on the machine.
//
// Keeps its buffers from picture to picture. Thread-compatible: one per thread.
class PictureReader {
 public:
  // Fills `pixels`, height x width x 3 bytes, from `record` of `shard`.
  //
  // Returns DATA_LOSS (SHARD_BAD) and other errors of ShardReader::Read() if the
  // shard is damaged; INVALID_ARGUMENT (DATA_BAD) or RESOURCE_EXHAUSTED
  // (LIMIT_EXCEEDED) if the picture itself cannot be decoded.
  absl::Status Read(formats::ShardReader& shard, int64_t record, const PictureTarget& target,
                    absl::Span<uint8_t> pixels);

 private:
  absl::Status DecodeCrop(absl::string_view bytes, const formats::Rect& crop,
                          const PictureTarget& target);
  absl::Status DecodeWhole(absl::string_view bytes, int orientation);

  formats::JpegDecoder decoder_;
  std::string scratch_;
  formats::Image decoded_;
  formats::Image resized_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_PICTURE_READER_H_
