#ifndef CVTRAIN_COORDINATOR_SERVICE_COMMITTER_LOOP_H_
#define CVTRAIN_COORDINATOR_SERVICE_COMMITTER_LOOP_H_

#include <functional>

#include "absl/status/status.h"
#include "common/thread.h"
#include "coordinator/storage/committer.h"

namespace cvtrain::coordinator {

// The thread that makes metrics and logs durable, many in one sync, and notices
// within a second when the database cannot write any more. The destructor
// commits what was staged. Thread-compatible.
class CommitterLoop {
 public:
  // `committer` must outlive this. `on_fatal` runs once, on this thread, when a
  // write of the database has failed, whoever made it: its outcome is unknown,
  // and the process must end.
  CommitterLoop(Committer& committer, std::function<void(const absl::Status&)> on_fatal);
  ~CommitterLoop();

 private:
  void Run(const StopToken& stop);

  Committer& committer_;
  const std::function<void(const absl::Status&)> on_fatal_;
  Thread thread_;  // the last member: it uses all others
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_COMMITTER_LOOP_H_
