#ifndef CVTRAIN_FORMATS_IMAGE_TIFF_DIRECTORY_H_
#define CVTRAIN_FORMATS_IMAGE_TIFF_DIRECTORY_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

// Tags of a TIFF structure, which is a file of that kind and the content of an EXIF block alike.
namespace cvtrain::formats {

inline constexpr uint16_t kTiffWidthTag = 256;
inline constexpr uint16_t kTiffHeightTag = 257;
inline constexpr uint16_t kTiffPhotometricTag = 262;
inline constexpr uint16_t kTiffOrientationTag = 274;
inline constexpr uint16_t kTiffSamplesTag = 277;

// Whether `bytes` begin as a TIFF structure does: either byte order, 32 or 64-bit offsets.
bool IsTiff(absl::string_view bytes);

// The first value of `tag` in the first directory, if that is an unsigned number of 8 to 64 bits
// which lies in the entry itself; nothing if there is none or the structure is damaged. Of a tag
// that comes twice, the first counts. Reads no byte outside `tiff`, and takes no memory.
std::optional<uint64_t> ReadTiffNumber(absl::string_view tiff, uint16_t tag);

// Orientation, 1 to 8, of the first directory; 1 if it has none or says something else.
int ReadTiffOrientation(absl::string_view tiff);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_TIFF_DIRECTORY_H_
