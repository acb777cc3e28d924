#ifndef CVTRAIN_PLAN_AUGMENT_OPERATION_H_
#define CVTRAIN_PLAN_AUGMENT_OPERATION_H_

#include <cstddef>
#include <cstdint>

namespace cvtrain::plan {

// What may be done to the pixels of a picture, under torchvision's names.
// formats/picture does it; here it is only named.
enum class PictureOperation : uint8_t {
  kIdentity = 0,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kRotate,
  kBrightness,
  kColor,
  kContrast,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutoContrast,
  kEqualize,
  kInvert,
  kHue,
};
inline constexpr size_t kPictureOperations = 16;

// One operation on one picture, with the number that torchvision's function of
// that name takes:
//
//   shear_x, shear_y            slope: pixels sideways for each pixel away from the edge
//   translate_x, translate_y    whole pixels, right and down
//   rotate                      degrees, counter-clockwise
//   brightness, color, contrast, sharpness    factor, at least 0; 1 changes nothing
//   posterize                   bits that are kept, 0 to 8
//   solarize                    threshold, 0 to 255: values from it on are inverted
//   hue                         share of the colour circle, -0.5 to 0.5
//   identity, auto_contrast, equalize, invert    unused
struct PictureStep {
  PictureOperation operation = PictureOperation::kIdentity;
  double parameter = 0;

  friend bool operator==(const PictureStep&, const PictureStep&) = default;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_AUGMENT_OPERATION_H_
