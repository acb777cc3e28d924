#ifndef CVTRAIN_PLAN_RECIPE_PARAMETER_CHECKER_H_
#define CVTRAIN_PLAN_RECIPE_PARAMETER_CHECKER_H_

#include <set>
#include <string>

#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/field_path.h"
#include "plan/recipe/schema.h"
#include "plan/rules/rules.h"

// What the checks of searches share. Internal to the folder.
namespace cvtrain::plan {

inline constexpr int kSearchParametersMax = 16;
inline constexpr int kSearchTrialsMax = limits::kTrialsPerSweepMax;

// Checks parameters and their values against the recipe they would change. `spec` and `rules` must
// outlive it. Thread-compatible.
class ParameterChecker {
 public:
  ParameterChecker(const v1::ExperimentSpec& spec, Rules& rules);

  // The type of the parameter named in `field`; false after a violation.
  bool CheckName(const std::string& field, const std::string& path, FieldType& type);

  // The same for one that must be a number or an integer.
  bool CheckNumberName(const std::string& field, const std::string& path, FieldType& type);

  // Whether the recipe with this one value is valid.
  void CheckValue(const std::string& field, const std::string& path, const std::string& value);

  // The same for a list of 1 to 10,000 values that differ.
  void CheckValues(const std::string& field, const std::string& path,
                   const google::protobuf::RepeatedPtrField<std::string>& values);

  const v1::ExperimentSpec& spec() const { return spec_; }
  Rules& rules() { return rules_; }

 private:
  const v1::ExperimentSpec& spec_;
  Rules& rules_;
  std::set<std::string> known_;  // fields that are wrong without the search, too
  std::set<std::string> names_;
  int tried_ = 0;
};

// False after a violation: not 1 to `max` entries.
bool CheckCount(const std::string& field, int count, int max, Rules& rules);

// validate_search_space.cc: those of methods with a SearchSpace.
void CheckSearchSpace(ParameterChecker& checker);

// validate_scalar_search.cc: golden, bisect, secant, monotone_threshold.
void CheckScalarSearch(ParameterChecker& checker);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_PARAMETER_CHECKER_H_
