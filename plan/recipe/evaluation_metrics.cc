#include "plan/recipe/evaluation_metrics.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

constexpr char kClean[] = "clean";
constexpr const char* kValues[] = {"top1", "top5", "loss", "ece"};

}  // namespace

std::string EvaluationPrefix(const v1::Evaluation& evaluation, int size, int condition) {
  std::string prefix = "val";
  if (size > 0) absl::StrAppend(&prefix, "@", evaluation.sizes(size).crop(), "px");
  if (evaluation.conditions_size() > 0 && evaluation.conditions(condition).name() != kClean) {
    absl::StrAppend(&prefix, "/", evaluation.conditions(condition).name());
  }
  return prefix;
}

std::string EvaluationMeanPrefix() { return "val/mean"; }

std::vector<std::string> EvaluationMetrics(const v1::Recipe& recipe) {
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) return {"val/top1"};
  const v1::Evaluation& evaluation = recipe.evaluation();
  std::vector<std::string> prefixes;
  for (int size = 0; size < std::max(evaluation.sizes_size(), 1); ++size) {
    for (int condition = 0; condition < std::max(evaluation.conditions_size(), 1); ++condition) {
      prefixes.push_back(EvaluationPrefix(evaluation, size, condition));
    }
  }
  if (evaluation.conditions_size() > 1) prefixes.push_back(EvaluationMeanPrefix());
  std::vector<std::string> names;
  for (const std::string& prefix : prefixes) {
    for (const char* value : kValues) names.push_back(absl::StrCat(prefix, "/", value));
  }
  return names;
}

}  // namespace cvtrain::plan
