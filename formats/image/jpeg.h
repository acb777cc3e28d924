#ifndef CVTRAIN_FORMATS_IMAGE_JPEG_H_
#define CVTRAIN_FORMATS_IMAGE_JPEG_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

struct JpegDecodeOptions {
  // 1, 2, 4 or 8: the picture comes out at 1/1 to 1/8 of its size, rounded up, by a smaller inverse
  // transform. Other factors lose the vector code and are not offered.
  int scale_denominator = 1;

  // What to return, in pixels of the *scaled* picture; must lie within it. Unset: all of it.
  // The pixels are those that a decode of the whole has there. Rows outside cost their entropy
  // decoding only, columns outside little more; rows below nothing, and damage there is not seen.
  std::optional<Rect> crop = std::nullopt;

  // Plain chroma upsampling and the fast integer transform: for training, where speed counts.
  bool fast = false;
};

// Decodes JPEG files (baseline, extended, progressive; grey, YCbCr, RGB, CMYK, YCCK) to RGB.
//
// Keeps its buffers from picture to picture. Never reads past the bytes given, never writes to
// standard error. A damaged or truncated file is an error, not a grey area: every warning of the
// library that means lost data is one.
//
// Thread-compatible: one per thread.
class JpegDecoder {
 public:
  explicit JpegDecoder(const ImageLimits& limits = {});
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // Reads the header only. Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` do not begin with the
  // header of a JPEG that can be decoded, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is outside the
  // limits.
  absl::StatusOr<ImageInfo> ReadInfo(absl::string_view bytes);

  // Decodes into `*out`; it is not turned by the EXIF orientation. On an error `*out` is
  // unspecified. Returns INVALID_ARGUMENT (IMAGE_BAD) as ReadInfo does, and if the data is
  // truncated or damaged or the options are out of range.
  absl::Status Decode(absl::string_view bytes, const JpegDecodeOptions& options, Image* out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Size of one side at a scale denominator: rounded up.
inline int ScaledSide(int side, int scale_denominator) {
  return (side + scale_denominator - 1) / scale_denominator;
}

struct JpegEncodeOptions {
  // 1 to 100.
  int quality = 90;
  // Huffman tables made for the picture. They take a second pass, which doubles the time, and save
  // a tenth of the bytes at 72 pixels a side, a thirtieth at 256.
  bool optimize = true;
};

// Baseline, 4:2:0, no metadata. The same bytes for the same pixels with
// one version of libjpeg-turbo. Returns INVALID_ARGUMENT (FIELD_INVALID) if a side is not in 1
// to 65,500 or the quality not in 1 to 100; INTERNAL (OUT_OF_MEMORY) if there is no memory.
absl::StatusOr<std::string> EncodeJpeg(const ImageView& image,
                                       const JpegEncodeOptions& options = {});

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_JPEG_H_
