#include "worker/trainer/augment/normal_numbers.h"

#include <ATen/ATen.h>

#include <numbers>

namespace cvtrain::trainer {
namespace {

void FillUniform(KeyedStream stream, int64_t pairs, float* radius, float* angle) {
  constexpr float kUnit = 0x1p-24F;
  for (int64_t i = 0; i < pairs; ++i) {
    radius[i] = static_cast<float>((stream.NextU32() >> 8) + 1) * kUnit;  // in (0, 1]
    angle[i] = static_cast<float>(stream.NextU32() >> 8) * kUnit;         // in [0, 1)
  }
}

}  // namespace

at::Tensor NormalNumbers(at::IntArrayRef sizes, const std::vector<int64_t>& chosen,
                         const plan::RankStepKey& key, SampleStreamFunction stream_of) {
  const int64_t per_picture = sizes[1] * sizes[2] * sizes[3];
  const int64_t pairs = (per_picture + 1) / 2;
  at::Tensor radius = at::empty({sizes[0], pairs}, at::kFloat);
  at::Tensor angle = at::empty({sizes[0], pairs}, at::kFloat);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const plan::SampleKey sample = {.step = key, .position = static_cast<int32_t>(chosen[i])};
    const int64_t row = static_cast<int64_t>(i) * pairs;
    FillUniform(stream_of(sample), pairs, radius.data_ptr<float>() + row,
                angle.data_ptr<float>() + row);
  }
  radius.log_().mul_(-2).sqrt_();
  angle.mul_(2 * std::numbers::pi);
  return at::cat({radius * at::cos(angle), radius * at::sin(angle)}, 1)
      .narrow(1, 0, per_picture)
      .reshape(sizes);
}

}  // namespace cvtrain::trainer
