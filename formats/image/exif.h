#ifndef CVTRAIN_FORMATS_IMAGE_EXIF_H_
#define CVTRAIN_FORMATS_IMAGE_EXIF_H_

#include "absl/strings/string_view.h"

namespace cvtrain::formats {

// Orientation, 1 to 8, of the first EXIF segment of a JPEG file; 1 if there is none, or if it is
// damaged or says something else. Reads no byte outside `jpeg` and none twice.
int ReadExifOrientation(absl::string_view jpeg);

// The same of an EXIF block, as PNG and WebP files hold one: with or without the prefix that it has
// in a JPEG file.
int OrientationOfExif(absl::string_view block);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_IMAGE_EXIF_H_
