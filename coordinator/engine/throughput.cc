#include "coordinator/engine/throughput.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/text.h"
#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/proto_time.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::coordinator {
namespace {

// Trials looked at are bounded: this runs on the engine's thread.
constexpr int kExperimentsMax = 50;
constexpr int kTrialsMax = 4;        // the newest of each
constexpr double kSecondsMax = 3e9;  // a century is no prediction

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

// As canonical bytes.
std::string ModelOf(const ClusterState::Trial& trial) {
  v1::Recipe recipe;
  recipe.ParseFromString(trial.record.recipe());
  return CanonicalBytes(recipe.model());
}

// The newest trials of the cluster that were measured, newest first.
std::vector<const ClusterState::Trial*> MeasuredTrials(const ClusterState& state) {
  std::vector<const ClusterState::Trial*> trials;
  int experiments = 0;
  for (auto it = state.experiments().rbegin(); it != state.experiments().rend(); ++it) {
    if (++experiments > kExperimentsMax) break;
    int looked_at = 0;
    for (auto trial = it->second.trials.rbegin(); trial != it->second.trials.rend(); ++trial) {
      if (++looked_at > kTrialsMax) break;
      if (FlopsPerSlotSecond(trial->second).has_value()) trials.push_back(&trial->second);
    }
  }
  return trials;
}

Throughput MeasuredIn(const ClusterState::Trial& trial, Throughput::Source source) {
  const double reached = *FlopsPerSlotSecond(trial);
  const absl::string_view remark =
      source == Throughput::Source::kOtherModel ? " of another model" : "";
  return {.flops_per_slot_second = reached,
          .source = source,
          .basis = absl::StrCat("measured in ", trial.name.ToString(), ", ", FormatCount(reached),
                                "FLOP/s a slot", remark)};
}

Throughput Assumed(const ClusterState& state) {
  int32_t threads = 1;
  for (const auto& [name, worker] : state.workers()) {
    for (const v1::Slot& slot : worker.record.slots()) threads = std::max(threads, slot.threads());
  }
  return {
      .flops_per_slot_second = kAssumedFlopsPerThreadSecond * threads,
      .basis = absl::StrCat("assumed: nothing was trained here yet, ",
                            FormatCount(kAssumedFlopsPerThreadSecond * threads), "FLOP/s a slot")};
}

}  // namespace

Throughput ExpectedThroughput(const ClusterState& state, const std::string& model) {
  const std::vector<const ClusterState::Trial*> measured = MeasuredTrials(state);
  for (const ClusterState::Trial* trial : measured) {
    if (ModelOf(*trial) == model) return MeasuredIn(*trial, Throughput::Source::kSameModel);
  }
  return measured.empty() ? Assumed(state)
                          : MeasuredIn(*measured.front(), Throughput::Source::kOtherModel);
}

void PredictDurations(const v1::Recipe& recipe, int32_t slots, const Throughput& throughput,
                      absl::Span<v1::PlannedStage> stages) {
  for (v1::PlannedStage& stage : stages) {
    const double seconds =
        recipe.task() == v1::Recipe::TASK_SYNTHETIC
            ? recipe.synthetic().step_time_ms() * static_cast<double>(stage.steps()) / 1'000
            : stage.flops() / (throughput.flops_per_slot_second * slots);
    if (seconds < kSecondsMax) *stage.mutable_duration() = ToDuration(absl::Seconds(seconds));
  }
}

}  // namespace cvtrain::coordinator
