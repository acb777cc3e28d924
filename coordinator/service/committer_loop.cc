#include "coordinator/service/committer_loop.h"

#include <utility>

namespace cvtrain::coordinator {

CommitterLoop::CommitterLoop(Committer& committer,
                             std::function<void(const absl::Status&)> on_fatal)
    : committer_(committer),
      on_fatal_(std::move(on_fatal)),
      thread_("committer", [this](const StopToken& stop) { Run(stop); }) {}

CommitterLoop::~CommitterLoop() {
  thread_.RequestStop();
  committer_.Wake();
  thread_.Join();
}

void CommitterLoop::Run(const StopToken& stop) {
  while (!stop.stop_requested()) {
    if (committer_.AwaitWork(absl::Seconds(1)) && !Commit()) return;
  }
  Commit();
}

bool CommitterLoop::Commit() {
  const absl::Status status = committer_.Commit();
  if (!status.ok()) on_fatal_(status);
  return status.ok();
}

}  // namespace cvtrain::coordinator
