#include "worker/trainer/train/step_agreement.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <array>

namespace cvtrain::trainer {
namespace {

// Places in the exchanged numbers: the sums, then one count for each cause.
constexpr size_t kSums = 7;
constexpr size_t kCauses = static_cast<size_t>(cvtrain::v1::Cause_MAX) + 1;

}  // namespace

cvtrain::v1::Cause AgreeOnStep(ProcessGroup& group, const StopRequest& request, StepSums& sums) {
  const bool stops = request.mode != StopRequest::Mode::kNone;
  if (group.world_size() == 1) {
    return stops ? request.cause : cvtrain::v1::CAUSE_UNSPECIFIED;
  }
  std::array<double, kSums + kCauses> numbers = {sums.task_loss,
                                                 sums.augment_loss,
                                                 sums.mse_mean,
                                                 sums.replaced_samples,
                                                 absl::ToDoubleSeconds(sums.stall.network),
                                                 absl::ToDoubleSeconds(sums.stall.disk),
                                                 absl::ToDoubleSeconds(sums.stall.decode)};
  if (stops) numbers[kSums + static_cast<size_t>(request.cause)] = 1;
  at::Tensor tensor =
      at::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, at::kDouble);
  group.SumOverRanks(tensor);
  sums.task_loss = numbers[0];
  sums.augment_loss = numbers[1];
  sums.mse_mean = numbers[2];
  sums.replaced_samples = numbers[3];
  sums.stall = {absl::Seconds(numbers[4]), absl::Seconds(numbers[5]), absl::Seconds(numbers[6])};
  for (size_t cause = 1; cause < kCauses; ++cause) {
    if (numbers[kSums + cause] > 0) return static_cast<cvtrain::v1::Cause>(cause);
  }
  return cvtrain::v1::CAUSE_UNSPECIFIED;
}

}  // namespace cvtrain::trainer
