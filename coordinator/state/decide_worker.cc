#include "coordinator/state/decide_worker.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr size_t kCordonReasonSizeBytesMax = 256;
// Of different trials, within so much time, set a worker aside.
constexpr size_t kFailuresSetAside = 3;
constexpr absl::Duration kFailuresWindow = absl::Minutes(30);

absl::Status CheckSlots(const session::v1::Hello& hello) {
  if (hello.slots_size() > limits::kSlotsPerWorkerMax) {
    return LimitExceeded("kSlotsPerWorkerMax",
                         absl::StrCat("slots: a worker has at most ", limits::kSlotsPerWorkerMax));
  }
  std::set<int32_t> indices;
  for (const v1::Slot& slot : hello.slots()) {
    if (slot.index() < 0 || !indices.insert(slot.index()).second) {
      return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("slots: index ", slot.index(),
                                                                 " is negative or given twice"));
    }
    if (slot.kind() == v1::Slot::KIND_UNSPECIFIED) {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("slots: slot ", slot.index(), " has no kind"));
    }
  }
  return absl::OkStatus();
}

storage::v1::WorkerRegistered Registration(const session::v1::Hello& hello) {
  storage::v1::WorkerRegistered registered;
  registered.set_name(hello.worker());
  registered.set_instance(hello.instance());
  for (const v1::Slot& slot : hello.slots()) {
    *registered.add_slots() = slot;
    registered.mutable_slots()->rbegin()->clear_attempt();
  }
  registered.set_program_version(hello.program_version());
  registered.set_build_id(hello.build_id());
  registered.set_hostname(hello.hostname());
  registered.set_plan_version(hello.plan_version());
  registered.set_cache_bytes_max(hello.cache_bytes_max());
  return registered;
}

bool IsKnownAs(const storage::v1::WorkerRecord& record,
               const storage::v1::WorkerRegistered& registered) {
  const auto equal_slots = [](const v1::Slot& a, const v1::Slot& b) {
    return a.index() == b.index() && a.kind() == b.kind() && a.memory_bytes() == b.memory_bytes() &&
           a.threads() == b.threads() && a.device() == b.device();
  };
  return !record.lost() && record.instance() == registered.instance() &&
         record.program_version() == registered.program_version() &&
         record.build_id() == registered.build_id() && record.hostname() == registered.hostname() &&
         record.plan_version() == registered.plan_version() &&
         record.cache_bytes_max() == registered.cache_bytes_max() &&
         std::equal(record.slots().begin(), record.slots().end(), registered.slots().begin(),
                    registered.slots().end(), equal_slots);
}

// Loses the parts of `worker` in `lost`, and concludes.
absl::StatusOr<storage::v1::Consequences> Lose(const ClusterState& state, const std::string& worker,
                                               const std::set<AttemptName>& lost, absl::Time now) {
  Conclusion conclusion(state, now);
  for (const AttemptName& attempt : lost) {
    CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * trial, conclusion.Edit(attempt.trial()));
    CVT_RETURN_IF_ERROR(LosePart(*trial, worker, now));
  }
  conclusion.Settle();
  return conclusion.Take();
}

// Whom to forget so that one more worker can register: machines come and go under new names. The
// lost one that registered longest ago; "" while there is room.
absl::StatusOr<std::string> MakeRoom(const ClusterState& state) {
  if (state.workers().size() < limits::kWorkersMax) return "";
  const ClusterState::Worker* oldest = nullptr;
  for (const auto& [name, worker] : state.workers()) {
    if (!worker.record.lost() || !worker.busy.empty()) continue;
    if (oldest == nullptr || FromTimestamp(worker.record.register_time()) <
                                 FromTimestamp(oldest->record.register_time())) {
      oldest = &worker;
    }
  }
  if (oldest != nullptr) return oldest->record.name();
  return LimitExceeded("kWorkersMax", absl::StrCat("workers: ", limits::kWorkersMax,
                                                   " are registered and none of them is lost"));
}

}  // namespace

std::vector<AttemptName> AttemptsOn(const ClusterState& state, const WorkerName& worker) {
  const auto found = state.workers().find(worker);
  if (found == state.workers().end()) return {};
  std::set<AttemptName> attempts;
  for (const auto& [slot, attempt] : found->second.busy) attempts.insert(attempt);
  return {attempts.begin(), attempts.end()};
}

Decision DecideWorkerLost(const ClusterState& state, const WorkerName& worker,
                          absl::string_view reason, absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* found, state.FindWorker(worker));
  Decided decided;
  decided.resource = worker.ToString();
  if (found->record.lost()) return decided;
  const std::vector<AttemptName> attempts = AttemptsOn(state, worker);
  storage::v1::Event event;
  storage::v1::WorkerLost& lost = *event.mutable_worker_lost();
  lost.set_worker(decided.resource);
  lost.set_reason(std::string(reason));
  for (const AttemptName& attempt : attempts) lost.add_lost_attempts(attempt.ToString());
  CVT_ASSIGN_OR_RETURN(*event.mutable_consequences(),
                       Lose(state, decided.resource, {attempts.begin(), attempts.end()}, now));
  decided.event = std::move(event);
  return decided;
}

Decision DecideCordonWorker(const ClusterState& state, const v1::CordonWorkerRequest& request,
                            absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker, state.FindWorker(name));
  if (request.reason().size() > kCordonReasonSizeBytesMax) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("reason: must be at most ", kCordonReasonSizeBytesMax,
                                        " bytes, not ", request.reason().size()));
  }
  Decided decided;
  decided.resource = request.name();
  Conclusion conclusion(state, now);
  if (request.drain()) {
    for (const AttemptName& attempt : AttemptsOn(state, name)) {
      CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * trial, conclusion.Edit(attempt.trial()));
      conclusion.RequestStop(*trial, v1::CAUSE_PREEMPTED);
    }
  }
  const bool is_new = !worker->record.cordoned() ||
                      worker->record.cordon_reason() != request.reason() ||
                      conclusion.consequences().stops_size() > 0;
  if (!is_new) return decided;
  storage::v1::Event& event = decided.event.emplace();
  event.mutable_worker_cordoned()->set_worker(request.name());
  event.mutable_worker_cordoned()->set_cordoned(true);
  event.mutable_worker_cordoned()->set_reason(request.reason());
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

Decision DecideUncordonWorker(const ClusterState& state, const v1::UncordonWorkerRequest& request,
                              absl::Time) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker, state.FindWorker(name));
  Decided decided;
  decided.resource = request.name();
  if (!worker->record.cordoned()) return decided;
  decided.event.emplace().mutable_worker_cordoned()->set_worker(request.name());
  return decided;
}

Decision DecideSetAside(const ClusterState& state, const WorkerName& worker, absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* found, state.FindWorker(worker));
  Decided decided;
  decided.resource = worker.ToString();
  if (found->record.cordoned() || found->record.lost()) return decided;
  std::set<TrialName> failed;
  for (const storage::v1::WorkerFailure& failure : found->record.failures()) {
    const auto attempt = AttemptName::Parse(failure.attempt());
    if (attempt.ok() && now - FromTimestamp(failure.time()) <= kFailuresWindow) {
      failed.insert(attempt->trial());
    }
  }
  if (failed.size() < kFailuresSetAside) return decided;
  const bool others_do_well =
      std::any_of(state.workers().begin(), state.workers().end(), [&](const auto& entry) {
        const storage::v1::WorkerRecord& other = entry.second.record;
        return entry.first != worker && !other.lost() && !other.cordoned() &&
               other.failures().empty();
      });
  if (!others_do_well) return decided;
  const storage::v1::WorkerFailure& last = *found->record.failures().rbegin();
  storage::v1::WorkerCordoned& event = *decided.event.emplace().mutable_worker_cordoned();
  event.set_worker(decided.resource);
  event.set_cordoned(true);
  event.set_reason(TruncateText(
      absl::StrCat("set aside: ", failed.size(),
                   " trials in a row failed here and other workers do "
                   "well; the last: ",
                   CauseText(last.cause()), last.message().empty() ? "" : ": ", last.message()),
      kCordonReasonSizeBytesMax));
  return decided;
}

Decision DecideRemoveWorker(const ClusterState& state, const v1::RemoveWorkerRequest& request,
                            absl::Time) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker, state.FindWorker(name));
  if (!worker->record.lost() || !worker->busy.empty()) {
    return FailedPrecondition(
        Reason::kWrongState,
        absl::StrCat(request.name(), ": is not lost; stop it first, its lease then expires"));
  }
  Decided decided;
  decided.resource = request.name();
  decided.event.emplace().mutable_worker_removed()->set_worker(request.name());
  return decided;
}

Decision DecideRegisterWorker(const ClusterState& state, const session::v1::Hello& hello,
                              const std::vector<AttemptName>& lost, absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(hello.worker()));
  CVT_RETURN_IF_ERROR(CheckSlots(hello));
  Decided decided;
  decided.resource = hello.worker();
  storage::v1::WorkerRegistered registered = Registration(hello);
  std::set<AttemptName> all_lost(lost.begin(), lost.end());
  const auto known = state.workers().find(name);
  if (known == state.workers().end()) {
    CVT_ASSIGN_OR_RETURN(*registered.mutable_forgotten(), MakeRoom(state));
  } else {
    // What runs on a slot that is offered no more cannot go on.
    for (const auto& [slot, attempt] : known->second.busy) {
      const int32_t index = slot;
      const bool offered = std::any_of(hello.slots().begin(), hello.slots().end(),
                                       [index](const v1::Slot& s) { return s.index() == index; });
      if (!offered) all_lost.insert(attempt);
    }
    if (all_lost.empty() && IsKnownAs(known->second.record, registered)) return decided;
  }
  storage::v1::Event event;
  for (const AttemptName& attempt : all_lost) registered.add_lost_attempts(attempt.ToString());
  CVT_ASSIGN_OR_RETURN(*event.mutable_consequences(), Lose(state, hello.worker(), all_lost, now));
  *event.mutable_worker_registered() = std::move(registered);
  decided.event = std::move(event);
  return decided;
}

}  // namespace cvtrain::coordinator
