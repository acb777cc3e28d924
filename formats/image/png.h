#ifndef CVTRAIN_FORMATS_IMAGE_PNG_H_
#define CVTRAIN_FORMATS_IMAGE_PNG_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

// Reads the header only. Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` do not begin with a PNG
// header, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is outside `limits`.
absl::StatusOr<ImageInfo> ReadPngInfo(absl::string_view bytes, const ImageLimits& limits = {});

// Decodes to RGB: palettes and grey expanded, 16 bits cut to 8, alpha dropped (not blended), gamma
// and colour profiles ignored; all as Pillow's convert("RGB") does. Ancillary chunks are skipped.
// Returns INVALID_ARGUMENT (IMAGE_BAD) as ReadPngInfo does, and if the data is truncated or
// damaged.
absl::Status DecodePng(absl::string_view bytes, const ImageLimits& limits, Image* out);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_PNG_H_
