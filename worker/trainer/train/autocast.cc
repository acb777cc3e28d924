#include "worker/trainer/train/autocast.h"

#include <ATen/autocast_mode.h>

namespace cvtrain::trainer {

std::optional<at::ScalarType> AutocastTypeOf(cvtrain::v1::Recipe::Precision precision) {
  switch (precision) {
    case cvtrain::v1::Recipe::PRECISION_BF16:
      return at::ScalarType::BFloat16;
    case cvtrain::v1::Recipe::PRECISION_FP16:
      return at::ScalarType::Half;
    default:
      return std::nullopt;
  }
}

AutocastScope::AutocastScope(std::optional<at::ScalarType> type, at::DeviceType device)
    : device_(device),
      before_(at::autocast::is_autocast_enabled(device_)),
      type_before_(at::autocast::get_autocast_dtype(device_)) {
  at::autocast::set_autocast_enabled(device_, type.has_value());
  if (type.has_value()) at::autocast::set_autocast_dtype(device_, *type);
}

AutocastScope::~AutocastScope() {
  // Casts of the weights are of no use after the optimizer has changed them.
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, before_);
  at::autocast::set_autocast_dtype(device_, type_before_);
}

}  // namespace cvtrain::trainer
