#include "coordinator/service/session_hub.h"

#include <optional>
#include <utility>

#include "common/log.h"

namespace cvtrain::coordinator {
namespace {

// Names that wait for their bytes to be removed. What does not fit is removed
// at the next start.
constexpr size_t kToDeleteMax = 100'000;

}  // namespace

SessionHub::SessionHub(CheckpointStore& checkpoints, TelemetryRegistry& telemetry)
    : checkpoints_(checkpoints),
      open_(telemetry.NewGauge(
          {.name = "cvtrain_coordinator_sessions", .help = "Open sessions of workers."})),
      deleted_(telemetry.NewCounter({.name = "cvtrain_coordinator_checkpoints_deleted_total",
                                     .help = "Checkpoints whose bytes were removed."})),
      to_delete_(kToDeleteMax),
      deleter_("ckpt-deleter", [this](const StopToken& stop) { RunDeleter(stop); }) {}

SessionHub::~SessionHub() { deleter_.RequestStop(); }

SessionId SessionHub::Add(std::shared_ptr<SessionPeer> peer) {
  absl::MutexLock lock(&mu_);
  const SessionId session = next_++;
  peers_.emplace(session, std::move(peer));
  open_.Set(static_cast<double>(peers_.size()));
  return session;
}

void SessionHub::Remove(SessionId session) {
  std::shared_ptr<SessionPeer> removed;  // declared first, so that it dies outside the lock
  absl::MutexLock lock(&mu_);
  const auto found = peers_.find(session);
  if (found == peers_.end()) return;
  removed = std::move(found->second);
  peers_.erase(found);
  open_.Set(static_cast<double>(peers_.size()));
}

std::shared_ptr<SessionPeer> SessionHub::Find(SessionId session) {
  absl::MutexLock lock(&mu_);
  const auto found = peers_.find(session);
  return found == peers_.end() ? nullptr : found->second;
}

void SessionHub::Send(SessionId session, const session::v1::ConnectResponse& message) {
  if (const auto peer = Find(session)) peer->Send(message);
}

void SessionHub::Close(SessionId session, const absl::Status& status) {
  if (const auto peer = Find(session)) peer->Close(status);
}

void SessionHub::DeleteCheckpoints(const std::vector<CheckpointName>& names) {
  for (CheckpointName name : names) {
    if (!to_delete_.TryPush(std::move(name))) {
      CVT_LOG(kWarning, "too many checkpoints wait for removal; the next start removes the rest");
      return;
    }
  }
}

void SessionHub::RunDeleter(const StopToken& stop) {
  while (const std::optional<CheckpointName> name = to_delete_.Pop(stop)) {
    const absl::Status status = checkpoints_.Delete(name->uuid());
    if (status.ok()) {
      deleted_.Increment();
    } else {
      CVT_LOG(kError, "cannot remove a checkpoint's bytes")
          .Field("checkpoint", name->ToString())
          .Field("status", status.ToString());
    }
  }
}

}  // namespace cvtrain::coordinator
