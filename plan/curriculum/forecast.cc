#include "plan/curriculum/forecast.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/cost.h"
#include "plan/network/named_layers.h"

namespace cvtrain::plan {
namespace {

// Steps of a stage by index of their scale.
std::vector<int64_t> CountStepsByScale(const TrialPlan& plan, const Stage& stage) {
  std::vector<int64_t> counts(stage.scales.size());
  for (int32_t epoch = stage.from_epoch; epoch < stage.to_epoch; ++epoch) {
    plan.CountSteps(epoch, counts);
  }
  return counts;
}

absl::StatusOr<v1::PlannedStage> ForecastStage(const TrialPlan& plan, const Stage& stage,
                                               const NetworkDescription& network,
                                               const TrainingMemory& training) {
  v1::PlannedStage result;
  result.set_index(stage.index);
  result.set_from_epoch(stage.from_epoch);
  result.set_to_epoch(stage.to_epoch);
  const std::vector<int64_t> steps = CountStepsByScale(plan, stage);
  for (size_t i = 0; i < stage.scales.size(); ++i) {
    const Scale& scale = stage.scales[i];
    v1::SizedBatch& size = *result.add_sizes();
    size.set_height(scale.height);
    size.set_width(scale.width);
    size.set_batch_size(scale.batch_size);

    const int64_t batch = std::min<int64_t>(scale.batch_size, plan.images_per_rank());
    const int64_t images = steps[i] * batch * plan.logical_ranks();
    const ImageSize image{scale.height, scale.width};
    CVT_ASSIGN_OR_RETURN(const double forward, ForwardFlops(network, image));
    CVT_ASSIGN_OR_RETURN(const int64_t memory,
                         PeakMemoryBytes(network, MemoryOptionsOf(training, image, batch)));
    result.set_steps(result.steps() + steps[i]);
    result.set_images(result.images() + images);
    result.set_flops(result.flops() + kTrainingFlopsFactor * forward * static_cast<double>(images));
    result.set_peak_memory_bytes(std::max(result.peak_memory_bytes(), memory));
  }
  return result;
}

v1::PlannedStage SyntheticStage(const v1::Synthetic& synthetic) {
  const int64_t steps_per_epoch =
      synthetic.has_steps_per_epoch() ? synthetic.steps_per_epoch() : synthetic.steps();
  v1::PlannedStage stage;
  stage.set_to_epoch(
      static_cast<int32_t>((synthetic.steps() + steps_per_epoch - 1) / steps_per_epoch));
  stage.set_steps(synthetic.steps());
  return stage;
}

double MeanOver(const std::vector<Scale>& scales, const std::function<double(const Scale&)>& f) {
  double sum = 0;
  for (const Scale& scale : scales) {
    sum += f(scale);
  }
  return sum / static_cast<double>(scales.size());
}

}  // namespace

absl::StatusOr<TrialPlan> PlanTrial(const v1::Recipe& recipe, const TrialFacts& facts) {
  CVT_ASSIGN_OR_RETURN(Curriculum curriculum, Curriculum::Create(recipe));
  return TrialPlan::Create(
      std::move(curriculum),
      {.seed = recipe.seed(), .images = facts.images, .logical_ranks = facts.logical_ranks});
}

absl::StatusOr<std::vector<v1::PlannedStage>> PlannedStages(const v1::Recipe& recipe,
                                                            const TrialFacts& facts) {
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    return std::vector<v1::PlannedStage>{SyntheticStage(recipe.synthetic())};
  }
  CVT_ASSIGN_OR_RETURN(const TrialPlan plan, PlanTrial(recipe, facts));
  CVT_ASSIGN_OR_RETURN(const NetworkDescription network, DescribeNetwork(recipe.model()));
  CVT_ASSIGN_OR_RETURN(const TrainingMemory training, TrainingMemoryOf(recipe, network));
  return ForecastStages(plan, network, training);
}

MemoryOptions MemoryOptionsOf(const TrainingMemory& training, ImageSize size, int64_t batch_size) {
  return {.size = size,
          .batch_size = MicroBatchSize(batch_size, training.micro_batches),
          .optimizer_state_per_parameter = training.optimizer_state_per_parameter,
          .averaged = training.averaged,
          .frozen = training.frozen,
          .half_precision = training.half_precision,
          .whole_batch_size = training.micro_batches > 1 ? batch_size : 0,
          .input_has_gradient = training.input_has_gradient};
}

absl::StatusOr<TrainingMemory> TrainingMemoryOf(const v1::Recipe& recipe,
                                                const NetworkDescription& network) {
  TrainingMemory training = {.averaged = recipe.has_ema(),
                             .micro_batches = std::max(recipe.micro_batches(), 1)};
  training.half_precision = recipe.precision() == v1::Recipe::PRECISION_BF16 ||
                            recipe.precision() == v1::Recipe::PRECISION_FP16;
  training.input_has_gradient = recipe.augmentation().has_range_augment();
  const v1::Sgd& sgd = recipe.optimizer().sgd();
  if (recipe.optimizer().has_adamw()) {
    training.optimizer_state_per_parameter = 2;
  } else if (sgd.has_momentum() && sgd.momentum() == 0) {
    training.optimizer_state_per_parameter = 0;
  }
  CVT_ASSIGN_OR_RETURN(training.frozen,
                       FrozenLayers(network, {recipe.frozen().begin(), recipe.frozen().end()}));
  return training;
}

absl::StatusOr<std::vector<v1::PlannedStage>> ForecastStages(const TrialPlan& plan,
                                                             const NetworkDescription& network,
                                                             const TrainingMemory& training) {
  std::vector<v1::PlannedStage> stages;
  for (const Stage& stage : plan.curriculum().stages()) {
    CVT_ASSIGN_OR_RETURN(v1::PlannedStage forecast, ForecastStage(plan, stage, network, training));
    stages.push_back(std::move(forecast));
  }
  return stages;
}

absl::StatusOr<std::vector<ExpectedStage>> ExpectedStages(const v1::Recipe& recipe,
                                                          const TrialFacts& facts) {
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    return std::vector<ExpectedStage>{{.steps = static_cast<double>(recipe.synthetic().steps())}};
  }
  CVT_ASSIGN_OR_RETURN(const Curriculum curriculum, Curriculum::Create(recipe));
  CVT_ASSIGN_OR_RETURN(const NetworkDescription network, DescribeNetwork(recipe.model()));
  const int64_t ranks = std::max(facts.logical_ranks, 1);
  const int64_t images_per_rank = (facts.images + ranks - 1) / ranks;
  std::map<std::pair<int64_t, int64_t>, double> forward;  // by size
  std::vector<ExpectedStage> stages;
  for (const Stage& stage : curriculum.stages()) {
    double batch = 0;
    double flops = 0;
    for (const Scale& scale : stage.scales) {
      const auto [known, is_new] = forward.try_emplace({scale.height, scale.width}, 0);
      if (is_new) {
        CVT_ASSIGN_OR_RETURN(known->second, ForwardFlops(network, {scale.height, scale.width}));
      }
      const auto count = static_cast<double>(std::min<int64_t>(scale.batch_size, images_per_rank));
      batch += count;
      flops += count * kTrainingFlopsFactor * known->second;
    }
    const auto scales = static_cast<double>(stage.scales.size());
    const double steps =
        ExpectedEpochSteps(stage.scales, images_per_rank) * (stage.to_epoch - stage.from_epoch);
    const double of_all_ranks = steps / scales * static_cast<double>(ranks);
    stages.push_back(
        {.steps = steps, .images = of_all_ranks * batch, .flops = of_all_ranks * flops});
  }
  return stages;
}

absl::StatusOr<int64_t> LeastMemoryOf(const v1::Recipe& recipe, const TrialFacts& facts) {
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) return 0;
  CVT_ASSIGN_OR_RETURN(const Curriculum curriculum, Curriculum::Create(recipe));
  CVT_ASSIGN_OR_RETURN(const NetworkDescription network, DescribeNetwork(recipe.model()));
  CVT_ASSIGN_OR_RETURN(const TrainingMemory training, TrainingMemoryOf(recipe, network));
  // As TrialPlan shares images out.
  const int64_t images_per_rank =
      (facts.images + facts.logical_ranks - 1) / std::max(facts.logical_ranks, 1);
  int64_t least = 0;
  std::set<Scale> known;
  for (const Stage& stage : curriculum.stages()) {
    for (const Scale& scale : stage.scales) {
      if (!known.insert(scale).second) continue;
      MemoryOptions options = MemoryOptionsOf(training, {scale.height, scale.width},
                                              std::min<int64_t>(scale.batch_size, images_per_rank));
      options.whole_batch_size = std::max(options.whole_batch_size, options.batch_size);
      options.batch_size = 1;
      CVT_ASSIGN_OR_RETURN(const int64_t bytes, PeakMemoryBytes(network, options));
      least = std::max(least, bytes - kProcessBytes);
    }
  }
  return least;
}

absl::StatusOr<int64_t> StepTotal(const v1::Recipe& recipe, const TrialFacts& facts) {
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    return recipe.synthetic().steps();
  }
  CVT_ASSIGN_OR_RETURN(const TrialPlan plan, PlanTrial(recipe, facts));
  return plan.step_total();
}

CostRatio ExpectedCostRatio(const std::vector<Scale>& scales, const Scale& base,
                            const std::function<double(const Scale&)>& forward_cost) {
  const double mean_batch = MeanBatch(scales);
  const double mean_cost =
      MeanOver(scales, [&](const Scale& s) { return s.batch_size * forward_cost(s); });
  return {.flops = mean_cost / (forward_cost(base) * mean_batch),
          .steps = base.batch_size / mean_batch};
}

CostRatio ExpectedCostRatio(const Curriculum& curriculum,
                            const std::function<double(const Scale&)>& forward_cost) {
  CostRatio sum{0, 0};
  for (const Stage& stage : curriculum.stages()) {
    const CostRatio ratio = ExpectedCostRatio(stage.scales, curriculum.base(), forward_cost);
    const double epochs = stage.to_epoch - stage.from_epoch;
    sum.flops += epochs * ratio.flops;
    sum.steps += epochs * ratio.steps;
  }
  return {sum.flops / curriculum.epochs(), sum.steps / curriculum.epochs()};
}

double ExpectedEpochSteps(const std::vector<Scale>& scales, int64_t images_per_rank) {
  const double mean = MeanBatch(scales);
  const double images = static_cast<double>(images_per_rank);
  if (scales.size() == 1) {
    const int64_t batch = scales.front().batch_size;
    return static_cast<double>((images_per_rank + batch - 1) / batch);
  }
  const double mean_square = MeanOver(
      scales, [](const Scale& s) { return static_cast<double>(s.batch_size) * s.batch_size; });
  return images / mean + mean_square / (2 * mean * mean);
}

}  // namespace cvtrain::plan
