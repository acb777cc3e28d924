#ifndef CVTRAIN_COORDINATOR_SERVICE_STATE_SAMPLER_H_
#define CVTRAIN_COORDINATOR_SERVICE_STATE_SAMPLER_H_

#include <map>

#include "common/telemetry.h"
#include "common/thread.h"
#include "coordinator/engine/loop/engine_loop.h"
#include "coordinator/engine/view.h"
#include "coordinator/storage/checkpoints/checkpoint_store.h"

namespace cvtrain::coordinator {

// Once a second, sets the gauges that say how the cluster stands: numbers of
// trials, workers and slots by state, work done per second, bytes stored.
// Thread-compatible.
class StateSampler {
 public:
  // All references must outlive this; so must the loop, which ends first.
  StateSampler(EngineLoop& loop, const CheckpointStore& checkpoints, TelemetryRegistry& telemetry);
  ~StateSampler();

 private:
  void Run(const StopToken& stop);
  void Sample(const View& view);
  void SampleTrials(const View& view);
  void SampleWorkers(const View& view);

  EngineLoop& loop_;
  const CheckpointStore& checkpoints_;
  std::map<int, Gauge*> trials_;   // by number of v1::Trial::State
  std::map<int, Gauge*> workers_;  // by number of v1::Worker::State
  Gauge& experiments_active_;
  Gauge& slots_free_;
  Gauge& slots_used_;
  Gauge& images_per_second_;
  Gauge& checkpoints_count_;
  Gauge& checkpoint_bytes_;
  Gauge& checkpoint_quota_bytes_;
  Gauge& oldest_queued_seconds_;
  Thread thread_;  // the last member: it uses all others
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_STATE_SAMPLER_H_
