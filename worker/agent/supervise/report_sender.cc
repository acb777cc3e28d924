#include "worker/agent/supervise/report_sender.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"

namespace cvtrain::worker {
namespace {

// -1 if it is not among them.
int64_t StepOf(const std::vector<SpooledCheckpoint>& checkpoints, const std::string& name) {
  for (const SpooledCheckpoint& one : checkpoints) {
    if (one.header.checkpoint() == name) return one.header.step();
  }
  return -1;
}

}  // namespace

ReportSender::ReportSender(const ReportSenderOptions& options, std::unique_ptr<Spool> spool,
                           CoordinatorClient& client, Mailbox& mailbox, Random& random,
                           Events events, TelemetryRegistry& telemetry)
    : options_(options),
      spool_(std::move(spool)),
      client_(client),
      mailbox_(mailbox),
      random_(random),
      events_(std::move(events)),
      calls_(telemetry.NewCounter({.name = "cvtrain_worker_report_calls_total",
                                   .help = "Calls with reports to the coordinator"})),
      failures_(telemetry.NewCounter({.name = "cvtrain_worker_report_failures_total",
                                      .help = "Calls with reports that failed"})),
      rejected_(telemetry.NewCounter(
          {.name = "cvtrain_worker_reports_rejected_total",
           .help = "Batches that the coordinator can never take and that were given up"})) {
  for (const RecoveredAttempt& attempt : spool_->Attempts()) Of(attempt.key);
}

ReportSender::Outgoing& ReportSender::Of(const AttemptKey& key) {
  return outgoing_.try_emplace(key, options_, random_).first->second;
}

ReportSender::Outgoing* ReportSender::Find(const AttemptKey& key) {
  const auto it = outgoing_.find(key);
  return it == outgoing_.end() ? nullptr : &it->second;
}

void ReportSender::AppendFact(const AttemptKey& key, session::v1::Fact fact) {
  Of(key);
  spool_->AppendFact(key, std::move(fact));
}

void ReportSender::AppendSeries(const AttemptKey& key,
                                const std::vector<v1::MetricSeries>& series) {
  Of(key);
  spool_->AppendSeries(key, series);
}

void ReportSender::AppendLines(const AttemptKey& key, const std::vector<v1::LogLine>& lines) {
  Of(key);
  spool_->AppendLines(key, lines);
}

void ReportSender::SetPublishing(const AttemptKey& key, bool on) {
  Outgoing& outgoing = Of(key);
  outgoing.publishing = on;
  // A coordinator that has just welcomed us answers.
  if (on) {
    outgoing.retry_at = -absl::InfiniteDuration();
    outgoing.backoff.Reset();
  }
}

void ReportSender::Drop(const AttemptKey& key) {
  outgoing_.erase(key);
  spool_->Remove(key);
}

void ReportSender::OnCheckpointPending(const AttemptKey& key, const std::string& checkpoint,
                                       int64_t step, std::function<void()> may_go) {
  Outgoing& outgoing = Of(key);
  outgoing.pending_checkpoints[checkpoint] = {
      .step = step, .after = spool_->MarkOf(key), .may_go = std::move(may_go)};
  LetCheckpointsGo(key, outgoing);
}

void ReportSender::OnCheckpointDone(const AttemptKey& key, const std::string& checkpoint,
                                    bool durable) {
  Outgoing* outgoing = Find(key);
  if (outgoing == nullptr) return;
  const auto pending = outgoing->pending_checkpoints.find(checkpoint);
  if (pending == outgoing->pending_checkpoints.end()) return;
  int64_t& last = durable ? outgoing->arrived_step : outgoing->lost_step;
  last = std::max(last, pending->second.step);
  outgoing->pending_checkpoints.erase(pending);
}

bool ReportSender::IsAwaited(const AttemptKey& key, const Outgoing& outgoing) const {
  const auto& pending = outgoing.pending_checkpoints;
  if (std::any_of(pending.begin(), pending.end(),
                  [](const auto& entry) { return entry.second.may_go != nullptr; })) {
    return true;
  }
  const std::vector<SpooledCheckpoint> spooled = spool_->Checkpoints(key);
  return !spooled.empty() && !spool_->HasArrived(key, spooled.front().after);
}

void ReportSender::LetCheckpointsGo(const AttemptKey& key, Outgoing& outgoing) {
  for (auto& [name, pending] : outgoing.pending_checkpoints) {
    if (pending.may_go == nullptr || !spool_->HasArrived(key, pending.after)) continue;
    std::exchange(pending.may_go, nullptr)();
  }
}

void ReportSender::OnCheckpointSpooled(const AttemptKey& key, SpooledCheckpoint checkpoint) {
  if (Outgoing* outgoing = Find(key)) {
    const auto pending = outgoing->pending_checkpoints.extract(checkpoint.header.checkpoint());
    if (!pending.empty()) checkpoint.after = pending.mapped().after;
  }
  std::vector<std::string> in_use;
  for (const auto& [other, outgoing] : outgoing_) {
    if (!outgoing.uploading.empty()) in_use.push_back(outgoing.uploading);
  }
  spool_->AddCheckpoint(key, std::move(checkpoint), in_use);
}

absl::Duration ReportSender::Step(absl::Duration now) {
  now_ = now;
  absl::Duration next = absl::InfiniteDuration();
  for (auto& [key, outgoing] : outgoing_) {
    if (!outgoing.publishing) continue;
    if (now < outgoing.retry_at) {
      next = std::min(next, outgoing.retry_at);
      continue;
    }
    SendMetrics(key, outgoing, now);
    SendLogs(key, outgoing, now);
    SendFacts(key, outgoing);
    LetCheckpointsGo(key, outgoing);
    UploadNext(key, outgoing);
    if (outgoing.metrics_due > now) next = std::min(next, outgoing.metrics_due);
    if (outgoing.logs_due > now) next = std::min(next, outgoing.logs_due);
  }
  return next;
}

bool ReportSender::MayEnd(const AttemptKey& key, const Outgoing& outgoing) const {
  return outgoing.pending_checkpoints.empty() && !outgoing.metrics_out && !outgoing.logs_out &&
         spool_->OnlyEndWaits(key);
}

void ReportSender::SendFacts(const AttemptKey& key, Outgoing& outgoing) {
  if (outgoing.facts_out) return;
  if (outgoing.lost_step > outgoing.arrived_step && MayEnd(key, outgoing)) {
    spool_->FailEnd(key, absl::StrCat("the last checkpoint, of step ", outgoing.lost_step,
                                      ", is lost: the worker's log says why"));
  }
  auto request = spool_->NextFacts(key, MayEnd(key, outgoing));
  if (!request) return;
  outgoing.facts_out = true;
  calls_.Increment();
  request->set_worker(options_.worker);
  client_.ReportFacts(*std::move(request), [this, key](auto answer) {
    mailbox_.Post([this, key, answer = std::move(answer)] { OnFactsAnswer(key, answer); });
  });
}

void ReportSender::OnFactsAnswer(const AttemptKey& key,
                                 const absl::StatusOr<session::v1::ReportFactsResponse>& answer) {
  Outgoing* outgoing = Find(key);
  if (outgoing == nullptr) return;
  outgoing->facts_out = false;
  if (!answer.ok()) {
    OnFailure(key, *outgoing, answer.status());
    return;
  }
  outgoing->backoff.Reset();
  spool_->AckFacts(key, answer->durable_sequence());
  if (!spool_->IsSettled(key)) return;
  Drop(key);
  events_.settled(key);
}

void ReportSender::SendMetrics(const AttemptKey& key, Outgoing& outgoing, absl::Duration now) {
  // What is left of an attempt that ends goes at once, and so does what a checkpoint waits for.
  if (outgoing.metrics_out ||
      (now < outgoing.metrics_due && !spool_->IsEnding(key) && !IsAwaited(key, outgoing))) {
    return;
  }
  auto request = spool_->NextMetrics(key);
  if (!request) return;
  outgoing.metrics_out = true;
  outgoing.metrics_due = now + options_.batch_interval;
  calls_.Increment();
  request->set_worker(options_.worker);
  client_.ReportMetrics(*std::move(request), [this, key](auto answer) {
    mailbox_.Post([this, key, status = answer.status()] {
      Outgoing* waiting = Find(key);
      if (waiting == nullptr) return;
      waiting->metrics_out = false;
      if (OnBatchAnswer(key, *waiting, status, "metrics")) spool_->AckMetrics(key);
    });
  });
}

void ReportSender::SendLogs(const AttemptKey& key, Outgoing& outgoing, absl::Duration now) {
  if (outgoing.logs_out || (now < outgoing.logs_due && !spool_->IsEnding(key))) return;
  auto request = spool_->NextLogs(key);
  if (!request) return;
  outgoing.logs_out = true;
  outgoing.logs_due = now + options_.batch_interval;
  calls_.Increment();
  request->set_worker(options_.worker);
  client_.ReportLogs(*std::move(request), [this, key](auto answer) {
    mailbox_.Post([this, key, status = answer.status()] {
      Outgoing* waiting = Find(key);
      if (waiting == nullptr) return;
      waiting->logs_out = false;
      if (OnBatchAnswer(key, *waiting, status, "logs")) spool_->AckLogs(key);
    });
  });
}

bool ReportSender::OnBatchAnswer(const AttemptKey& key, Outgoing& outgoing,
                                 const absl::Status& status, const char* kind) {
  if (status.ok()) {
    outgoing.backoff.Reset();
    return true;
  }
  const std::string limit = LimitNameOf(status);
  if (absl::IsInvalidArgument(status) || absl::StartsWith(limit, "metrics_") ||
      absl::StartsWith(limit, "log_")) {
    // Sending it again cannot help, and nothing may wait behind it for ever.
    rejected_.Increment();
    CVT_LOG(kError, "the coordinator cannot take a batch of reports: it is given up")
        .Field("attempt", key)
        .Field("kind", kind)
        .Field("status", status);
    return true;
  }
  OnFailure(key, outgoing, status);
  return false;
}

void ReportSender::OnFailure(const AttemptKey& key, Outgoing& outgoing,
                             const absl::Status& status) {
  if (absl::IsCancelled(status)) return;  // we are ending
  failures_.Increment();
  if (absl::IsAborted(status) || absl::IsNotFound(status)) {
    outgoing.publishing = false;
    events_.refused(key, status);
    return;
  }
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
    CVT_LOG(kWarning, "reports are not accepted").Field("attempt", key).Field("status", status);
  }
  const absl::Duration asked = RetryDelayOf(status).value_or(absl::ZeroDuration());
  outgoing.retry_at = now_ + std::max(asked, outgoing.backoff.Next());
}

void ReportSender::UploadNext(const AttemptKey& key, Outgoing& outgoing) {
  if (!outgoing.uploading.empty()) return;
  const std::vector<SpooledCheckpoint> waiting = spool_->Checkpoints(key);
  if (waiting.empty() || !spool_->HasArrived(key, waiting.front().after)) return;
  outgoing.uploading = waiting.front().header.checkpoint();
  events_.upload(key, waiting.front());
}

void ReportSender::OnUploaded(const AttemptKey& key, const std::string& checkpoint,
                              const absl::Status& status, absl::Duration now) {
  now_ = std::max(now_, now);
  Outgoing* outgoing = Find(key);
  if (outgoing == nullptr) return;
  outgoing->uploading.clear();
  const int64_t step = StepOf(spool_->Checkpoints(key), checkpoint);
  if (status.ok()) {
    outgoing->arrived_step = std::max(outgoing->arrived_step, step);
    spool_->RemoveCheckpoint(key, checkpoint);
    outgoing->first_failure.erase(checkpoint);
    return;
  }
  const absl::Duration since = outgoing->first_failure.try_emplace(checkpoint, now_).first->second;
  const bool no_room =
      absl::IsResourceExhausted(status) && now_ - since >= options_.checkpoint_retry_max;
  if (absl::IsDataLoss(status) || absl::IsInvalidArgument(status) || no_room) {
    CVT_LOG(kError, "checkpoint is given up")
        .Field("attempt", key)
        .Field("checkpoint", checkpoint)
        .Field("status", status);
    outgoing->lost_step = std::max(outgoing->lost_step, step);
    spool_->RemoveCheckpoint(key, checkpoint);
    outgoing->first_failure.erase(checkpoint);
    return;
  }
  OnFailure(key, *outgoing, status);
}

}  // namespace cvtrain::worker
