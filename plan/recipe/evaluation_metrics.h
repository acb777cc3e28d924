#ifndef CVTRAIN_PLAN_RECIPE_EVALUATION_METRICS_H_
#define CVTRAIN_PLAN_RECIPE_EVALUATION_METRICS_H_

#include <string>
#include <vector>

namespace cvtrain::v1 {
class Evaluation;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// Names of the metrics that evaluations report: trainers report under them,
// objectives are checked against them.
//
//   val/top1              first size, condition clean
//   val@64px/top1         another size, by its crop
//   val/noisy/top1        another condition
//   val@64px/noisy/top1   both
//   val/mean/top1         mean over the conditions at the first size, if there
//                         is more than one
//
// each with top1, top5 (percent), loss and ece: the expected calibration error (Naeini et al. 2015;
// Guo et al. 2017), in percent, of 15 equal bins of confidence. Pure functions; thread-safe.

// The part before the last slash, for the `size`-th size and `condition`-th
// condition: `val@64px/noisy`. Lists that are empty have their defaults, one
// size and one condition.
std::string EvaluationPrefix(const v1::Evaluation& evaluation, int size, int condition);

// `val/mean`.
std::string EvaluationMeanPrefix();

// All names that a trial of `recipe` reports, in a fixed order. A synthetic task
// reports val/top1.
std::vector<std::string> EvaluationMetrics(const v1::Recipe& recipe);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_EVALUATION_METRICS_H_
