#include "plan/augment/crop.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

constexpr int kTries = 10;

CropRect LargestCentred(int width, int height, double ratio_min, double ratio_max) {
  const double ratio = static_cast<double>(width) / height;
  int crop_width = width;
  int crop_height = height;
  if (ratio < ratio_min) {
    crop_height = static_cast<int>(std::lround(width / ratio_min));
  } else if (ratio > ratio_max) {
    crop_width = static_cast<int>(std::lround(height * ratio_max));
  }
  return {.x = static_cast<double>((width - crop_width) / 2),
          .y = static_cast<double>((height - crop_height) / 2),
          .width = static_cast<double>(crop_width),
          .height = static_cast<double>(crop_height)};
}

}  // namespace

CropRect DrawResizedCrop(int width, int height, const v1::RandomResizedCrop& spec,
                         KeyedStream stream) {
  const double area = static_cast<double>(width) * height;
  const double log_min = std::log(spec.ratio_min());
  const double log_max = std::log(spec.ratio_max());
  for (int i = 0; i < kTries; ++i) {
    const double target = area * stream.Uniform(spec.scale_min(), spec.scale_max());
    const double ratio = std::exp(stream.Uniform(log_min, log_max));
    const auto crop_width = static_cast<int>(std::lround(std::sqrt(target * ratio)));
    const auto crop_height = static_cast<int>(std::lround(std::sqrt(target / ratio)));
    if (crop_width < 1 || crop_width > width || crop_height < 1 || crop_height > height) continue;
    const auto y = stream.UniformInt(static_cast<uint64_t>(height - crop_height) + 1);
    const auto x = stream.UniformInt(static_cast<uint64_t>(width - crop_width) + 1);
    return {.x = static_cast<double>(x),
            .y = static_cast<double>(y),
            .width = static_cast<double>(crop_width),
            .height = static_cast<double>(crop_height)};
  }
  return LargestCentred(width, height, spec.ratio_min(), spec.ratio_max());
}

CropRect CentreCrop(int width, int height, int resize, int crop) {
  const double side = std::min(1.0, static_cast<double>(crop) / resize) * std::min(width, height);
  return {.x = (width - side) / 2, .y = (height - side) / 2, .width = side, .height = side};
}

CropRect WholePicture(PixelSize source) {
  return {.width = static_cast<double>(source.width), .height = static_cast<double>(source.height)};
}

CropRect CentreCropOfRatio(PixelSize source, PixelSize target, double resize_ratio) {
  const double fit = std::min(static_cast<double>(source.width) / target.width,
                              static_cast<double>(source.height) / target.height);
  const double width = target.width * fit / resize_ratio;
  const double height = target.height * fit / resize_ratio;
  return {.x = (source.width - width) / 2,
          .y = (source.height - height) / 2,
          .width = width,
          .height = height};
}

}  // namespace cvtrain::plan
