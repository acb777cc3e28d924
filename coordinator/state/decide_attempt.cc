#include "coordinator/state/decide_attempt.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/retention.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr int kFactsPerReportMax = 100;
constexpr size_t kMessageSizeBytesMax = 2048;
constexpr int kMetricsPerEvaluationMax = 2048;
constexpr size_t kDigestSizeBytes = 64;
constexpr int64_t kConfusionClassesMax = 128;

// An attempt with the part of one worker, as a claim names them.
struct Claimed {
  AttemptName name;
  const ClusterState::Trial* trial = nullptr;
  const storage::v1::AttemptRecord* attempt = nullptr;
  const storage::v1::AttemptPart* part = nullptr;
};

absl::Status LeaseLost(const LeaseClaim& claim, absl::string_view why) {
  return Aborted(Reason::kLeaseLost,
                 absl::StrCat(claim.attempt, ": the lease of ", claim.worker, " with generation ",
                              claim.lease_generation, " is lost: ", why));
}

// Errors as CheckLease(), except that the part may have ended.
absl::StatusOr<Claimed> Claim(const ClusterState& state, const LeaseClaim& claim) {
  CVT_RETURN_IF_ERROR(WorkerName::Parse(claim.worker).status());
  Claimed claimed;
  CVT_ASSIGN_OR_RETURN(claimed.name, AttemptName::Parse(claim.attempt));
  const auto trial = state.FindTrial(claimed.name.trial());
  const auto attempt = state.FindAttempt(claimed.name);
  if (!trial.ok() || !attempt.ok()) return LeaseLost(claim, "there is no such attempt");
  claimed.trial = *trial;
  claimed.attempt = *attempt;
  if (claimed.attempt->lease_generation() != claim.lease_generation) {
    return LeaseLost(claim, absl::StrCat("the generation is ", (*attempt)->lease_generation()));
  }
  claimed.part = FindPart(*claimed.attempt, claim.worker);
  if (claimed.part == nullptr) return LeaseLost(claim, "it has no rank of it");
  return claimed;
}

absl::Status BadFact(int64_t sequence, absl::string_view what) {
  return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("facts: ", sequence, ": ", what));
}

absl::Status Convert(const session::v1::Fact& fact, storage::v1::Fact& out) {
  out.set_sequence(fact.sequence());
  *out.mutable_time() = fact.time();
  switch (fact.kind_case()) {
    case session::v1::Fact::kStarted:
      out.mutable_started()->set_start_step(fact.started().start_step());
      return absl::OkStatus();
    case session::v1::Fact::kEvaluation: {
      const v1::EvaluationResult& from = fact.evaluation();
      if (from.metrics_size() > kMetricsPerEvaluationMax) {
        return BadFact(fact.sequence(), "too many metrics");
      }
      storage::v1::Evaluation& to = *out.mutable_evaluation();
      to.set_step(from.step());
      to.set_epoch(from.epoch());
      to.set_stage(from.stage());
      *to.mutable_metrics() = from.metrics();
      *to.mutable_time() = from.has_time() ? from.time() : fact.time();
      to.set_sample_digest(TruncateText(from.sample_digest(), kDigestSizeBytes));
      if (!from.has_confusion()) return absl::OkStatus();
      const int64_t classes = from.confusion().classes();
      if (classes < 1 || classes > kConfusionClassesMax ||
          from.confusion().counts_size() != classes * classes ||
          std::any_of(from.confusion().counts().begin(), from.confusion().counts().end(),
                      [](int64_t count) { return count < 0; })) {
        return BadFact(fact.sequence(),
                       "confusion: must have 1 to 128 classes, and their square of counts");
      }
      *to.mutable_confusion() = from.confusion();
      return absl::OkStatus();
    }
    case session::v1::Fact::kStage: {
      storage::v1::StageMeasurement& to = *out.mutable_stage();
      to.set_stage(fact.stage().stage());
      to.set_steps(fact.stage().steps());
      *to.mutable_duration() = fact.stage().duration();
      to.set_images(fact.stage().images());
      to.set_peak_memory_bytes(fact.stage().peak_memory_bytes());
      return absl::OkStatus();
    }
    case session::v1::Fact::kEnded: {
      if (fact.ended().cause() == v1::CAUSE_UNSPECIFIED ||
          !v1::Cause_IsValid(fact.ended().cause())) {
        return BadFact(fact.sequence(), "ended.cause: must be one of the causes");
      }
      storage::v1::PartEnded& to = *out.mutable_ended();
      to.set_cause(fact.ended().cause());
      to.set_message(TruncateText(fact.ended().message(), kMessageSizeBytesMax));
      to.set_end_step(fact.ended().end_step());
      to.set_sample_digest(fact.ended().sample_digest());
      to.set_damaged_checkpoint(fact.ended().damaged_checkpoint());
      to.set_flops(fact.ended().flops());
      return absl::OkStatus();
    }
    case session::v1::Fact::KIND_NOT_SET:
      break;
  }
  return BadFact(fact.sequence(), "has no kind that this coordinator knows");
}

absl::Status CheckHeader(const session::v1::UploadCheckpointHeader& header) {
  if (!IsSha256Hex(header.digest())) {
    return InvalidArgument(Reason::kFieldInvalid,
                           "digest: must be 64 lower-case hexadecimal digits");
  }
  if (header.step() < 0 || header.epoch() < 0 || header.stage() < 0) {
    return InvalidArgument(Reason::kFieldInvalid, "step, epoch, stage: must not be negative");
  }
  if (header.size_bytes() <= 0) {
    return InvalidArgument(Reason::kFieldInvalid, "size_bytes: must be positive");
  }
  if (static_cast<uint64_t>(header.size_bytes()) > limits::kCheckpointSizeBytesMax) {
    return LimitExceeded("kCheckpointSizeBytesMax",
                         absl::StrCat("size_bytes: ", header.size_bytes(), " is more than ",
                                      limits::kCheckpointSizeBytesMax));
  }
  return absl::OkStatus();
}

// The name of the checkpoint in `header`, which may be written with or without its collection.
absl::StatusOr<CheckpointName> NameIn(const session::v1::UploadCheckpointHeader& header) {
  const absl::StatusOr<Uuid> uuid = Uuid::Parse(header.checkpoint());
  if (uuid.ok()) return CheckpointName(*uuid);
  return CheckpointName::Parse(header.checkpoint());
}

// What the next attempt of `trial` goes on from; null: it begins anew.
const storage::v1::CheckpointRecord* NewestGoodCheckpoint(const ClusterState& state,
                                                          const ClusterState::Trial& trial) {
  for (auto name = trial.checkpoints.rbegin(); name != trial.checkpoints.rend(); ++name) {
    const storage::v1::CheckpointRecord& record = state.checkpoints().at(*name);
    if (!record.damaged()) return &record;
  }
  return nullptr;
}

}  // namespace

absl::Status CheckLease(const ClusterState& state, const LeaseClaim& claim) {
  CVT_ASSIGN_OR_RETURN(const Claimed claimed, Claim(state, claim));
  if (claimed.part->ended()) return LeaseLost(claim, "its ranks have ended");
  return absl::OkStatus();
}

Decision DecideAllocate(const ClusterState& state, const TrialPlacement& placement, absl::Time) {
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, state.FindTrial(placement.trial));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       state.FindExperiment(placement.trial.experiment()));
  const std::string name = placement.trial.ToString();
  const auto refuse = [&name](absl::string_view why) {
    return FailedPrecondition(Reason::kWrongState, absl::StrCat(name, ": ", why));
  };
  if (trial->record.state() != v1::Trial::STATE_QUEUED) return refuse("is not queued");
  const int32_t slots = experiment->record.spec().resources().slots();
  if (placement.ranks.size() != static_cast<size_t>(slots)) {
    return refuse(absl::StrCat("needs ", slots, " slots, not ", placement.ranks.size()));
  }
  Decided decided;
  storage::v1::AttemptAllocated& event = *decided.event.emplace().mutable_attempt_allocated();
  for (const RankSlot& rank : placement.ranks) {
    CVT_ASSIGN_OR_RETURN(const ClusterState::Worker* worker, state.FindWorker(rank.worker));
    if (worker->record.lost() || worker->busy.contains(rank.slot)) {
      return refuse(
          absl::StrCat("slot ", rank.slot, " of ", rank.worker.ToString(), " is not free"));
    }
    storage::v1::RankPlacement& placed = *event.add_ranks();
    placed.set_worker(rank.worker.ToString());
    placed.set_slot(rank.slot);
  }
  event.set_attempt(AttemptName(placement.trial, trial->record.attempts_size() + 1).ToString());
  if (const storage::v1::CheckpointRecord* newest = NewestGoodCheckpoint(state, *trial)) {
    event.set_resumed_from(newest->name());
    event.set_start_step(newest->step());
  }
  decided.resource = event.attempt();
  return decided;
}

Decision DecidePreempt(const ClusterState& state, const AttemptName& attempt, const TrialName& by,
                       absl::Time now) {
  CVT_ASSIGN_OR_RETURN(const storage::v1::AttemptRecord* record, state.FindAttempt(attempt));
  Decided decided;
  decided.resource = attempt.ToString();
  if (HasEnded(*record)) {
    return FailedPrecondition(Reason::kWrongState,
                              absl::StrCat(decided.resource, ": has ended, it holds no slots"));
  }
  Conclusion conclusion(state, now);
  CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * trial, conclusion.Edit(attempt.trial()));
  if (!conclusion.RequestStop(*trial, v1::CAUSE_PREEMPTED)) return decided;
  storage::v1::Event& event = decided.event.emplace();
  event.mutable_attempt_preempted()->set_attempt(decided.resource);
  event.mutable_attempt_preempted()->set_by(by.ToString());
  *event.mutable_consequences() = conclusion.Take();
  return decided;
}

Decision DecideFacts(const ClusterState& state, const session::v1::ReportFactsRequest& request,
                     absl::Time now) {
  const LeaseClaim claim{request.worker(), request.attempt(), request.lease_generation()};
  CVT_ASSIGN_OR_RETURN(const Claimed claimed, Claim(state, claim));
  if (request.facts().empty() || request.facts_size() > kFactsPerReportMax) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("facts: must be 1 to ", kFactsPerReportMax, ", got ", request.facts_size()));
  }
  Decided decided;
  decided.resource = request.attempt();
  storage::v1::Event event;
  storage::v1::FactsReported& reported = *event.mutable_facts_reported();
  int64_t next = claimed.part->fact_sequence() + 1;
  for (const session::v1::Fact& fact : request.facts()) {
    // A worker whose disk was full sends facts that it has not written. If it then crashes, it ends
    // the attempt under a number that it has used before.
    const bool forgot = fact.has_ended() && !claimed.part->ended();
    if (fact.sequence() < next && !forgot) continue;
    if (claimed.part->ended()) return LeaseLost(claim, "its ranks have ended");
    if (fact.sequence() > next) {
      return BadFact(fact.sequence(), absl::StrCat("comes where ", next, " is next"));
    }
    if (!reported.facts().empty() && reported.facts().rbegin()->has_ended()) {
      return BadFact(fact.sequence(), "comes after the end of its ranks");
    }
    CVT_RETURN_IF_ERROR(Convert(fact, *reported.add_facts()));
    reported.mutable_facts()->rbegin()->set_sequence(next++);
  }
  if (reported.facts().empty()) return decided;

  reported.set_worker(request.worker());
  reported.set_attempt(request.attempt());
  reported.set_lease_generation(request.lease_generation());
  Conclusion conclusion(state, now);
  CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * trial, conclusion.Edit(claimed.name.trial()));
  for (const storage::v1::Fact& fact : reported.facts()) {
    CVT_RETURN_IF_ERROR(ApplyFact(*trial, request.worker(), fact, now));
  }
  conclusion.Settle();
  *event.mutable_consequences() = conclusion.Take();
  decided.event = std::move(event);
  return decided;
}

Decision DecideCommitCheckpoint(const ClusterState& state,
                                const session::v1::UploadCheckpointHeader& header, absl::Time) {
  CVT_RETURN_IF_ERROR(CheckHeader(header));
  CVT_ASSIGN_OR_RETURN(const CheckpointName name, NameIn(header));
  Decided decided;
  decided.resource = name.ToString();
  const auto listed = state.checkpoints().find(name);
  if (listed != state.checkpoints().end()) {
    const storage::v1::CheckpointRecord& record = listed->second;
    if (record.attempt() == header.attempt() && record.digest() == header.digest()) return decided;
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("checkpoint: another one has the name ", name.ToString()));
  }
  const LeaseClaim claim{header.worker(), header.attempt(), header.lease_generation()};
  CVT_RETURN_IF_ERROR(CheckLease(state, claim));
  CVT_ASSIGN_OR_RETURN(const Claimed claimed, Claim(state, claim));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       state.FindExperiment(claimed.name.trial().experiment()));

  storage::v1::CheckpointCommitted& event = *decided.event.emplace().mutable_checkpoint_committed();
  event.set_name(decided.resource);
  event.set_attempt(header.attempt());
  event.set_step(header.step());
  event.set_epoch(header.epoch());
  event.set_stage(header.stage());
  event.set_size_bytes(header.size_bytes());
  event.set_digest(header.digest());
  // Where it belongs: it may be older than others, and gone at once.
  std::vector<CheckpointStep> checkpoints = CheckpointSteps(state, *claimed.trial);
  storage::v1::CheckpointRecord own;
  own.set_attempt(header.attempt());
  own.set_step(header.step());
  const auto place = std::find_if(
      checkpoints.begin(), checkpoints.end(),
      [&](const CheckpointStep& one) { return IsOlder(own, state.checkpoints().at(one.name)); });
  checkpoints.insert(place, {name, header.step(), /*damaged=*/false});
  const storage::v1::TrialRecord& record = claimed.trial->record;
  for (const KeptCheckpoint& judged : JudgeCheckpoints(
           PolicyOf(record), ObjectiveOf(experiment->record.spec()), record, checkpoints)) {
    if (judged.kept_as.empty() && !BegunWith(state, judged.name)) {
      event.add_deleted(judged.name.ToString());
    }
  }
  return decided;
}

}  // namespace cvtrain::coordinator
