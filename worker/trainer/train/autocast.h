#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_AUTOCAST_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_AUTOCAST_H_

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <optional>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::trainer {

// What convolutions and products are computed in; nothing for float32.
std::optional<at::ScalarType> AutocastTypeOf(cvtrain::v1::Recipe::Precision precision);

// While it lives, this thread runs convolutions and products on `device` in `type`, if there is
// one.
class AutocastScope {
 public:
  AutocastScope(std::optional<at::ScalarType> type, at::DeviceType device);
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;
  ~AutocastScope();

 private:
  const at::DeviceType device_;
  const bool before_;
  const at::ScalarType type_before_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_AUTOCAST_H_
