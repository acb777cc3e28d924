#ifndef CVTRAIN_WORKER_AGENT_SESSION_GRPC_GRPC_COORDINATOR_CLIENT_H_
#define CVTRAIN_WORKER_AGENT_SESSION_GRPC_GRPC_COORDINATOR_CLIENT_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "worker/agent/session/coordinator_client.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace cvtrain::worker {

struct GrpcClientOptions {
  // workers/{id}: who asks for shards and checkpoints.
  std::string worker = {};
  // Of a report: longer than a slow commit, shorter than a lease.
  absl::Duration report_deadline = absl::Seconds(15);
  // Added to the time-out of a waiting store operation.
  absl::Duration store_deadline = absl::Seconds(10);
  // Of a download, which goes on from where it came when it is called again; and of an
  // upload, beside its size at the rate below.
  absl::Duration transfer_deadline = absl::Minutes(2);
  // The channel is a local socket: the coordinator may read a checkpoint where it lies.
  bool is_local = false;
  // Slowest rate that an upload may have on the whole, bytes per second.
  double upload_rate_min = 1 << 20;
};

// A CoordinatorClient over a channel of common/rpc. The channel reconnects by itself; the
// session decides when to open a stream again.
std::unique_ptr<CoordinatorClient> MakeGrpcCoordinatorClient(std::shared_ptr<grpc::Channel> channel,
                                                             const GrpcClientOptions& options);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_GRPC_GRPC_COORDINATOR_CLIENT_H_
