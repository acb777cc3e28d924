#ifndef CVTRAIN_PLAN_CURRICULUM_SAMPLE_ORDER_H_
#define CVTRAIN_PLAN_CURRICULUM_SAMPLE_ORDER_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plan/curriculum/permutation.h"
#include "plan/curriculum/trial_plan.h"

namespace cvtrain::plan {

// Which images an epoch shows, and where: the epoch's keyed permutation dealt
// to the logical ranks (see TrialPlan).
//
// Immutable; cheap to make, one per epoch.
class SampleOrder {
 public:
  SampleOrder(const TrialPlan& plan, int32_t epoch);

  // Index of the image at `position` of the list of `logical_rank`. Positions
  // wrap around at TrialPlan::images_per_rank().
  int64_t At(int32_t logical_rank, int64_t position) const;

  // The images of `step` for one logical rank, in order.
  std::vector<int64_t> Batch(const PlannedStep& step, int32_t logical_rank) const;

 private:
  Permutation permutation_;
  int64_t images_;
  int64_t images_per_rank_;
  int32_t logical_ranks_;
};

// A digest of the samples that a trial has seen, in the global order of its
// steps: two runs with equal digests have had the same images in the same
// places, whatever their processes, crashes and resizes were.
//
//   state(k + 1) = SHA-256(state(k) || epoch || step || size || for each logical
//                  rank, for each position: index of the image)
//
// with little-endian 64-bit integers, beginning at 32 zero bytes.
//
// Thread-compatible. A value: checkpoints carry Hex().
class SampleDigest {
 public:
  SampleDigest() = default;

  // Returns INVALID_ARGUMENT (CHECKPOINT_BAD) unless `hex` is 64 lower-case hex digits.
  static absl::StatusOr<SampleDigest> FromHex(absl::string_view hex);

  // Folds in one step of `epoch`, the `step_in_epoch`-th, of all logical ranks.
  void Fold(const TrialPlan& plan, const SampleOrder& order, const StepPosition& position,
            const PlannedStep& step);

  std::string Hex() const;

  friend bool operator==(const SampleDigest&, const SampleDigest&) = default;

 private:
  std::array<uint8_t, 32> state_ = {};
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_SAMPLE_ORDER_H_
