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
      ElementsAre(HasSubstr("needs one of uniform, log_uniform, integer, log_integer, choice")));
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

// --- Scalar searches ---

std::string Over(const std::string& range, const std::string& parameter = kEnd) {
  return absl::StrCat("over: {parameter: ", parameter, ", ", range, "}");
}

TEST(ValidateSearchTest, AcceptsEachScalarMethod) {
  EXPECT_THAT(Method("{golden: {" + Over("min: 5, max: 40, step: 5") + "}}"), IsEmpty());
  EXPECT_THAT(Method("{bisect: {" + Over("min: 5, max: 40, tolerance: 0.5") + ", target: 70}}"),
              IsEmpty());
  EXPECT_THAT(Method("{secant: {" + Over("values: [5, 10, 40]") + ", target: 70}}"), IsEmpty());
  EXPECT_THAT(Method("{monotone_threshold: {" + Over("min: 1, max: 20, step: 1", "recipe.epochs") +
                     ", margin: 0.2, seek: smallest}}"),
              IsEmpty());
}

TEST(ValidateSearchTest, ChecksScalarRanges) {
  auto range = [](const std::string& text, const std::string& parameter = kEnd) {
    return Method("{golden: {" + Over(text, parameter) + "}}");
  };
  EXPECT_THAT(range("min: 5, max: 40"), ElementsAre(HasSubstr("exactly one of step, tolerance")));
  EXPECT_THAT(range("min: 5, max: 40, step: 1, tolerance: 1"),
              ElementsAre(HasSubstr("exactly one of step, tolerance")));
  EXPECT_THAT(range("max: 40, step: 1"), ElementsAre(HasSubstr("over.min: is required")));
  EXPECT_THAT(range("min: 40, max: 5, step: 1"), ElementsAre(HasSubstr("max: must be above min")));
  EXPECT_THAT(range("min: 5, max: 40, step: 0"), ElementsAre(HasSubstr("step: must be positive")));
  EXPECT_THAT(range("min: 5, max: 40, step: 36"),
              ElementsAre(HasSubstr("step: must be at most the range, 35")));
  EXPECT_THAT(range("min: 5, max: 40, tolerance: 1e-9"),
              ElementsAre(HasSubstr("must be at least a millionth of the range: 3.5e-05")));
  EXPECT_THAT(range("min: 5, max: 40, tolerance: 0.5", "recipe.epochs"),
              ElementsAre(HasSubstr("the parameter is an integer; give a step")));
  EXPECT_THAT(range("min: 5, max: 10, step: 0.5", "recipe.epochs"),
              ElementsAre(HasSubstr("over.step: must fit the field")));
  EXPECT_THAT(range("min: -5, max: 35, step: 10"),
              ElementsAre(HasSubstr("over.min: makes a recipe that cannot run")));
  EXPECT_THAT(range("values: [5]"), ElementsAre(HasSubstr("values: must have 2 to 10000")));
  EXPECT_THAT(range("values: [5, 4]"), ElementsAre(HasSubstr("values.1: must be above")));
  EXPECT_THAT(range("values: [5, 6], min: 1"), ElementsAre(HasSubstr("cannot be given together")));
  EXPECT_THAT(range("values: [1, 2], ahead: -1"), ElementsAre(HasSubstr("ahead: must be in")));
  EXPECT_THAT(range("values: [1, 2]", "recipe.precision"),
              ElementsAre(HasSubstr("must be a number: the field is one of fp32")));
}

TEST(ValidateSearchTest, ChecksQuestionsOfScalarSearches) {
  EXPECT_THAT(Method("{bisect: {" + Over("min: 5, max: 40, step: 5") + "}}"),
              ElementsAre(HasSubstr("bisect.target: is required")));
  EXPECT_THAT(Method("{secant: {" + Over("min: 5, max: 40, step: 5") + "}}"),
              ElementsAre(HasSubstr("secant.target: is required")));
  EXPECT_THAT(Method("{monotone_threshold: {" + Over("min: 5, max: 40, step: 5") + "}}"),
              ElementsAre(HasSubstr("margin: is required")));
  EXPECT_THAT(
      Method("{monotone_threshold: {" + Over("min: 5, max: 40, step: 5") + ", margin: -1}}"),
      ElementsAre(HasSubstr("margin: must be 0 or more")));
}

TEST(ValidateSearchTest, ChecksFieldsThatMoveTogether) {
  auto also = [](const std::string& list) {
    return Method(
        "{golden: {" +
        Over("values: [128, 256], also: " + list, "recipe.sampler.multi_scale.base.height") + "}}");
  };
  EXPECT_THAT(also("[recipe.sampler.multi_scale.base.width]"), IsEmpty());
  EXPECT_THAT(also("[recipe.sampler.multi_scale.base.depth]"), ElementsAre(HasSubstr("also.0")));
  EXPECT_THAT(also("[recipe.sampler.multi_scale.base.height]"),
              ElementsAre(HasSubstr("is given twice")));
}

// --- Spaces ---

std::string Space(const std::string& method, const std::string& parameters,
                  const std::string& more = "") {
  return absl::StrCat("{", method, ": {trials: 8, parameters: [", parameters, "]", more, "}}");
}

const std::string kRate =
    "{parameter: recipe.learning_rate.cosine.max, log_uniform: {min: 0.01, max: 1}}";
const std::string kNesterov =
    "{parameter: recipe.optimizer.sgd.nesterov, choice: {values: [true, false]}}";

TEST(ValidateSearchTest, AcceptsEachMethodWithASpace) {
  for (const char* method : {"random", "sobol", "tpe", "asha", "hyperband"}) {
    EXPECT_THAT(Method(Space(method, kRate)), IsEmpty()) << method;
    EXPECT_THAT(Method(absl::StrCat("{", method, ": {parameters: [", kRate, "]}}")),
                ElementsAre(HasSubstr("trials: is required")))
        << method;
    EXPECT_THAT(Method(absl::StrCat("{", method, ": {trials: 5}}")),
                ElementsAre(HasSubstr("parameters: must have 1 to 16 entries")))
        << method;
  }
}

TEST(ValidateSearchTest, ChecksStepsAndLogarithmsOfIntegers) {
  EXPECT_THAT(Method(Random("recipe.epochs", "log_integer: {min: 1, max: 20}")), IsEmpty());
  EXPECT_THAT(Method(Random("recipe.epochs", "log_integer: {min: 0, max: 20}")),
              ElementsAre(HasSubstr("log_integer.min: must be positive")));
  EXPECT_THAT(Method(Random("recipe.epochs", "uniform: {min: 5, max: 20, step: 5}")), IsEmpty());
  EXPECT_THAT(Method(Random("recipe.epochs", "uniform: {min: 5, max: 20}")),
              ElementsAre(HasSubstr("must not be given: the parameter is an integer")));
  EXPECT_THAT(Method(Random("recipe.epochs", "uniform: {min: 5, max: 20, step: 2.5}")),
              ElementsAre(HasSubstr("uniform.step: must fit the field")));
  EXPECT_THAT(Method(Random(kMomentum, "uniform: {min: 0, max: 0.9, step: -1}")),
              ElementsAre(HasSubstr("step: must be positive")));
  EXPECT_THAT(Method(Random(kMomentum, "log_uniform: {min: 0.1, max: 0.9, step: 0.1}")),
              ElementsAre(HasSubstr("step: must not be given")));
}

TEST(ValidateSearchTest, ChecksConditions) {
  auto when = [](const std::string& condition) {
    return Method(
        Space("tpe", absl::StrCat(kNesterov, ", {parameter: ", kMomentum,
                                  ", uniform: {min: 0, max: 0.9}, when: [", condition, "]}")));
  };
  EXPECT_THAT(when("{parameter: recipe.optimizer.sgd.nesterov, values: [true]}"), IsEmpty());
  EXPECT_THAT(when("{parameter: recipe.epochs, values: [1]}"),
              ElementsAre(HasSubstr("must be a parameter with a choice that is listed before")));
  EXPECT_THAT(when("{parameter: recipe.optimizer.sgd.nesterov, values: [maybe]}"),
              ElementsAre(HasSubstr("values.0: must be a value of that choice, got maybe")));
  EXPECT_THAT(when("{parameter: recipe.optimizer.sgd.nesterov}"),
              ElementsAre(HasSubstr("values: must have 1 to")));
}

TEST(ValidateSearchTest, ChecksConstraints) {
  auto constraint = [](const std::string& text) {
    return Method(Space("random",
                        absl::StrCat(kRate, ", {parameter: ", kMomentum,
                                     ", uniform: {min: 0, max: 0.9}}, ", kNesterov),
                        absl::StrCat(", constraints: [", text, "]")));
  };
  const std::string both =
      absl::StrCat("terms: [{parameter: recipe.learning_rate.cosine.max}, {parameter: ", kMomentum,
                   ", factor: 2}]");
  EXPECT_THAT(constraint("{" + both + ", max: 1}"), IsEmpty());
  EXPECT_THAT(constraint("{" + both + "}"), ElementsAre(HasSubstr("at least one of min, max")));
  EXPECT_THAT(constraint("{" + both + ", min: 2, max: 1}"),
              ElementsAre(HasSubstr("max: must be at least min, 2")));
  EXPECT_THAT(constraint("{" + both + ", min: 50}"),
              ElementsAre(HasSubstr("leave too little: none of 1000 draws")));
  EXPECT_THAT(constraint("{terms: [], max: 1}"),
              ElementsAre(HasSubstr("terms: must have 1 to 16")));
  EXPECT_THAT(constraint("{terms: [{parameter: recipe.epochs}], max: 1}"),
              ElementsAre(HasSubstr("must be a number among the parameters")));
  EXPECT_THAT(constraint("{terms: [{parameter: recipe.optimizer.sgd.nesterov}], max: 1}"),
              ElementsAre(HasSubstr("must be a number among the parameters")));
  EXPECT_THAT(
      constraint(absl::StrCat("{terms: [{parameter: ", kMomentum, ", factor: 0}], max: 1}")),
      ElementsAre(HasSubstr("factor: must not be 0")));
}

// --- Rungs ---

TEST(ValidateSearchTest, NeedsRoomForARung) {
  EXPECT_THAT(
      Method(Space("asha", kRate, ", min_epochs: 10")),
      ElementsAre(HasSubstr("min_epochs: must be at least 1 and less than the epochs of the "
                            "recipe, 10")));
  EXPECT_THAT(Method(Space("hyperband", kRate, ", reduction_factor: 1")),
              ElementsAre(HasSubstr("reduction_factor: must be in [2, 100]")));
  EXPECT_THAT(Lines({"search=" + Space("asha", kRate), kObjective, "recipe.epochs=1"}),
              ElementsAre(HasSubstr("search.asha: has no room for a rung in 1 epoch: ")));
  EXPECT_THAT(
      Lines({"search=" + Space("asha", kRate), kObjective, "recipe.evaluation={every_epochs: 10}"}),
      ElementsAre(HasSubstr("has no room for a rung in 10 epochs")));
}

TEST(ValidateSearchTest, ComparesAtARungOnlyTrialsInTheSameStage) {
  for (const char* path : {"recipe.epochs", "recipe.sampler.multi_scale.scales.max"}) {
    const std::string parameter =
        absl::StrCat("{parameter: ", path, ", choice: {values: [288, 320]}}");
    EXPECT_THAT(Method(Space("asha", parameter)),
                ElementsAre(HasSubstr("in different stages of their curriculum")));
    EXPECT_THAT(Method(Space("tpe", parameter)), IsEmpty()) << "it compares at the end";
  }
}

TEST(ValidateSearchTest, ComparesOnlyWhatWasMeasuredAtTheSameSize) {
  const std::string size = "recipe.evaluation={sizes: [{crop: 160}]}";
  const std::string grid = "search=" + Grid("recipe.evaluation.sizes.0.crop", "[128, 160]");
  EXPECT_THAT(Lines({size, grid, kObjective}),
              ElementsAre(HasSubstr("compare trials that were measured differently")));
  EXPECT_THAT(
      Lines({size,
             "search={monotone_threshold: {" +
                 Over("values: [128, 160]", "recipe.evaluation.sizes.0.crop") + ", margin: 0.2}}",
             kObjective}),
      IsEmpty())
      << "the smallest size to test at is what it asks for";
}

// --- Replicates, racing, budgets, tradeoffs ---

std::vector<std::string> With(const std::string& method, const std::vector<std::string>& more) {
  std::vector<std::string> changes = {"search=" + method, kObjective};
  changes.insert(changes.end(), more.begin(), more.end());
  return Lines(changes);
}

TEST(ValidateSearchTest, ChecksReplicates) {
  const std::string grid = Grid(kMomentum, "[0.5, 0.9]");
  EXPECT_THAT(With(grid, {"search.replicates=3"}), IsEmpty());
  EXPECT_THAT(With(grid, {"search.replicates=0"}),
              ElementsAre(HasSubstr("replicates: must be in")));
  EXPECT_THAT(With(Space("asha", kRate), {"search.replicates=2"}),
              ElementsAre(HasSubstr("must be 1 with asha and hyperband")));
  EXPECT_THAT(With(Grid("recipe.seed", "[1, 2]"), {"search.replicates=2"}),
              ElementsAre(HasSubstr("the search itself changes recipe.seed")));
  EXPECT_THAT(
      With("{random: {trials: 5000, parameters: [" + kRate + "]}}", {"search.replicates=3"}),
      ElementsAre(HasSubstr("must make at most 10000 trials in all, got 15000")));
}

TEST(ValidateSearchTest, ChecksRacing) {
  const std::string grid = Grid(kMomentum, "[0.5, 0.9]");
  EXPECT_THAT(With(grid, {"search.replicates=5", "search.racing={}"}), IsEmpty());
  EXPECT_THAT(With(grid, {"search.racing={}"}), ElementsAre(HasSubstr("needs replicates of at")));
  EXPECT_THAT(With(grid, {"search.replicates=5", "search.racing={min_replicates: 5}"}),
              ElementsAre(HasSubstr("min_replicates: must be in [2, 4]")));
  EXPECT_THAT(With(grid, {"search.replicates=5", "search.racing={confidence: 1}"}),
              ElementsAre(HasSubstr("confidence: must be in [0.5, 0.9999]")));
  EXPECT_THAT(With(Space("tpe", kRate), {"search.replicates=5", "search.racing={}"}),
              ElementsAre(HasSubstr("racing: is only for grid")));
}

TEST(ValidateSearchTest, ChecksBudgets) {
  const std::string grid = Grid(kMomentum, "[0.5, 0.9]");
  EXPECT_THAT(With(grid, {"search.budget={trials: 5, flops: 1e18, slot_hours: 4, hours: 2}"}),
              IsEmpty());
  EXPECT_THAT(With(grid, {"search.budget={}"}), ElementsAre(HasSubstr("needs at least one of")));
  EXPECT_THAT(With(grid, {"search.budget={trials: 0, flops: 0, slot_hours: 0, hours: -1}"}),
              ElementsAre(HasSubstr("budget.trials"), HasSubstr("budget.flops"),
                          HasSubstr("budget.slot_hours"), HasSubstr("budget.hours")));
}

TEST(ValidateSearchTest, ChecksTradeoffs) {
  const std::string grid = Grid(kMomentum, "[0.5, 0.9]");
  EXPECT_THAT(With(grid, {"search.tradeoffs=[{metric: val/loss, mode: min}]"}), IsEmpty());
  EXPECT_THAT(With(grid, {"search.tradeoffs=[{metric: val/top1, mode: min}]"}),
              ElementsAre(HasSubstr("tradeoffs.0.metric: is given twice")));
  EXPECT_THAT(With(grid, {"search.tradeoffs=[{metric: val/lost}]"}),
              ElementsAre(HasSubstr("did you mean val/loss"), HasSubstr("mode: is required")));
  EXPECT_THAT(With(Space("tpe", kRate), {"search.tradeoffs=[{metric: val/loss, mode: min}]"}),
              ElementsAre(HasSubstr("tradeoffs: is only for grid")));
}

}  // namespace
}  // namespace cvtrain::plan
