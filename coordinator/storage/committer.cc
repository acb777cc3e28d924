#include "coordinator/storage/committer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "coordinator/storage/rocks.h"

// A commit:
//   1. take what is staged
//   2. let each request, then each participant, add its rows to one batch
//   3. write the batch and sync the log
//   4. tell the requests
// A crash before 3 ends leaves all rows of the batch or none; nobody has been told. After 3 the
// requests may go unanswered: callers repeat them, and stores know them again by their sequence.

namespace cvtrain::coordinator {

Committer::Committer(const CommitterOptions& options, Rocks& rocks, TelemetryRegistry& telemetry,
                     std::function<void()> on_durable)
    : options_(options),
      rocks_(rocks),
      on_durable_(std::move(on_durable)),
      commits_(telemetry.NewCounter(
          {"cvtrain_storage_commits_total", "Group commits of metrics and logs."})),
      refused_(telemetry.NewCounter({"cvtrain_storage_commit_queue_full_total",
                                     "Requests refused because the commit queue was full."})) {}

Committer::~Committer() {
  absl::MutexLock lock(&mu_);
  for (const auto& staged : staged_) {
    staged->Done(Unavailable(Reason::kStopping, "the coordinator stops; repeat the request"));
  }
}

absl::Status Committer::Stage(std::unique_ptr<Staged> staged, size_t size_bytes) {
  if (absl::Status health = rocks_.health(); !health.ok()) {
    return health;
  }
  absl::MutexLock lock(&mu_);
  if (staged_bytes_ + size_bytes > options_.queue_size_bytes_max) {
    refused_.Increment();
    return LimitExceeded("commit_queue_size_bytes_max",
                         "too many metrics and log lines wait to be stored; send them again later");
  }
  staged_.push_back(std::move(staged));
  staged_bytes_ += size_bytes;
  return absl::OkStatus();
}

absl::Status Committer::health() const { return rocks_.health(); }

void Committer::AddParticipant(Participant* participant) { participants_.push_back(participant); }

void Committer::RemoveParticipant(Participant* participant) {
  participants_.erase(std::remove(participants_.begin(), participants_.end(), participant),
                      participants_.end());
}

bool Committer::AwaitWork(absl::Duration wait_max) {
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(this, &Committer::HasWork), wait_max);
  if (!staged_.empty()) {
    mu_.AwaitWithTimeout(absl::Condition(this, &Committer::WindowIsFull), options_.window);
  }
  woken_ = false;
  return !staged_.empty();
}

void Committer::Wake() {
  absl::MutexLock lock(&mu_);
  woken_ = true;
}

absl::Status Committer::Commit() {
  std::vector<std::unique_ptr<Staged>> taken;
  {
    absl::MutexLock lock(&mu_);
    taken.swap(staged_);
    staged_bytes_ = 0;
  }
  if (taken.empty()) {
    return absl::OkStatus();
  }
  CommitBatch batch(rocks_);
  std::vector<absl::Status> refusals(taken.size());
  for (size_t i = 0; i < taken.size(); ++i) {
    refusals[i] = taken[i]->Prepare(batch);
  }
  absl::Status status;
  for (Participant* participant : participants_) {
    status.Update(participant->FinishCommit(batch));
  }
  if (status.ok() && batch.rows().Count() > 0) {
    status = options_.write ? options_.write(batch) : rocks_.Write(batch.rows());
    commits_.Increment();
  } else if (!status.ok()) {
    rocks_.Fail(status);  // stores now differ from the disk
  }
  if (status.ok()) {
    on_durable_();
  }
  for (Participant* participant : participants_) {
    participant->EndCommit(status);
  }
  for (size_t i = 0; i < taken.size(); ++i) {
    taken[i]->Done(status.ok() ? refusals[i] : status);
  }
  return status;
}

}  // namespace cvtrain::coordinator
