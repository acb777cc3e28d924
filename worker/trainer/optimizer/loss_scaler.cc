#include "worker/trainer/optimizer/loss_scaler.h"

#include <torch/types.h>
#include <torch/utils.h>

namespace cvtrain::trainer {
namespace {

// torch.amp.GradScaler's defaults.
constexpr double kStart = 65'536;
constexpr double kGrowth = 2;
constexpr double kBackoff = 0.5;
constexpr int64_t kGrowthInterval = 2'000;

}  // namespace

LossScaler::LossScaler(at::Device place)
    : scale_(at::full({}, kStart, at::TensorOptions(at::kFloat).device(place))),
      good_steps_(at::zeros({}, at::TensorOptions(at::kInt).device(place))),
      overflow_(at::zeros({}, at::TensorOptions(at::kFloat).device(place))) {}

double LossScaler::scale() const { return scale_.item<double>(); }

bool LossScaler::Unscale(std::vector<at::Tensor> gradients) {
  at::NoGradGuard no_grad;
  overflow_.zero_();
  at::_amp_foreach_non_finite_check_and_unscale_(
      gradients, overflow_, scale_.to(at::kDouble).reciprocal().to(at::kFloat));
  return overflow_.item<float>() == 0;
}

void LossScaler::Update() {
  at::_amp_update_scale_(scale_, good_steps_, overflow_, kGrowth, kBackoff, kGrowthInterval);
}

}  // namespace cvtrain::trainer
