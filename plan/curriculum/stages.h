#ifndef CVTRAIN_PLAN_CURRICULUM_STAGES_H_
#define CVTRAIN_PLAN_CURRICULUM_STAGES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/curriculum/scale_set.h"

namespace cvtrain::v1 {
class Recipe;
class Sampler;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Epochs [from_epoch, to_epoch) that draw their steps from one set of scales.
struct Stage {
  int32_t index = 0;
  int32_t from_epoch = 0;
  int32_t to_epoch = 0;
  // Sorted, not empty.
  std::vector<Scale> scales;
};

// The ordered stages of a trial. A stage is a function of the epoch alone, so a
// run that resumes in any epoch is in the right one.
//
// Immutable.
class Curriculum {
 public:
  // `recipe` should be valid; defaults may be missing. Neighbouring epochs with
  // the same scales are one stage, so a linear growth has as many stages as it
  // has different sets.
  //
  // Returns INVALID_ARGUMENT (RECIPE_INVALID) if there are no epochs or no
  // sampler, or if a range or list of stages is impossible.
  static absl::StatusOr<Curriculum> Create(const v1::Recipe& recipe);

  int32_t epochs() const { return stages_.back().to_epoch; }
  const std::vector<Stage>& stages() const { return stages_; }

  // The size that the recipe calls its base, before rounding, with its batch.
  const Scale& base() const { return base_; }

  // Epochs at and after the last are in the last stage.
  const Stage& StageOf(int32_t epoch) const;

 private:
  Curriculum() = default;

  Scale base_;
  std::vector<Stage> stages_;  // not empty
};

// The options of every epoch's set, in order, one per change of the range:
// (first epoch, options). For validation, which looks at each of them.
struct StageOptions {
  int32_t from_epoch = 0;
  ScaleSetOptions options;
};
std::vector<StageOptions> StageOptionsOf(const v1::Sampler& sampler, int32_t epochs);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_STAGES_H_
