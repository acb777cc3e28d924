#include "coordinator/engine/view.h"

namespace cvtrain::coordinator {

bool TakesWork(const ClusterState::Worker& worker, const LiveState& live) {
  const auto found = live.workers.find(worker.name);
  return !worker.record.lost() && !worker.record.cordoned() && found != live.workers.end() &&
         found->second.connected && found->second.state == v1::Worker::STATE_READY;
}

}  // namespace cvtrain::coordinator
