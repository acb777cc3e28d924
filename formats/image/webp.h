#ifndef CVTRAIN_FORMATS_IMAGE_WEBP_H_
#define CVTRAIN_FORMATS_IMAGE_WEBP_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

// Reads the container only: size of the canvas, orientation of the EXIF chunk. Takes memory for a
// list of its frames. Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` are not a whole WebP file as
// far as the lengths of its chunks say, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is outside
// `limits`.
absl::StatusOr<ImageInfo> ReadWebpInfo(absl::string_view bytes, const ImageLimits& limits = {});

// Decodes to RGB, lossy and lossless; it is not turned by its orientation. Alpha is dropped (not
// blended), as Pillow's convert("RGB") does. Of an animation, the first frame, in its place on a
// black canvas. Colour profiles are ignored.
//
// Returns INVALID_ARGUMENT (DATA_BAD) as ReadWebpInfo does, and if the data is truncated or damaged
// as far as its compression shows: WebP has no checksums.
absl::Status DecodeWebp(absl::string_view bytes, const ImageLimits& limits, Image* out);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_WEBP_H_
