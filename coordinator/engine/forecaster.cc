#include "coordinator/engine/forecaster.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "coordinator/engine/throughput.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/trial_record.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::coordinator {
namespace {

// Of what depends on more than the cluster has seen: dropped and made anew beyond this.
constexpr size_t kRemembered = 10'000;
// How wrong forecasts are, by where the speed comes from: the steps are known, so that what is left
// is how steady a machine is; another model reaches another part of its peak; and what is assumed
// may be anything.
constexpr double kErrorMeasured = 0.1;
constexpr double kErrorOtherModel = 0.5;
constexpr double kErrorAssumed = 1;
// Where nobody knows anything.
constexpr absl::Duration kUnknown = absl::Hours(1);
// A century is no forecast.
constexpr double kSecondsMax = 3e9;

double ErrorOf(Throughput::Source source) {
  switch (source) {
    case Throughput::Source::kSameModel:
      return kErrorMeasured;
    case Throughput::Source::kOtherModel:
      return kErrorOtherModel;
    case Throughput::Source::kAssumed:
      break;
  }
  return kErrorAssumed;
}

// What the stages of a trial depend on.
std::string StagesKey(const v1::Recipe& recipe, const plan::TrialFacts& facts) {
  v1::Recipe key = recipe;
  key.clear_augmentation();
  key.clear_learning_rate();
  key.clear_optimizer();
  key.clear_loss();
  key.clear_seed();
  key.clear_evaluation();
  key.clear_checkpoint();
  key.clear_init_from();
  return absl::StrCat(facts.images, ",", facts.logical_ranks, ",", CanonicalBytes(key));
}

}  // namespace

double TrialForecast::steps() const {
  double sum = 0;
  for (const Stage& stage : stages) sum += stage.steps;
  return sum;
}

absl::Duration TrialForecast::duration() const {
  absl::Duration sum;
  for (const Stage& stage : stages) sum += stage.duration;
  return sum;
}

const TrialForecast& Forecaster::Forecast(const ClusterState& state,
                                          const ClusterState::Experiment& experiment,
                                          const ClusterState::Trial& trial, absl::Duration steady) {
  const auto [found, is_new] = trials_.try_emplace(trial.name);
  Known& known = found->second;
  if (is_new) known = Look(state, experiment, trial);
  if (steady - known.at < kSpeedKept) return known.forecast;
  known.at = steady;
  TrialForecast& forecast = known.forecast;
  forecast = {};
  if (known.stages == nullptr) {
    forecast.stages.push_back({.steps = 1, .duration = kUnknown});
    forecast.error = kErrorAssumed;
    forecast.basis = "nobody knows";
    return forecast;
  }
  const bool synthetic = known.step_seconds > 0;
  double rate = 0;
  if (synthetic) {
    forecast.basis = "as the recipe says";
  } else {
    const Speed& speed = SpeedOf(state, known, steady);
    rate = speed.flops_per_slot_second * known.slots;
    forecast.error = speed.error;
    forecast.basis = speed.basis;
  }
  for (const plan::ExpectedStage& stage : *known.stages) {
    const double seconds = synthetic ? stage.steps * known.step_seconds : stage.flops / rate;
    forecast.stages.push_back(
        {.steps = stage.steps, .duration = absl::Seconds(std::min(seconds, kSecondsMax))});
  }
  return forecast;
}

Forecaster::Known Forecaster::Look(const ClusterState& state,
                                   const ClusterState::Experiment& experiment,
                                   const ClusterState::Trial& trial) {
  Known known;
  known.slots = std::max(experiment.record.spec().resources().slots(), 1);
  v1::Recipe recipe;
  if (!recipe.ParseFromString(trial.record.recipe())) return known;
  plan::TrialFacts facts = {.logical_ranks = experiment.record.spec().resources().logical_ranks()};
  if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
    known.step_seconds = std::max(recipe.synthetic().step_time_ms() / 1'000, 1e-6);
  } else {
    const auto version = state.FindDatasetVersion(
        DatasetVersionName(DatasetName(recipe.dataset().name()), recipe.dataset().version()));
    if (!version.ok()) return known;
    facts.images = plan::TrainImages(recipe, FactsOf(**version));
    known.model = CanonicalBytes(recipe.model());
  }
  if (stages_.size() >= kRemembered) stages_.clear();
  std::shared_ptr<const Stages>& stages = stages_[StagesKey(recipe, facts)];
  if (stages == nullptr) {
    absl::StatusOr<Stages> expected = plan::ExpectedStages(recipe, facts);
    if (expected.ok() && !expected->empty()) {
      stages = std::make_shared<const Stages>(*std::move(expected));
    }
  }
  known.stages = stages;
  return known;
}

const Forecaster::Speed& Forecaster::SpeedOf(const ClusterState& state, const Known& known,
                                             absl::Duration steady) {
  if (speeds_.size() >= kRemembered) speeds_.clear();
  const auto [found, is_new] = speeds_.try_emplace(known.model);
  Speed& speed = found->second;
  if (is_new || steady - speed.at >= kSpeedKept) {
    const Throughput expected = ExpectedThroughput(state, known.model);
    speed = {.flops_per_slot_second = expected.flops_per_slot_second,
             .error = ErrorOf(expected.source),
             .basis = expected.basis,
             .at = steady};
  }
  return speed;
}

void Forecaster::Forget(const ClusterState& state) {
  for (auto known = trials_.begin(); known != trials_.end();) {
    const auto trial = state.FindTrial(known->first);
    const bool open = trial.ok() && !HasEnded((*trial)->record.state());
    known = open ? std::next(known) : trials_.erase(known);
  }
}

}  // namespace cvtrain::coordinator
