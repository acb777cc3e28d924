#ifndef CVTRAIN_PLAN_RECIPE_RULES_H_
#define CVTRAIN_PLAN_RECIPE_RULES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/errors.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf
namespace cvtrain::v1 {
class Augmentation;
class ExperimentSpec;
class Recipe;
class Sampler;
class SizedBatch;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// The parts of Validate(). Internal to the folder.

// An interval of numbers, written as people read it: [0, 1).
struct Interval {
  double low = 0;
  double high = 0;
  bool low_is_open = false;
  bool high_is_open = false;

  bool Contains(double value) const {
    return (low_is_open ? value > low : value >= low) &&
           (high_is_open ? value < high : value <= high);
  }
  std::string ToString() const;
};

inline Interval Closed(double low, double high) { return {low, high, false, false}; }
inline Interval Above(double low, double high) { return {low, high, true, false}; }
inline Interval Below(double low, double high) { return {low, high, false, true}; }

// Collects violations. Thread-compatible.
class Rules {
 public:
  void Add(std::string field, std::string rule, std::string value = {});

  // Adds a violation unless `value` is inside. Numbers that are not finite are
  // CheckText()'s business, so that each is reported once.
  void InRange(absl::string_view field, double value, const Interval& interval);

  // The same for a field that must be given: 0 or unset means that it is not.
  void Required(absl::string_view field, bool is_given, double value, const Interval& interval);

  // Adds a violation unless `name` is a label (ValidateLabelName()).
  void Label(absl::string_view field, const std::string& name);
  void OptionalLabel(absl::string_view field, const std::string& name);

  const std::vector<FieldViolation>& violations() const { return violations_; }

 private:
  std::vector<FieldViolation> violations_;
};

// Every text is UTF-8 without control characters and at most 1 KiB, every number
// finite, every enum value known. Newlines are allowed in `description`.
void CheckText(const google::protobuf::Message& message, const std::string& path, Rules& rules);

// validate_recipe.cc: all of the recipe, by those below.
void CheckRecipe(const v1::Recipe& recipe, Rules& rules);

// validate_augmentation.cc.
void CheckAugmentation(const v1::Augmentation& augmentation, Rules& rules);

// validate_sampler.cc. `epochs` is 0 if it is not known.
void CheckSampler(const v1::Sampler& sampler, int epochs, Rules& rules);

// validate_evaluation.cc: evaluation, checkpoints, the synthetic task.
void CheckEvaluation(const v1::Recipe& recipe, Rules& rules);
void CheckCheckpoint(const v1::Recipe& recipe, Rules& rules);
void CheckSynthetic(const v1::Recipe& recipe, Rules& rules);

// validate_search.cc. The recipe of `spec` has been checked.
void CheckSearch(const v1::ExperimentSpec& spec, Rules& rules);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_RULES_H_
