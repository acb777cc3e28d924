#ifndef CVTRAIN_TESTS_UNIT_FORMATS_CORRUPTION_CORRUPTION_NAMES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_CORRUPTION_CORRUPTION_NAMES_H_

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "formats/corruption/corruption.h"
#include "formats/corruption/corruptor.h"
#include "formats/image/image.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::formats::testing {

// How golden files spell the kinds, in their order.
inline constexpr std::array<absl::string_view, kCorruptionKinds> kCorruptionNames = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate"};

inline CorruptionKind CorruptionOf(absl::string_view name) {
  const auto* found = std::find(kCorruptionNames.begin(), kCorruptionNames.end(), name);
  CVT_CHECK(found != kCorruptionNames.end()) << name;
  return static_cast<CorruptionKind>(found - kCorruptionNames.begin() + 1);
}

inline absl::string_view NameOf(CorruptionKind kind) {
  return kCorruptionNames[static_cast<size_t>(kind) - 1];
}

inline std::vector<CorruptionKind> AllCorruptions() {
  std::vector<CorruptionKind> kinds;
  for (const absl::string_view name : kCorruptionNames) kinds.push_back(CorruptionOf(name));
  return kinds;
}

inline CorruptionLevels LevelsOf(absl::string_view name) {
  CVT_CHECK(name == "imagenet_c" || name == "cifar10_c") << name;
  return name == "imagenet_c" ? CorruptionLevels::kImagenetC : CorruptionLevels::kCifar10C;
}

// A copy of `image`, corrupted by what `stream` gives.
inline Image Corrupted(Corruptor& corruptor, Image image, const Corruption& corruption,
                       const KeyedStream& stream) {
  CVT_CHECK_OK(corruptor.Apply(corruption, stream, image));
  return image;
}

// By the stream of the `draw`-th picture.
inline Image Corrupted(Corruptor& corruptor, Image image, const Corruption& corruption,
                       int64_t draw = 0) {
  return Corrupted(
      corruptor, std::move(image), corruption,
      plan::CorruptionStream(draw, static_cast<int32_t>(corruption.kind), corruption.severity));
}

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_CORRUPTION_CORRUPTION_NAMES_H_
