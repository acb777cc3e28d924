#include "coordinator/engine/loop/engine_loop.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"

namespace cvtrain::coordinator {
namespace {

// Inputs of one batch: enough to fill a sync, few enough that ticks come in time.
constexpr size_t kBatchInputsMax = 4'096;

}  // namespace

EngineLoop::EngineLoop(std::unique_ptr<Engine> engine, const Clock& clock, EngineOutputs& outputs,
                       TelemetryRegistry& telemetry, const Options& options,
                       std::function<void(const absl::Status&)> on_fatal)
    : clock_(clock),
      outputs_(outputs),
      options_(options),
      on_fatal_(std::move(on_fatal)),
      batches_(telemetry.NewCounter({.name = "cvtrain_coordinator_engine_batches_total",
                                     .help = "Batches of the engine; each is at most one sync."})),
      inputs_(telemetry.NewCounter({.name = "cvtrain_coordinator_engine_inputs_total",
                                    .help = "Commands, reads and messages taken by the engine."})),
      refused_(telemetry.NewCounter({.name = "cvtrain_coordinator_engine_refused_total",
                                     .help = "Inputs refused because too many waited."})),
      flush_seconds_(
          telemetry.NewHistogram({.name = "cvtrain_coordinator_commit_latency_seconds",
                                  .help = "Time to place, append, sync and publish one batch."},
                                 LatencyBuckets())),
      revision_(telemetry.NewGauge({.name = "cvtrain_coordinator_revision",
                                    .help = "Newest durable revision of the journal."})),
      queue_(limits::kEngineQueueLengthMax),
      engine_(std::move(engine)) {
  revision_.Set(static_cast<double>(engine_->revision()));
  thread_ = std::make_unique<Thread>("engine", [this](const StopToken& stop) { Run(stop); });
}

EngineLoop::~EngineLoop() {
  queue_.Close();
  thread_->RequestStop();
  thread_->Join();
}

absl::Status EngineLoop::Post(Input input) {
  if (queue_.TryPush(std::move(input))) return absl::OkStatus();
  if (queue_.closed()) {
    return Unavailable(Reason::kStopping, "the coordinator is stopping; try again in a moment");
  }
  refused_.Increment();
  return WithRetryDelay(LimitExceeded("engine_queue_length_max",
                                      absl::StrCat(queue_.capacity(), " requests wait already")),
                        absl::Milliseconds(100));
}

Instant EngineLoop::Now() const { return {.wall = clock_.WallNow(), .steady = clock_.SteadyNow()}; }

void EngineLoop::Run(const StopToken& stop) {
  while (!stop.stop_requested()) {
    std::vector<Input> inputs;
    if (std::optional<Input> first = queue_.Pop(stop, options_.tick)) {
      inputs.push_back(std::move(*first));
      std::vector<Input> more = queue_.PopAll(kBatchInputsMax);
      inputs.insert(inputs.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
    }
    RunBatch(std::move(inputs));
  }
  RunBatch(queue_.PopAll(queue_.capacity()));
  if (!engine_->fatal().ok()) return;
  const absl::Status status = engine_->PutSnapshot();
  if (!status.ok()) CVT_LOG(kError, "no snapshot at the end").Field("status", status.ToString());
}

void EngineLoop::RunBatch(std::vector<Input> inputs) {
  for (Input& input : inputs) {
    input(*engine_, Now());
    if (engine_->WantsFlush()) engine_->Flush(Now());
  }
  inputs_.Increment(static_cast<double>(inputs.size()));
  const absl::Duration start = clock_.SteadyNow();
  if (start - ticked_ >= options_.tick) {  // at its own pace, not once per message
    engine_->Tick(Now());
    ticked_ = start;
  }
  const int64_t before = engine_->revision();
  engine_->Flush(Now());
  if (engine_->revision() != before) {
    batches_.Increment();
    flush_seconds_.Observe(absl::ToDoubleSeconds(clock_.SteadyNow() - start));
    revision_.Set(static_cast<double>(engine_->revision()));
  }
  DeliverOutputs();
  if (!engine_->fatal().ok() && !std::exchange(fatal_told_, true)) on_fatal_(engine_->fatal());
}

void EngineLoop::DeliverOutputs() {
  const Engine::Outputs outputs = engine_->TakeOutputs();
  for (const auto& [session, message] : outputs.messages) outputs_.Send(session, message);
  for (const auto& [session, status] : outputs.closed) outputs_.Close(session, status);
  if (!outputs.deleted_checkpoints.empty()) outputs_.DeleteCheckpoints(outputs.deleted_checkpoints);
}

}  // namespace cvtrain::coordinator
