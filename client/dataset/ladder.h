#ifndef CVTRAIN_CLIENT_DATASET_LADDER_H_
#define CVTRAIN_CLIENT_DATASET_LADDER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"
#include "formats/image/jpeg.h"
#include "formats/image/picture_decoder.h"
#include "formats/image/resize.h"
#include "formats/shard/dataset_digest.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::client {

// A picture as a shard holds it.
struct Ladder {
  formats::PictureSize size;  // upright, of `source`
  formats::SourceFormat source_format = formats::SourceFormat::kJpeg;
  int source_orientation = 1;
  std::string source;
  // One for each rung of the options; empty where the picture is no larger.
  std::vector<std::string> rungs;
};

// Makes ladders of image files. Keeps its buffers from file to file.
//
// The picture is decoded, turned by its EXIF orientation, shrunk by area averaging to the source's
// size, from there to the largest rung, and on from rung to rung; all are written as JPEG 4:2:0 of
// `jpeg_quality`, small ones with Huffman tables of their own. A source stays the file that it was
// if that is a baseline JPEG in grey or YCbCr, upright, of at most 1 MiB and within `source_side`;
// and always with `keep_originals`.
//
// Thread-compatible: one per thread.
class LadderMaker {
 public:
  // `limits` is what it accepts.
  explicit LadderMaker(formats::LadderOptions options, const formats::ImageLimits& limits = {});

  // Returns INVALID_ARGUMENT (DATA_BAD) if `file` is empty, no JPEG, PNG, TIFF or WebP by its
  // content, damaged or truncated; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is outside the limits.
  absl::StatusOr<Ladder> Make(absl::string_view file);

 private:
  // Upright into picture_. Large JPEGs are decoded at a fraction that is still twice the source.
  absl::Status DecodeUpright(absl::string_view file, const formats::ImageInfo& info);
  bool KeepsFile(absl::string_view file, const formats::ImageInfo& info) const;
  // picture_ to `size`.
  void Shrink(formats::PictureSize size);
  absl::StatusOr<std::string> Encode() const;

  const formats::LadderOptions options_;
  formats::PictureDecoder pictures_;
  formats::JpegDecoder jpeg_;  // for fractions, which the other does not know
  formats::Resizer resizer_;
  formats::Image picture_;  // as large as it is needed next
  formats::Image smaller_;
};

// Why a file was skipped, in a word for counting: `empty`, `not_an_image`, `too_large`, `damaged`,
// `unreadable`.
std::string SkipCause(absl::string_view file, const absl::Status& status);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_LADDER_H_
