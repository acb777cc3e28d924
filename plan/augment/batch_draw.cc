#include "plan/augment/batch_draw.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

constexpr int kErasingTries = 10;

// Uniform in (0, 1], so that it has a logarithm.
double PositiveUniform(KeyedStream& stream) { return 1 - stream.Uniform01(); }

// The logarithm of a Gamma(shape, 1) variable.
double DrawLogGamma(double shape, KeyedStream& stream) {
  if (shape < 1) {
    // Gamma(shape) is Gamma(shape + 1) times a uniform number to the power of 1 / shape.
    const double log_power = std::log(PositiveUniform(stream)) / shape;
    return DrawLogGamma(shape + 1, stream) + log_power;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = stream.Normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double log_v = 3 * std::log(root);
    const double v = root * root * root;
    if (std::log(PositiveUniform(stream)) < x * x / 2 + d - d * v + d * log_v) {
      return std::log(d) + log_v;
    }
  }
}

int DrawIndex(int count, KeyedStream& stream) {
  return static_cast<int>(stream.UniformInt(static_cast<uint64_t>(count)));
}

// Around a point drawn uniformly, sides in the ratio of the picture's, cut at its edges.
PixelBox DrawCutMixBox(double share, PixelSize size, KeyedStream& stream) {
  const int x = DrawIndex(size.width, stream);
  const int y = DrawIndex(size.height, stream);
  const double half = 0.5 * std::sqrt(share);
  const int half_width = static_cast<int>(half * size.width);
  const int half_height = static_cast<int>(half * size.height);
  const int left = std::max(x - half_width, 0);
  const int top = std::max(y - half_height, 0);
  return {.x = left,
          .y = top,
          .width = std::min(x + half_width, size.width) - left,
          .height = std::min(y + half_height, size.height) - top};
}

std::vector<int64_t> DrawPermutation(int64_t count, KeyedStream& stream) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  stream.Shuffle(order);
  return order;
}

}  // namespace

std::optional<PixelBox> DrawErasing(const v1::RandomErasing& spec, PixelSize size,
                                    KeyedStream stream) {
  if (!stream.Bernoulli(spec.probability())) return std::nullopt;
  const double area = static_cast<double>(size.width) * size.height;
  const double log_min = std::log(spec.ratio_min());
  const double log_max = std::log(spec.ratio_max());
  for (int i = 0; i < kErasingTries; ++i) {
    const double target = area * stream.Uniform(spec.scale_min(), spec.scale_max());
    const double ratio = std::exp(stream.Uniform(log_min, log_max));
    const auto height = static_cast<int>(std::lround(std::sqrt(target * ratio)));
    const auto width = static_cast<int>(std::lround(std::sqrt(target / ratio)));
    if (height < 1 || height >= size.height || width < 1 || width >= size.width) continue;
    const int y = DrawIndex(size.height - height + 1, stream);
    const int x = DrawIndex(size.width - width + 1, stream);
    return PixelBox{.x = x, .y = y, .width = width, .height = height};
  }
  return std::nullopt;
}

double DrawBeta(double alpha, KeyedStream& stream) {
  const double log_a = DrawLogGamma(alpha, stream);
  const double log_b = DrawLogGamma(alpha, stream);
  return 1 / (1 + std::exp(log_b - log_a));
}

BatchMix DrawMix(const v1::Augmentation& augmentation, int64_t count, PixelSize size,
                 const RankStepKey& key) {
  BatchMix mix;
  if (!augmentation.has_mixup() && !augmentation.has_cutmix()) return mix;
  KeyedStream stream = MixStream(key);
  const bool has_both = augmentation.has_mixup() && augmentation.has_cutmix();
  const bool is_cutmix = has_both ? stream.Bernoulli(0.5) : augmentation.has_cutmix();
  const double probability =
      is_cutmix ? augmentation.cutmix().probability() : augmentation.mixup().probability();
  if (!stream.Bernoulli(probability)) return mix;
  mix.partners = DrawPermutation(count, stream);
  if (!is_cutmix) {
    mix.kind = BatchMix::Kind::kMixUp;
    mix.own = DrawBeta(augmentation.mixup().alpha(), stream);
    return mix;
  }
  mix.kind = BatchMix::Kind::kCutMix;
  const double weight = DrawBeta(augmentation.cutmix().alpha(), stream);
  mix.box = DrawCutMixBox(1 - weight, size, stream);
  const double area = static_cast<double>(size.width) * size.height;
  mix.own = 1 - static_cast<double>(mix.box.area()) / area;
  return mix;
}

}  // namespace cvtrain::plan
