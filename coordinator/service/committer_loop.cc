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
    const bool has_work = committer_.AwaitWork(absl::Seconds(1));
    // A write that failed elsewhere, a flush in the background say, ends the process too.
    absl::Status status = committer_.health();
    if (status.ok() && has_work) status = committer_.Commit();
    if (status.ok()) continue;
    on_fatal_(status);
    return;
  }
  if (const absl::Status status = committer_.Commit(); !status.ok()) on_fatal_(status);
}

}  // namespace cvtrain::coordinator
