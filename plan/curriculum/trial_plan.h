#ifndef CVTRAIN_PLAN_CURRICULUM_TRIAL_PLAN_H_
#define CVTRAIN_PLAN_CURRICULUM_TRIAL_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/curriculum/stages.h"

namespace cvtrain::plan {

// One optimizer step: every logical rank has the same size and batch, so ranks
// agree without talking.
struct PlannedStep {
  // Size, and images of one logical rank.
  Scale scale;
  // Index of `scale` in its stage.
  int32_t scale_index = 0;
  // Position of the first image in the list of each logical rank. The batch is
  // positions first_position + 0, 1, ..., modulo images_per_rank().
  int64_t first_position = 0;
};

// Where a trial stands: after `step_in_epoch` steps of `epoch`.
struct StepPosition {
  int32_t epoch = 0;
  int64_t step_in_epoch = 0;

  friend bool operator==(const StepPosition&, const StepPosition&) = default;
};

// Images of each part but the last, when a batch is run in `parts` parts, or in as many as it has
// images. Both at least 1.
inline int64_t MicroBatchSize(int64_t batch_size, int64_t parts) {
  return (batch_size + parts - 1) / parts;
}

// What a trial will do, step by step: a pure function of (recipe, images,
// logical ranks). Nothing in it depends on the number of processes.
//
// An epoch has one global order, a keyed permutation of the images (padded to a
// multiple of the logical ranks by its own first entries). Logical rank r owns
// every L-th entry beginning at r, and each step takes the next batch of every
// rank's list, whose tail wraps around to its front. With n images, L ranks:
//
//   global order   p(0) p(1) p(2) ... p(n-1) p(0) ...      p = Permutation(seed, epoch)
//   rank 0         p(0) p(L) p(2L) ...      positions 0, 1, 2 ...
//   rank 1         p(1) p(L+1) ...
//
// Immutable, thread-safe. Holds eight bytes per epoch, and no list of images.
class TrialPlan {
 public:
  struct Options {
    // Keys every choice.
    uint64_t seed = 0;
    // Images of the training split, at least 1.
    int64_t images = 0;
    // At least 1.
    int32_t logical_ranks = 1;
  };

  // Walks all epochs once: some 20 ns a step with variable batches, nothing
  // otherwise.
  //
  // Returns INVALID_ARGUMENT (RECIPE_INVALID) if `options` is out of range or
  // the trial would have more than kStepsMax steps.
  static absl::StatusOr<TrialPlan> Create(Curriculum curriculum, const Options& options);

  // Steps of one trial: bounds what a request can make the planner walk.
  static constexpr int64_t kStepsMax = 20'000'000;

  const Curriculum& curriculum() const { return curriculum_; }
  uint64_t seed() const { return options_.seed; }
  int64_t images() const { return options_.images; }
  int32_t logical_ranks() const { return options_.logical_ranks; }
  int32_t epochs() const { return curriculum_.epochs(); }

  // Length of each logical rank's list in an epoch.
  int64_t images_per_rank() const { return images_per_rank_; }

  // Steps of the whole trial, exact.
  int64_t step_total() const { return first_step_.back(); }

  // Global step with which `epoch` begins; `epoch` in [0, epochs()], where the
  // last means step_total().
  int64_t FirstStepOf(int32_t epoch) const { return first_step_[static_cast<size_t>(epoch)]; }
  int64_t StepsOf(int32_t epoch) const { return FirstStepOf(epoch + 1) - FirstStepOf(epoch); }

  // All steps of `epoch` < epochs(), in order. Costs a walk of the epoch.
  std::vector<PlannedStep> EpochSteps(int32_t epoch) const;

  // Adds the steps of `epoch` to `counts`, one entry for each scale of its stage,
  // without making a list of them.
  void CountSteps(int32_t epoch, std::vector<int64_t>& counts) const;

  // Position of the step that follows `global_step` finished ones, in [0,
  // step_total()]. At the end of an epoch this is the begin of the next; at the
  // end of the trial (epochs(), 0).
  StepPosition PositionOf(int64_t global_step) const;
  int64_t GlobalStepOf(const StepPosition& position) const {
    return FirstStepOf(position.epoch) + position.step_in_epoch;
  }

 private:
  TrialPlan(Curriculum curriculum, const Options& options);

  Curriculum curriculum_;
  Options options_;
  int64_t images_per_rank_;
  std::vector<int64_t> first_step_;  // by epoch, and one past the last
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_TRIAL_PLAN_H_
