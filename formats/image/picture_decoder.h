#ifndef CVTRAIN_FORMATS_IMAGE_PICTURE_DECODER_H_
#define CVTRAIN_FORMATS_IMAGE_PICTURE_DECODER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"
#include "formats/image/jpeg.h"

namespace cvtrain::formats {

// The front door for picture files of unknown origin: JPEG, PNG, TIFF and WebP, told by their
// content, to upright 8-bit RGB. What each kind's decoder promises holds: nothing is read past the
// bytes given, limits are checked before memory is taken, nothing is written to standard error.
//
// Keeps its buffers from picture to picture. Thread-compatible: one per thread.
class PictureDecoder {
 public:
  explicit PictureDecoder(const ImageLimits& limits = {});

  // Reads the header only. Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` are empty, of another
  // kind, or have no good header; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED), with the limit's name, if
  // the header is outside the limits.
  absl::StatusOr<ImageInfo> ReadInfo(absl::string_view bytes);

  // Decodes all of it, and turns it by its orientation: its sides are those of ReadInfo(), swapped
  // for orientations 5 to 8. 16 bits become 8 by v * 255 / 65,535, rounded; grey, palettes and CMYK
  // become RGB; alpha is dropped, not blended; colour profiles are ignored. On an error `*out` is
  // unspecified. Errors as of ReadInfo(), and if the data is truncated or damaged.
  absl::Status Decode(absl::string_view bytes, Image* out);

 private:
  const ImageLimits limits_;
  JpegDecoder jpeg_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_PICTURE_DECODER_H_
