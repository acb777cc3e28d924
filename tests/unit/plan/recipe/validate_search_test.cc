#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "plan/recipe/validate.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kObjective[] = "search.objective={metric: val/top1, mode: max}";

std::vector<std::string> Lines(const std::vector<std::string>& changes) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : Validate(MultiScaleSpec(changes))) {
    lines.push_back(ToString(violation));
  }
  return lines;
}

// Violations of a recipe with RangeAugment and this search method.
std::vector<std::string> Method(const std::string& method) {
  return Lines(
      {"recipe.augmentation.range_augment={target_psnr: {}}", "search=" + method, kObjective});
}

std::string Grid(const std::string& parameter, const std::string& values) {
  return absl::StrCat("{grid: {parameters: [{parameter: ", parameter, ", values: ", values, "}]}}");
}

std::string Random(const std::string& parameter, const std::string& distribution) {
  return absl::StrCat("{random: {trials: 4, parameters: [{parameter: ", parameter, ", ",
                      distribution, "}]}}");
}

constexpr char kEnd[] = "recipe.augmentation.range_augment.target_psnr.end";
constexpr char kMomentum[] = "recipe.optimizer.sgd.momentum";

std::string Linear(const std::string& rest, const std::string& parameter = kEnd) {
  return absl::StrCat("{linear: {parameter: ", parameter, ", ", rest, "}}");
}

TEST(ValidateSearchTest, AcceptsEachMethod) {
  EXPECT_THAT(Method(Grid(kMomentum, "[0.5, 0.9]")), IsEmpty());
  EXPECT_THAT(Method(Grid("recipe.precision", "[fp32, bf16]")), IsEmpty());
  EXPECT_THAT(Method(Grid("recipe.optimizer.sgd.nesterov", "[true, false]")), IsEmpty());
  EXPECT_THAT(Method(Random(kMomentum, "uniform: {min: 0, max: 1}")), IsEmpty());
  EXPECT_THAT(Method(Random("recipe.learning_rate.cosine.max", "log_uniform: {min: 0.01, max: 1}")),
              IsEmpty());
  EXPECT_THAT(Method(Random("recipe.epochs", "integer: {min: 5, max: 10}")), IsEmpty());
  EXPECT_THAT(Method(Random("recipe.model.resnet.depth", "choice: {values: [18, 50]}")), IsEmpty());
  EXPECT_THAT(Method(Linear("start: 40, stop: 10, step: -10")), IsEmpty());
  EXPECT_THAT(Method(Linear("values: [40, 20, 10, 5]")), IsEmpty());
}

TEST(ValidateSearchTest, NeedsAMethodAndAnObjective) {
  EXPECT_THAT(Lines({kObjective}), ElementsAre(StartsWith("search: must be one of grid")));
  EXPECT_THAT(Lines({"search=" + Grid(kMomentum, "[0.5]")}),
              ElementsAre(StartsWith("search.objective: is required")));
  EXPECT_THAT(Lines({"search=" + Grid(kMomentum, "[0.5]"), "search.objective={}"}),
              ElementsAre(StartsWith("search.objective.metric: is required"),
                          StartsWith("search.objective.mode: is required")));
  EXPECT_THAT(
      Lines({"search=" + Grid(kMomentum, "[0.5]"), kObjective, "search.max_parallel_trials=0"}),
      ElementsAre(StartsWith("search.max_parallel_trials: must be in [1, 10000]")));
}

TEST(ValidateSearchTest, KnowsTheMetricsOfTheEvaluation) {
  auto metric = [](const std::string& name) {
    return Lines({"search=" + Grid(kMomentum, "[0.5]"),
                  "search.objective={mode: max, metric: " + name + "}",
                  "recipe.evaluation={sizes: [{crop: 112}, {crop: 64}], conditions: [{name: "
                  "clean}, {name: noisy, noise: 0.1}]}"});
  };
  EXPECT_THAT(metric("val/mean/top1"), IsEmpty());
  EXPECT_THAT(metric("val@64px/noisy/loss"), IsEmpty());
  EXPECT_THAT(metric("val/top2"), ElementsAre(HasSubstr("did you mean val/top1")));
  EXPECT_THAT(metric("val@112px/top1"), ElementsAre(HasSubstr("search.objective.metric: must be")));
}

TEST(ValidateSearchTest, RefusesParametersThatAreNone) {
  auto parameter = [](const std::string& path) { return Method(Grid(path, "[1]")); };
  EXPECT_THAT(parameter("recipe.optimizer.sgd.momentun"),
              ElementsAre(HasSubstr("did you mean momentum?")));
  EXPECT_THAT(parameter("recipe.optimizer"), ElementsAre(HasSubstr("is no single value")));
  EXPECT_THAT(parameter("''"), ElementsAre(HasSubstr("parameter: is required")));
  EXPECT_THAT(parameter("recipe.dataset.version"), ElementsAre(HasSubstr("may differ between")));
  EXPECT_THAT(parameter("recipe.task"), ElementsAre(HasSubstr("may differ between")));
  EXPECT_THAT(parameter("priority"), ElementsAre(HasSubstr("must be a field of the recipe")));
  EXPECT_THAT(Method("{grid: {parameters: []}}"), ElementsAre(HasSubstr("1 to 16 entries")));
  EXPECT_THAT(
      Method(absl::StrCat("{grid: {parameters: [{parameter: ", kMomentum, ", values: [0.1]}, ",
                          "{parameter: ", kMomentum, ", values: [0.2]}]}}")),
      ElementsAre(HasSubstr("parameters.1.parameter: is given twice")));
}

TEST(ValidateSearchTest, RefusesValuesThatMakeABadRecipe) {
  EXPECT_THAT(Method(Grid(kMomentum, "[0.5, 1.5]")),
              ElementsAre(StartsWith("search.grid.parameters.0.values.1: makes a recipe that "
                                     "cannot run: recipe.optimizer.sgd.momentum: must be in")));
  EXPECT_THAT(Method(Grid(kMomentum, "[high]")), ElementsAre(HasSubstr("must be a number")));
  EXPECT_THAT(Method(Grid(kMomentum, "[0.5, 0.5]")), ElementsAre(HasSubstr("is given twice")));
  EXPECT_THAT(Method(Grid(kMomentum, "[]")), ElementsAre(HasSubstr("1 to 10000 entries")));
  EXPECT_THAT(Method(Grid("recipe.model.small_resnet.stem", "[cifar]")),
              ElementsAre(HasSubstr("the recipe has resnet, not small_resnet")));
  EXPECT_THAT(Method(Linear("start: 40, stop: -10, step: -10")),
              ElementsAre(StartsWith("search.linear.step: makes a recipe that cannot run")));
}

TEST(ValidateSearchTest, DoesNotBlameAValueForARecipeThatIsWrongAnyway) {
  EXPECT_THAT(Lines({"recipe.epochs=0", "search=" + Grid(kMomentum, "[0.5]"), kObjective}),
              ElementsAre(StartsWith("recipe.epochs")));
}

TEST(ValidateSearchTest, BoundsTheNumberOfTrials) {
  std::vector<std::string> values;
  for (int i = 0; i < 101; ++i) values.push_back(absl::StrCat(i));
  const std::string list = absl::StrCat("[", absl::StrJoin(values, ", "), "]");
  auto two = [&](const std::string& second) {
    return Method(absl::StrCat("{grid: {parameters: [{parameter: recipe.seed, values: ", list,
                               "}, {parameter: recipe.evaluation.batch_size, values: ", second,
                               "}]}}"));
  };
  EXPECT_THAT(two("[1, 2, 3]"), IsEmpty());
  values.erase(values.begin());
  EXPECT_THAT(two(absl::StrCat("[", absl::StrJoin(values, ", "), "]")),
              ElementsAre("search.grid: must make at most 10000 trials, got 10100"));
  EXPECT_THAT(Method(Linear("start: 0, stop: 100, step: 0.001")),
              ElementsAre(StartsWith("search.linear: must have 1 to 10000 entries")));
  EXPECT_THAT(Method("{random: {trials: 10001, parameters: [{parameter: recipe.seed, integer: "
                     "{min: 0, max: 9}}]}}"),
              ElementsAre(StartsWith("search.random.trials: must be in [1, 10000]")));
}

TEST(ValidateSearchTest, ChecksDistributions) {
  EXPECT_THAT(Method(Random(kMomentum, "uniform: {min: 0.9, max: 0.1}")),
              ElementsAre(HasSubstr("uniform.max: must be at least min, 0.9, got 0.1")));
  EXPECT_THAT(Method(Random(kMomentum, "uniform: {min: 0, max: 2}")),
              ElementsAre(HasSubstr("uniform.max: makes a recipe that cannot run")));
  EXPECT_THAT(Method(Random("recipe.epochs", "uniform: {min: 1, max: 2}")),
              ElementsAre(HasSubstr("the parameter is an integer")));
  EXPECT_THAT(Method(Random(kMomentum, "log_uniform: {min: 0, max: 0.5}")),
              ElementsAre(HasSubstr("log_uniform.min: must be positive")));
  EXPECT_THAT(Method(Random("recipe.precision", "integer: {min: 1, max: 2}")),
              ElementsAre(HasSubstr("the parameter is one of fp32, bf16")));
  EXPECT_THAT(Method(Random("recipe.epochs", "integer: {min: 3, max: 2}")),
              ElementsAre(HasSubstr("integer.max: must be at least min")));
  EXPECT_THAT(
      Method(absl::StrCat("{random: {trials: 3, parameters: [{parameter: ", kMomentum, "}]}}")),
      ElementsAre(HasSubstr("needs one of uniform, log_uniform, integer, choice")));
}

TEST(ValidateSearchTest, ChecksLinearSearches) {
  EXPECT_THAT(Method(Linear("start: 40, stop: 10")), ElementsAre(HasSubstr("step: is required")));
  EXPECT_THAT(Method(Linear("start: 40, stop: 10, step: 0")),
              ElementsAre(HasSubstr("step: is required, and not 0")));
  EXPECT_THAT(Method(Linear("start: 40, stop: 10, step: 10")),
              ElementsAre(HasSubstr("step: must lead from start, 40, to stop, 10, got 10")));
  EXPECT_THAT(Method(Linear("start: 40, stop: 10, step: -10, values: [1]")),
              ElementsAre(HasSubstr("values: cannot be given together")));
  EXPECT_THAT(Method(Linear("values: [1], patience: -1")),
              ElementsAre(HasSubstr("patience: must be in [0, 10000]")));
  EXPECT_THAT(Method(Linear("values: [1]", "recipe.precision")),
              ElementsAre(HasSubstr("must be a number: the field is one of fp32, bf16")));
  EXPECT_THAT(Method(Linear("start: 1, stop: 2, step: 0.5", "recipe.epochs")),
              ElementsAre(HasSubstr("must be an integer")));
}

}  // namespace
}  // namespace cvtrain::plan
