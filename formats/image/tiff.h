#ifndef CVTRAIN_FORMATS_IMAGE_TIFF_H_
#define CVTRAIN_FORMATS_IMAGE_TIFF_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::formats {

// Reads the first directory's size and orientation only, without libtiff and without memory.
// Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` do not begin with a TIFF header that leads to a
// directory with a size, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if that is outside `limits`.
absl::StatusOr<ImageInfo> ReadTiffInfo(absl::string_view bytes, const ImageLimits& limits = {});

// Decodes the first picture of a file to RGB; it is not turned by its orientation.
//
// Read are strips and tiles, interleaved or a plane for each sample, of unsigned samples: grey of
// 1, 2, 4, 8 and 16 bits, palettes of up to 8 bits, RGB and CMYK of 8 and 16 bits, each with
// further samples such as alpha, and YCbCr in JPEG; uncompressed, or by CCITT, LZW, Deflate,
// PackBits, JPEG, LZMA, Zstandard or WebP.
//
// 16 bits become 8 by v * 255 / 65,535, rounded. Alpha is dropped, after colours that were
// multiplied by it are divided by it; colour maps are cut to their high bytes; CMYK is taken as
// ideal inks; all as Pillow's convert("RGB") does. Colour profiles are ignored.
//
// Never reads past the bytes given, never writes to standard error. Returns INVALID_ARGUMENT
// (DATA_BAD) as ReadTiffInfo does, if the data is truncated or damaged as far as its compression
// shows, and for pictures of another make; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) as ReadTiffInfo
// does, and if a tile or the planes are outside `limits`.
absl::Status DecodeTiff(absl::string_view bytes, const ImageLimits& limits, Image* out);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_TIFF_H_
