#include "coordinator/service/state_sampler.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

// "STATE_RUNNING" -> "running"
std::string LabelOf(const std::string& enumerator) {
  return absl::AsciiStrToLower(absl::StripPrefix(enumerator, "STATE_"));
}

std::map<int, Gauge*> TrialGauges(TelemetryRegistry& telemetry) {
  std::map<int, Gauge*> gauges;
  for (int state = v1::Trial::STATE_QUEUED; state <= v1::Trial::STATE_CANCELLED; ++state) {
    gauges[state] = &telemetry.NewGauge(
        {.name = "cvtrain_coordinator_trials",
         .help = "Trials by state.",
         .labels = {
             {"state", LabelOf(v1::Trial::State_Name(static_cast<v1::Trial::State>(state)))}}});
  }
  return gauges;
}

std::map<int, Gauge*> WorkerGauges(TelemetryRegistry& telemetry) {
  std::map<int, Gauge*> gauges;
  for (int state = v1::Worker::STATE_READY; state <= v1::Worker::STATE_LOST; ++state) {
    gauges[state] = &telemetry.NewGauge(
        {.name = "cvtrain_coordinator_workers",
         .help = "Workers by state.",
         .labels = {
             {"state", LabelOf(v1::Worker::State_Name(static_cast<v1::Worker::State>(state)))}}});
  }
  return gauges;
}

Gauge& SlotGauge(TelemetryRegistry& telemetry, const std::string& use) {
  return telemetry.NewGauge({.name = "cvtrain_coordinator_slots",
                             .help = "Slots of workers that are not lost, by use.",
                             .labels = {{"use", use}}});
}

}  // namespace

StateSampler::StateSampler(EngineLoop& loop, const CheckpointStore& checkpoints,
                           TelemetryRegistry& telemetry)
    : loop_(loop),
      checkpoints_(checkpoints),
      trials_(TrialGauges(telemetry)),
      workers_(WorkerGauges(telemetry)),
      experiments_active_(telemetry.NewGauge({.name = "cvtrain_coordinator_experiments_active",
                                              .help = "Experiments that have not ended."})),
      slots_free_(SlotGauge(telemetry, "free")),
      slots_used_(SlotGauge(telemetry, "used")),
      images_per_second_(
          telemetry.NewGauge({.name = "cvtrain_coordinator_images_per_second",
                              .help = "Training images per second, summed over running trials."})),
      checkpoints_count_(telemetry.NewGauge(
          {.name = "cvtrain_coordinator_checkpoints", .help = "Checkpoints that are kept."})),
      checkpoint_bytes_(telemetry.NewGauge({.name = "cvtrain_coordinator_checkpoint_stored_bytes",
                                            .help = "Bytes of stored checkpoints."})),
      checkpoint_quota_bytes_(
          telemetry.NewGauge({.name = "cvtrain_coordinator_checkpoint_quota_bytes",
                              .help = "Bytes that checkpoints may take together."})),
      oldest_queued_seconds_(
          telemetry.NewGauge({.name = "cvtrain_coordinator_oldest_queued_seconds",
                              .help = "Age of the oldest trial that waits; 0 without one."})),
      thread_("sampler", [this](const StopToken& stop) { Run(stop); }) {}

StateSampler::~StateSampler() { thread_.RequestStop(); }

void StateSampler::Run(const StopToken& stop) {
  do {
    // Waits for the read, which refers to this: the loop runs it even if it is stopping.
    absl::Notification done;
    const absl::Status posted = loop_.Post([this, &done](Engine& engine, const Instant& now) {
      engine.Read(
          [this, &done](const absl::StatusOr<View>& view) {
            if (view.ok()) Sample(*view);
            done.Notify();
          },
          now);
    });
    if (posted.ok()) done.WaitForNotification();  // else the queue is full: the next second comes
  } while (!WaitForStop(stop, absl::Seconds(1)));
}

void StateSampler::Sample(const View& view) {
  SampleTrials(view);
  SampleWorkers(view);
  checkpoints_count_.Set(static_cast<double>(view.state().checkpoints().size()));
  checkpoint_bytes_.Set(static_cast<double>(checkpoints_.used_bytes()));
  checkpoint_quota_bytes_.Set(static_cast<double>(checkpoints_.quota_bytes()));
}

void StateSampler::SampleTrials(const View& view) {
  std::map<int, int64_t> counts;
  for (const auto& [number, experiment] : view.state().experiments()) {
    for (const auto& [state, gauge] : trials_) {
      counts[state] += experiment.trials_by_state[static_cast<size_t>(state)];
    }
  }
  for (const auto& [state, gauge] : trials_) gauge->Set(static_cast<double>(counts[state]));
  experiments_active_.Set(static_cast<double>(view.state().active().size()));

  absl::Time oldest = view.now().wall;
  for (const auto& [priority, number] : view.state().queue()) {
    const auto& experiment = view.state().experiments().at(number);
    if (experiment.queued.empty()) continue;
    const auto& trial = experiment.trials.at(*experiment.queued.begin());
    oldest = std::min(oldest, FromTimestamp(trial.record.create_time()));
  }
  oldest_queued_seconds_.Set(absl::ToDoubleSeconds(view.now().wall - oldest));

  double images_per_second = 0;
  for (const auto& [trial, progress] : view.live().progress) {
    images_per_second += progress.images_per_second();
  }
  images_per_second_.Set(images_per_second);
}

void StateSampler::SampleWorkers(const View& view) {
  std::map<int, int> counts;
  double free = 0;
  double used = 0;
  for (const auto& [name, worker] : view.state().workers()) {
    const auto live = view.live().workers.find(name);
    const auto state =
        live == view.live().workers.end() ? v1::Worker::STATE_LOST : live->second.state;
    ++counts[state];
    if (state == v1::Worker::STATE_LOST) continue;
    used += static_cast<double>(worker.busy.size());
    free +=
        static_cast<double>(static_cast<size_t>(worker.record.slots_size()) - worker.busy.size());
  }
  for (const auto& [state, gauge] : workers_) gauge->Set(counts[state]);
  slots_free_.Set(free);
  slots_used_.Set(used);
}

}  // namespace cvtrain::coordinator
