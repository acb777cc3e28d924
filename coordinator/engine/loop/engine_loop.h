#ifndef CVTRAIN_COORDINATOR_ENGINE_LOOP_ENGINE_LOOP_H_
#define CVTRAIN_COORDINATOR_ENGINE_LOOP_ENGINE_LOOP_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/bounded_queue.h"
#include "common/clock.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "coordinator/engine/engine.h"

namespace cvtrain::coordinator {

// Where the engine's outputs go. Called on the loop's thread; must not block.
class EngineOutputs {
 public:
  virtual ~EngineOutputs() = default;
  virtual void Send(SessionId session, const session::v1::ConnectResponse& message) = 0;
  virtual void Close(SessionId session, const absl::Status& status) = 0;
  // The bytes of these checkpoints may go.
  virtual void DeleteCheckpoints(const std::vector<CheckpointName>& names) = 0;
};

// Drives an Engine: one thread that takes inputs in batches, so that everything
// that arrives while the disk syncs shares the next sync.
//
// When the engine dies (a failed write, a journal that is behind) the loop
// answers what waits, calls `on_fatal` once, and takes no more.
//
// Thread-safe, but for construction and destruction.
class EngineLoop {
 public:
  using Input = std::function<void(Engine& engine, const Instant& now)>;

  struct Options {
    // Between ticks: expiry of leases and of waits is as exact as this.
    absl::Duration tick = absl::Milliseconds(100);
  };

  // All references must outlive the loop. `on_fatal` runs on the loop's thread.
  EngineLoop(std::unique_ptr<Engine> engine, const Clock& clock, EngineOutputs& outputs,
             TelemetryRegistry& telemetry, const Options& options,
             std::function<void(const absl::Status&)> on_fatal);

  // Runs what was posted, stores a snapshot if the engine lives, ends the thread.
  ~EngineLoop();

  // Queues `input`, which will be run once on the loop's thread, before the
  // flush of its batch.
  //
  // Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if too many inputs wait, and
  // UNAVAILABLE (STOPPING) once the loop stops; `input` is then dropped.
  absl::Status Post(Input input);

 private:
  void Run(const StopToken& stop);
  void RunBatch(std::vector<Input> inputs);
  void DeliverOutputs();
  Instant Now() const;

  // Constant after construction.
  const Clock& clock_;
  EngineOutputs& outputs_;
  const Options options_;
  const std::function<void(const absl::Status&)> on_fatal_;
  Counter& batches_;
  Counter& inputs_;
  Counter& refused_;
  Histogram& flush_seconds_;
  Gauge& revision_;

  BoundedQueue<Input> queue_;

  // Of the loop's thread.
  std::unique_ptr<Engine> engine_;
  absl::Duration ticked_ = -absl::InfiniteDuration();
  bool fatal_told_ = false;

  std::unique_ptr<Thread> thread_;  // the last member: it uses all others
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_LOOP_ENGINE_LOOP_H_
