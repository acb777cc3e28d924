// The loop hears its trainers.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/uuid.h"
#include "worker/agent/session/backoff.h"
#include "worker/agent/supervise/agent_state.h"

namespace cvtrain::worker {
namespace {

ContentKey ContentOf(const v1::Shard& shard) {
  return {.digest = shard.digest(), .size_bytes = static_cast<uint64_t>(shard.size_bytes())};
}

ContentKey ContentOf(const session::v1::ResumePoint& resume) {
  return {.digest = resume.digest(),
          .size_bytes = static_cast<uint64_t>(resume.size_bytes()),
          .kind = ContentKey::Digest::kBlocks};
}

constexpr absl::Duration kStoreRetryDelay = absl::Milliseconds(200);

// What the coordinator may have done although no answer came, and must not do twice.
bool IsRepeatable(session::v1::StoreOperation::Kind kind) {
  return kind != session::v1::StoreOperation::KIND_ADD &&
         kind != session::v1::StoreOperation::KIND_COMPARE_SET;
}

}  // namespace

TrainerSlot* Agent::FindSlot(int index) {
  const auto it = std::find_if(slots_.begin(), slots_.end(),
                               [&](const auto& slot) { return slot->index() == index; });
  return it == slots_.end() ? nullptr : it->get();
}

void Agent::OnReport(const AttemptKey& key, int rank, trainer::v1::Report report) {
  CountProgress(key, rank, report);
  Feed(RankReported{.key = key, .rank = rank, .report = std::move(report)});
}

void Agent::OnLines(const AttemptKey& key, int rank, std::vector<v1::LogLine> lines) {
  Feed(RankLogged{.key = key, .rank = rank, .lines = std::move(lines)});
}

void Agent::OnRankEnded(RankEnded ended, trainer::v1::Exit::Suspect suspect) {
  series_->ranks_ended.For(CauseLabel(ended.cause)).Increment();
  VerifySuspects(std::move(ended), suspect);
  // The slot may have been waited for; not from within it.
  loop_mail_.Post([this] {
    std::vector<AttemptKey> waiting;
    for (const auto& [other, attempt] : attempts_) {
      if (!attempt->started) waiting.push_back(other);
    }
    for (const AttemptKey& other : waiting) StartIfReady(other);
  });
}

// A file that has its digest is damaged where it comes from. One that has not was damaged here:
// it is removed, and the next attempt fetches it anew. One that is not here any more had its digest
// when it came: the rank's word stands, but no checkpoint is called damaged for it.
void Agent::VerifySuspects(RankEnded ended, trainer::v1::Exit::Suspect suspect) {
  std::vector<ContentKey> files;
  std::string checkpoint;
  if (const auto it = attempts_.find(ended.key); it != attempts_.end()) {
    const Attempt& attempt = *it->second;
    if (suspect == trainer::v1::Exit::SUSPECT_CHECKPOINT && attempt.assign.has_resume()) {
      checkpoint = attempt.assign.resume().checkpoint();
      files.push_back(ContentOf(attempt.assign.resume()));
    } else if (suspect == trainer::v1::Exit::SUSPECT_CHECKPOINT && attempt.assign.has_init()) {
      files.push_back(ContentOf(attempt.assign.init()));
    } else if (suspect == trainer::v1::Exit::SUSPECT_SHARDS) {
      for (const v1::Shard& shard : attempt.assign.dataset().shards()) {
        if (attempt.shards.contains(shard.index())) files.push_back(ContentOf(shard));
      }
    }
    if (--it->second->ranks_left == 0) attempts_.erase(it);
  }
  if (files.empty()) {
    Feed(std::move(ended));
    return;
  }
  using Verdict = ContentCache::Verdict;
  transfers_->Verify(std::move(files), [this, ended, checkpoint](Verdict verdict) {
    loop_mail_.Post([this, ended, checkpoint, verdict] {
      RankEnded verified = ended;
      if (verdict == Verdict::kGood) verified.damaged_checkpoint = checkpoint;
      if (verdict == Verdict::kDamaged) {
        verified.cause = v1::CAUSE_INTERNAL;
        absl::StrAppend(&verified.message,
                        "; the worker's copy was damaged: the next attempt fetches it again");
      }
      Feed(std::move(verified));
    });
  });
}

// --- Shards ---------------------------------------------------------------------

void Agent::OnShardRequest(const TrainerRef& from, const AttemptKey& key,
                           const trainer::v1::ShardRequest& request) {
  const int index = request.index();
  const auto it = attempts_.find(key);
  if (it == attempts_.end()) return;
  const auto& shards = it->second->assign.dataset().shards();
  const auto shard = std::find_if(shards.begin(), shards.end(),
                                  [&](const v1::Shard& one) { return one.index() == index; });
  if (shard == shards.end()) {
    SendShard(from, request, NotFound(Reason::kShardNotFound, "the data set has no such shard"));
    return;
  }
  it->second->shards.insert(index);
  transfers_->GetShard({.key = ContentOf(*shard),
                        .sections = {request.sections().begin(), request.sections().end()},
                        .ahead = request.ahead()},
                       ScopeOf(key), [this, from, key, request](absl::StatusOr<CachedFile> file) {
                         // Mail must be copyable; the file is not.
                         auto shared =
                             std::make_shared<absl::StatusOr<CachedFile>>(std::move(file));
                         loop_mail_.Post([this, from, key, request, shared] {
                           if (attempts_.contains(key)) SendShard(from, request, *shared);
                         });
                       });
}

// The trainer maps what it gets: our descriptor is closed, and the cache may remove the file.
void Agent::SendShard(const TrainerRef& to, const trainer::v1::ShardRequest& request,
                      const absl::StatusOr<CachedFile>& file) {
  trainer::v1::AgentFrame frame;
  trainer::v1::Shard& shard = *frame.mutable_shard();
  shard.set_index(request.index());
  shard.set_id(request.id());
  if (file.ok()) {
    const int descriptor = file->descriptor();
    FindSlot(to.slot)->Send(to, frame, {descriptor});
    return;
  }
  // Only what is wrong at the source is the data's fault; a full disk here is not.
  const bool at_source =
      absl::IsDataLoss(file.status()) || ReasonOf(file.status()) == Reason::kShardNotFound;
  shard.set_cause(at_source ? v1::CAUSE_DATA : v1::CAUSE_INTERNAL);
  shard.set_error(std::string(file.status().message()));
  FindSlot(to.slot)->Send(to, frame);
}

// --- Store ----------------------------------------------------------------------

void Agent::OnStoreCall(const TrainerRef& from, const AttemptKey& key,
                        trainer::v1::StoreCall call) {
  CallStore(from, key, std::move(call), ScopeOf(key));
}

void Agent::CallStore(const TrainerRef& from, const AttemptKey& key, trainer::v1::StoreCall call,
                      std::shared_ptr<TransferScope> scope) {
  session::v1::AccessStoreRequest request;
  request.set_worker(options_.session.hello.worker());
  request.set_attempt(key.attempt.ToString());
  request.set_lease_generation(key.generation);
  *request.mutable_operation() = call.operation();
  client_.AccessStore(std::move(request), [this, from, key, call, scope](auto answer) {
    loop_mail_.Post([this, from, key, call, scope, answer = std::move(answer)] {
      OnStoreAnswer(from, key, call, scope, answer);
    });
  });
}

// New groups wait for a coordinator that is away; an operation that may have been done is
// not repeated.
void Agent::OnStoreAnswer(const TrainerRef& from, const AttemptKey& key,
                          const trainer::v1::StoreCall& call, std::shared_ptr<TransferScope> scope,
                          const absl::StatusOr<session::v1::AccessStoreResponse>& answer) {
  const bool passing =
      absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status());
  if (passing && IsRepeatable(call.operation().kind()) && !scope->stop.stop_requested() &&
      attempts_.contains(key)) {
    delayed_.push_back(
        {.due = clock_.SteadyNow() + kStoreRetryDelay,
         .work = [this, from, key, call, scope] { CallStore(from, key, call, scope); }});
    return;
  }
  trainer::v1::AgentFrame frame;
  frame.mutable_store_reply()->set_id(call.id());
  if (answer.ok()) {
    *frame.mutable_store_reply()->mutable_result() = answer->result();
  } else {
    frame.mutable_store_reply()->set_error(std::string(answer.status().message()));
  }
  FindSlot(from.slot)->Send(from, frame);
}

// --- Checkpoints ----------------------------------------------------------------

void Agent::OnCheckpoint(const TrainerRef& from, const AttemptKey& key, CheckpointBuffer buffer) {
  CheckpointJob job;
  job.key = key;
  job.header.set_attempt(key.attempt.ToString());
  job.header.set_lease_generation(key.generation);
  job.header.set_checkpoint(Uuid::Random(random_).ToString());
  job.header.set_step(buffer.ready.step());
  job.header.set_epoch(buffer.ready.epoch());
  job.header.set_stage(buffer.ready.stage());
  job.header.set_size_bytes(buffer.ready.size_bytes());
  job.memory = std::move(buffer.memory);
  job.scope = ScopeOf(key);
  job.gate = std::make_shared<UploadGate>();
  const std::string name = job.header.checkpoint();
  // After the reports that came before it, and before the rank can end: RanksEnded waits for it.
  reports_->Post([key, name, step = buffer.ready.step(), gate = job.gate](ReportSender& reports) {
    reports.OnCheckpointPending(key, name, step, [gate] { gate->Open(); });
  });
  transfers_->StoreCheckpoint(
      std::move(job), [this, from, key, name, ready = buffer.ready](CheckpointOutcome outcome) {
        const bool durable = outcome.uploaded || outcome.spooled != nullptr;
        const absl::Status status = outcome.status;
        auto spooled = std::shared_ptr<SpooledCheckpoint>(std::move(outcome.spooled));
        reports_->Post([key, name, spooled, durable](ReportSender& reports) {
          if (spooled) {
            reports.OnCheckpointSpooled(key, *spooled);
          } else {
            reports.OnCheckpointDone(key, name, durable);
          }
        });
        loop_mail_.Post([this, from, key, ready, durable, status] {
          ReleaseBuffer(from, ready, durable);
          if (absl::IsAborted(status)) Feed(ReportRefused{key, status});
        });
      });
}

void Agent::ReleaseBuffer(const TrainerRef& to, const trainer::v1::CheckpointReady& ready,
                          bool durable) {
  trainer::v1::AgentFrame frame;
  frame.mutable_checkpoint_released()->set_buffer(ready.buffer());
  frame.mutable_checkpoint_released()->set_step(ready.step());
  frame.mutable_checkpoint_released()->set_durable(durable);
  FindSlot(to.slot)->Send(to, frame);
}

}  // namespace cvtrain::worker
