#ifndef CVTRAIN_FORMATS_IMAGE_PNG_H_
#define CVTRAIN_FORMATS_IMAGE_PNG_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

// Reads the header, and the orientation of the first eXIf chunk, wherever that is. Returns
// INVALID_ARGUMENT (DATA_BAD) if `bytes` do not begin with a PNG header, RESOURCE_EXHAUSTED
// (LIMIT_EXCEEDED) if it is outside `limits`.
absl::StatusOr<ImageInfo> ReadPngInfo(absl::string_view bytes, const ImageLimits& limits = {});

// Decodes to RGB; it is not turned by its orientation. Palettes and grey are expanded, alpha
// dropped (not blended), gamma and colour profiles ignored, all as Pillow's convert("RGB") does; 16
// bits become 8 by v * 255 / 65,535, rounded. Ancillary chunks are skipped. Returns
// INVALID_ARGUMENT (DATA_BAD) as ReadPngInfo does, and if the data is truncated or damaged.
absl::Status DecodePng(absl::string_view bytes, const ImageLimits& limits, Image* out);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_PNG_H_
