#include "formats/picture/picture_editor.h"

#include <array>
#include <cstddef>

#include "common/status_macros.h"
#include "formats/picture/operations.h"

namespace cvtrain::formats {
namespace {

using plan::PictureOperation;
using Scratch = std::vector<uint8_t>;
using Function = void (*)(PictureSpan picture, double parameter, Scratch& scratch);

template <void (*kFunction)(PictureSpan, double)>
void InPlace(PictureSpan picture, double parameter, Scratch&) {
  kFunction(picture, parameter);
}

template <void (*kFunction)(PictureSpan)>
void Plain(PictureSpan picture, double, Scratch&) {
  kFunction(picture);
}

void Identity(PictureSpan, double, Scratch&) {}

// In the order of PictureOperation.
constexpr std::array<Function, plan::kPictureOperations> kFunctions = {
    Identity,
    [](PictureSpan picture, double slope, Scratch& scratch) {
      Warp(picture, ShearXMap(slope, picture.height), scratch);
    },
    [](PictureSpan picture, double slope, Scratch& scratch) {
      Warp(picture, ShearYMap(slope, picture.width), scratch);
    },
    [](PictureSpan picture, double pixels, Scratch& scratch) {
      Warp(picture, TranslationMap(pixels, 0), scratch);
    },
    [](PictureSpan picture, double pixels, Scratch& scratch) {
      Warp(picture, TranslationMap(0, pixels), scratch);
    },
    [](PictureSpan picture, double degrees, Scratch& scratch) {
      Warp(picture, RotationMap(degrees), scratch);
    },
    InPlace<AdjustBrightness>,
    InPlace<AdjustSaturation>,
    InPlace<AdjustContrast>,
    AdjustSharpness,
    [](PictureSpan picture, double bits, Scratch&) { Posterize(picture, static_cast<int>(bits)); },
    InPlace<Solarize>,
    Plain<AutoContrast>,
    Plain<Equalize>,
    Plain<Invert>,
    InPlace<AdjustHue>,
};
static_assert(static_cast<size_t>(PictureOperation::kHue) + 1 == kFunctions.size());

}  // namespace

void PictureEditor::Apply(absl::Span<const plan::PictureStep> steps, PictureSpan picture) {
  CVT_CHECK(picture.pixels.size() == picture.pixel_count() * 3);
  for (const plan::PictureStep& step : steps) {
    kFunctions[static_cast<size_t>(step.operation)](picture, step.parameter, scratch_);
  }
}

}  // namespace cvtrain::formats
