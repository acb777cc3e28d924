#include "coordinator/engine/throughput.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/text.h"
#include "coordinator/state/proto_time.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::coordinator {
namespace {

constexpr int kExperimentsMax = 200;
constexpr int kTrialsMax = 10;  // of each

// Of an attempt that trained a trial from its first step to its last.
std::optional<double> FlopsPerSlotSecond(const ClusterState::Trial& trial) {
  if (trial.record.attempts().empty()) return std::nullopt;
  const storage::v1::AttemptRecord& attempt =
      trial.record.attempts(trial.record.attempts_size() - 1);
  const absl::Duration ran =
      FromTimestamp(attempt.end_time()) - FromTimestamp(attempt.start_time());
  const bool counts = attempt.cause() == v1::CAUSE_FINISHED && attempt.start_step() == 0 &&
                      attempt.flops() > 0 && ran > absl::ZeroDuration() && attempt.ranks_size() > 0;
  if (!counts) return std::nullopt;
  return attempt.flops() / absl::ToDoubleSeconds(ran) / attempt.ranks_size();
}

// Of the newest trials of an experiment.
std::optional<Throughput> MeasuredIn(const ClusterState::Experiment& experiment) {
  int looked_at = 0;
  for (auto it = experiment.trials.rbegin(); it != experiment.trials.rend(); ++it) {
    if (++looked_at > kTrialsMax) break;
    if (const std::optional<double> reached = FlopsPerSlotSecond(it->second)) {
      return Throughput{.flops_per_slot_second = *reached,
                        .basis = absl::StrCat("measured in ", it->second.name.ToString(), ", ",
                                              FormatCount(*reached), "FLOP/s a slot")};
    }
  }
  return std::nullopt;
}

Throughput Assumed(const View& view) {
  int32_t threads = 1;
  for (const auto& [name, worker] : view.state().workers()) {
    for (const v1::Slot& slot : worker.record.slots()) threads = std::max(threads, slot.threads());
  }
  return {
      .flops_per_slot_second = kAssumedFlopsPerThreadSecond * threads,
      .basis = absl::StrCat("assumed: nothing was trained here yet, ",
                            FormatCount(kAssumedFlopsPerThreadSecond * threads), "FLOP/s a slot")};
}

}  // namespace

Throughput ExpectedThroughput(const View& view, const v1::Recipe& recipe) {
  const std::string model = recipe.model().SerializeAsString();
  std::optional<Throughput> of_another_model;
  int looked_at = 0;
  const auto& experiments = view.state().experiments();
  for (auto it = experiments.rbegin(); it != experiments.rend(); ++it) {
    if (++looked_at > kExperimentsMax) break;
    const bool same = it->second.record.spec().recipe().model().SerializeAsString() == model;
    if (!same && of_another_model.has_value()) continue;
    std::optional<Throughput> measured = MeasuredIn(it->second);
    if (!measured.has_value()) continue;
    if (same) return *std::move(measured);
    of_another_model = std::move(measured);
    absl::StrAppend(&of_another_model->basis, " of another model");
  }
  return of_another_model.has_value() ? *std::move(of_another_model) : Assumed(view);
}

void PredictDurations(const v1::Recipe& recipe, int32_t slots, const Throughput& throughput,
                      absl::Span<v1::PlannedStage> stages) {
  for (v1::PlannedStage& stage : stages) {
    absl::Duration duration;
    if (recipe.task() == v1::Recipe::TASK_SYNTHETIC) {
      duration = absl::Milliseconds(recipe.synthetic().step_time_ms() *
                                    static_cast<double>(stage.steps()));
    } else {
      duration = absl::Seconds(stage.flops() / (throughput.flops_per_slot_second * slots));
    }
    *stage.mutable_duration() = ToDuration(duration);
  }
}

}  // namespace cvtrain::coordinator
