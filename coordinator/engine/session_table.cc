#include "coordinator/engine/session_table.h"

#include "common/status_macros.h"

namespace cvtrain::coordinator {

std::optional<SessionId> SessionTable::Open(SessionId session, const WorkerName& worker) {
  std::optional<SessionId> older = SessionOf(worker);
  if (older) Close(*older);
  const bool is_new = sessions_.emplace(session, Session{worker, {}}).second;
  CVT_CHECK(is_new) << "session " << session << " is opened a second time";
  by_worker_[worker] = session;
  return older;
}

void SessionTable::Close(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  by_worker_.erase(found->second.worker);
  sessions_.erase(found);
}

std::vector<SessionId> SessionTable::All() const {
  std::vector<SessionId> all;
  for (const auto& [session, entry] : sessions_) all.push_back(session);
  return all;
}

std::optional<WorkerName> SessionTable::WorkerOf(SessionId session) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return std::nullopt;
  return found->second.worker;
}

std::optional<SessionId> SessionTable::SessionOf(const WorkerName& worker) const {
  const auto found = by_worker_.find(worker);
  if (found == by_worker_.end()) return std::nullopt;
  return found->second;
}

void SessionTable::Confirm(const WorkerName& worker, const AttemptName& attempt,
                           int64_t generation) {
  confirmed_[{attempt, worker}] = generation;
}

bool SessionTable::IsConfirmed(const WorkerName& worker, const AttemptName& attempt,
                               int64_t generation) const {
  const auto found = confirmed_.find({attempt, worker});
  return found != confirmed_.end() && found->second == generation;
}

bool SessionTable::ShouldAssign(SessionId session, const AttemptName& attempt, int64_t generation) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return false;
  Told& told = found->second.told[attempt];
  if (told.generation == generation) return false;
  told = {generation, false, false};
  return true;
}

bool SessionTable::ShouldStop(SessionId session, const AttemptName& attempt,
                              const storage::v1::AttemptStop& stop) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return false;
  Told& told = found->second.told[attempt];
  if (told.stopped && (told.stopped_now || !stop.now())) return false;
  told.stopped = true;
  told.stopped_now = stop.now();
  return true;
}

void SessionTable::Drop(const AttemptName& attempt) {
  for (auto& [session, entry] : sessions_) entry.told.erase(attempt);
  auto confirmed = confirmed_.lower_bound({attempt, WorkerName()});
  while (confirmed != confirmed_.end() && confirmed->first.first == attempt) {
    confirmed = confirmed_.erase(confirmed);
  }
}

}  // namespace cvtrain::coordinator
