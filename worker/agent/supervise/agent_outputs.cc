// The loop carries out what the session wants.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/build_info.h"
#include "common/errors.h"
#include "common/log.h"
#include "worker/agent/supervise/agent_state.h"

namespace cvtrain::worker {
namespace {

// The coordinator has lost the bytes, or they are wrong where they come from.
bool IsGone(const absl::Status& status) {
  return absl::IsDataLoss(status) || ReasonOf(status) == Reason::kCheckpointNotFound;
}

absl::StatusOr<UniqueFd> DuplicateDescriptor(int descriptor) {
  UniqueFd borrowed(descriptor);
  absl::StatusOr<UniqueFd> copy = borrowed.Duplicate();
  borrowed.Release();
  return copy;
}

}  // namespace

void Agent::Do(OpenStream&) { client_.OpenStream(*this); }
void Agent::Do(CloseStream&) { client_.CloseStream(); }
void Agent::Do(SendMessage& output) { client_.SendOnStream(std::move(output.message)); }

void Agent::Do(StartRanks& output) {
  const AttemptKey key = output.key;
  auto attempt = std::make_unique<Attempt>();
  attempt->assign = std::move(output.assign);
  attempt->ranks_left = attempt->assign.ranks_size();
  attempt->needs_resume_file = attempt->assign.has_resume() || attempt->assign.has_init();
  reports_->Post([key](ReportSender& reports) { reports.Begin(key); });
  CVT_LOG(kInfo, "attempt assigned")
      .Field("attempt", key)
      .Field("ranks", attempt->ranks_left)
      .Field("world_size", attempt->assign.world_size())
      .Field("resume_step", attempt->assign.resume().step());
  const session::v1::ResumePoint resume =
      attempt->assign.has_resume() ? attempt->assign.resume() : attempt->assign.init();
  const bool needs_resume_file = attempt->needs_resume_file;
  attempts_[key] = std::move(attempt);
  if (!needs_resume_file) {
    StartIfReady(key);
    return;
  }
  transfers_->GetCheckpoint(resume, ScopeOf(key), [this, key](absl::StatusOr<CachedFile> file) {
    // Mail must be copyable; the file is not.
    auto shared = std::make_shared<absl::StatusOr<CachedFile>>(std::move(file));
    loop_mail_.Post([this, key, shared] { OnResumeFile(key, std::move(*shared)); });
  });
}

void Agent::OnResumeFile(const AttemptKey& key, absl::StatusOr<CachedFile> file) {
  const auto it = attempts_.find(key);
  if (it == attempts_.end()) return;
  if (!file.ok()) {
    if (absl::IsCancelled(file.status())) return;  // it is over already
    CVT_LOG(kError, "cannot get the checkpoint to begin with")
        .Field("attempt", key)
        .Field("status", file.status());
    EndUnstarted(key, v1::CAUSE_INTERNAL,
                 absl::StrCat("cannot get the checkpoint to begin with: ", file.status().message()),
                 IsGone(file.status()) ? it->second->assign.resume().checkpoint() : "");
    return;
  }
  it->second->resume_file = *std::move(file);
  it->second->needs_resume_file = false;
  StartIfReady(key);
}

// Waits for the checkpoint, and for ranks on its slots that are being killed.
void Agent::StartIfReady(const AttemptKey& key) {
  const auto it = attempts_.find(key);
  if (it == attempts_.end() || it->second->started || it->second->needs_resume_file) return;
  Attempt& attempt = *it->second;
  for (const session::v1::RankAssignment& rank : attempt.assign.ranks()) {
    if (FindSlot(rank.slot())->attempt()) return;
  }
  // All or none: a rank that starts without its peers would wait for them.
  std::vector<UniqueFd> resumes(static_cast<size_t>(attempt.assign.ranks_size()));
  for (UniqueFd& resume : resumes) {
    if (!attempt.resume_file) break;
    absl::StatusOr<UniqueFd> copy = DuplicateDescriptor(attempt.resume_file->descriptor());
    if (!copy.ok()) {
      EndUnstarted(key, v1::CAUSE_INTERNAL, "no descriptor for the checkpoint is left");
      return;
    }
    resume = *std::move(copy);
  }
  // The slots have descriptors of their own; the cache may remove the file from now on.
  attempt.resume_file.reset();
  attempt.started = true;
  for (int i = 0; i < attempt.assign.ranks_size(); ++i) {
    const session::v1::RankAssignment& rank = attempt.assign.ranks(i);
    FindSlot(rank.slot())
        ->Start(key, MakeStart(attempt, rank), std::move(resumes[static_cast<size_t>(i)]),
                clock_.SteadyNow());
  }
}

trainer::v1::Start Agent::MakeStart(const Attempt& attempt,
                                    const session::v1::RankAssignment& rank) const {
  trainer::v1::Start start;
  start.set_attempt(attempt.assign.attempt());
  start.set_lease_generation(attempt.assign.lease_generation());
  *start.mutable_recipe() = attempt.assign.recipe();
  start.set_recipe_digest(attempt.assign.recipe_digest());
  start.set_plan_version(attempt.assign.plan_version());
  if (attempt.assign.has_dataset()) *start.mutable_dataset() = attempt.assign.dataset();
  start.set_rank(rank.rank());
  start.set_world_size(attempt.assign.world_size());
  start.set_logical_ranks(attempt.assign.logical_ranks());
  start.set_threads(options_.trainer.threads_per_slot);
  for (const v1::Slot& slot : options_.session.hello.slots()) {
    if (slot.index() == rank.slot()) start.set_memory_bytes(slot.memory_bytes());
  }
  if (attempt.assign.has_resume()) *start.mutable_resume() = attempt.assign.resume();
  if (attempt.assign.has_init()) *start.mutable_init() = attempt.assign.init();
  start.set_collective_address(options_.collective_address);
  if (attempt.assign.has_grant_time()) *start.mutable_grant_time() = attempt.assign.grant_time();
  start.set_program_version(GetBuildInfo().version);
  return start;
}

// Ends every rank of an attempt that no slot has.
void Agent::EndUnstarted(const AttemptKey& key, v1::Cause cause, const std::string& message,
                         const std::string& damaged_checkpoint) {
  const auto it = attempts_.find(key);
  if (it == attempts_.end() || it->second->started) return;
  // The first end makes the session kill the other ranks, which comes back here: by then the
  // attempt is gone.
  const std::unique_ptr<Attempt> attempt = std::move(it->second);
  attempts_.erase(it);
  for (const session::v1::RankAssignment& rank : attempt->assign.ranks()) {
    Feed(RankEnded{.key = key,
                   .rank = rank.rank(),
                   .cause = cause,
                   .message = message,
                   .end_step = attempt->assign.resume().step(),
                   .damaged_checkpoint = damaged_checkpoint});
  }
}

void Agent::Do(StopRanks& output) {
  CVT_LOG(kInfo, "attempt is asked to stop")
      .Field("attempt", output.key)
      .Field("cause", CauseLabel(output.cause));
  EndUnstarted(output.key, output.cause, "stopped before its first step");
  for (const auto& slot : slots_) {
    if (slot->attempt() == output.key) slot->Stop(output.mode, output.cause);
  }
}

void Agent::Do(KillRanks& output) {
  EndUnstarted(output.key, output.cause, output.message);
  for (const auto& slot : slots_) {
    if (slot->attempt() == output.key) slot->Kill(output.cause, output.message);
  }
}

void Agent::Do(SpoolFact& output) {
  if (output.fact.has_ended()) {
    CVT_LOG(kInfo, "attempt ended here")
        .Field("attempt", output.key)
        .Field("cause", CauseLabel(output.fact.ended().cause()))
        .Field("step", output.fact.ended().end_step())
        .Field("message", output.fact.ended().message());
  }
  reports_->Post([key = output.key, fact = std::move(output.fact)](ReportSender& reports) {
    reports.AppendFact(key, fact);
  });
}

void Agent::Do(SpoolSeries& output) {
  if (!reports_->TryPost([key = output.key, series = std::move(output.series)](
                             ReportSender& reports) { reports.AppendSeries(key, series); })) {
    series_->reports_refused_by_spool.Increment();
  }
}

void Agent::Do(SpoolLines& output) {
  if (!reports_->TryPost([key = output.key, lines = std::move(output.lines)](
                             ReportSender& reports) { reports.AppendLines(key, lines); })) {
    series_->reports_refused_by_spool.Increment();
  }
}

void Agent::Do(SetPublishing& output) {
  ScopeOf(output.key)->publishing = output.on;
  reports_->Post([key = output.key, on = output.on](ReportSender& reports) {
    reports.SetPublishing(key, on);
  });
}

void Agent::Do(DropAttempt& output) {
  EndScope(output.key);
  attempts_.erase(output.key);
  reports_->Post([key = output.key](ReportSender& reports) { reports.Drop(key); });
}

void Agent::Do(SaveIdentity& output) {
  reports_->Post([this, output](ReportSender&) { WriteIdentity(output); });
}

void Agent::Do(EndProcess& output) {
  done_ = true;
  result_ = output.exit_code == 0 ? absl::OkStatus()
                                  : FailedPrecondition(Reason::kWrongState, output.message);
}

std::shared_ptr<TransferScope> Agent::ScopeOf(const AttemptKey& key) {
  absl::MutexLock lock(&scopes_mu_);
  std::shared_ptr<TransferScope>& scope = scopes_[key];
  if (!scope) scope = std::make_shared<TransferScope>();
  return scope;
}

void Agent::EndScope(const AttemptKey& key) {
  std::shared_ptr<TransferScope> scope;
  {
    absl::MutexLock lock(&scopes_mu_);
    const auto it = scopes_.find(key);
    if (it == scopes_.end()) return;
    scope = std::move(it->second);
    scopes_.erase(it);
  }
  scope->publishing = false;
  scope->dropped = true;
  scope->stop.request_stop();
}

void Agent::UploadSpooled(const AttemptKey& key, const SpooledCheckpoint& checkpoint) {
  const std::string name = checkpoint.header.checkpoint();
  transfers_->UploadSpooled(key, checkpoint, ScopeOf(key), [this, key, name](absl::Status status) {
    reports_->Post([this, key, name, status](ReportSender& reports) {
      reports.OnUploaded(key, name, status, clock_.SteadyNow());
      if (absl::IsAborted(status)) {
        loop_mail_.Post([this, key, status] { Feed(ReportRefused{key, status}); });
      }
    });
  });
}

}  // namespace cvtrain::worker
