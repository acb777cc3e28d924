#ifndef CVTRAIN_FORMATS_CORRUPTION_CORRUPTION_H_
#define CVTRAIN_FORMATS_CORRUPTION_CORRUPTION_H_

#include <cstdint>

namespace cvtrain::formats {

// The common corruptions of Hendrycks and Dietterich, "Benchmarking neural network robustness to
// common corruptions and perturbations", ICLR 2019. Numbered as
// cvtrain.v1.EvaluationCondition.Corruption. `frost` is not here: it needs photographs.
enum class CorruptionKind : uint8_t {
  kGaussianNoise = 1,
  kShotNoise = 2,
  kImpulseNoise = 3,
  kDefocusBlur = 4,
  kGlassBlur = 5,
  kMotionBlur = 6,
  kZoomBlur = 7,
  kSnow = 8,
  kFog = 9,
  kBrightness = 10,
  kContrast = 11,
  kElasticTransform = 12,
  kPixelate = 13,
  kJpegCompression = 14,
  kSpeckleNoise = 15,
  kGaussianBlur = 16,
  kSpatter = 17,
  kSaturate = 18,
};
inline constexpr int kCorruptionKinds = 18;

// Whose numbers a severity stands for. Numbered as cvtrain.v1.EvaluationCondition.Levels.
enum class CorruptionLevels : uint8_t { kImagenetC = 1, kCifar10C = 2 };

struct Corruption {
  CorruptionKind kind = CorruptionKind::kGaussianNoise;
  int severity = 1;  // 1 to 5
  CorruptionLevels levels = CorruptionLevels::kImagenetC;
};

// Of a side of a picture, pixels.
inline constexpr int kCorruptedSideMin = 8;

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_CORRUPTION_H_
