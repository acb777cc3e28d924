#ifndef CVTRAIN_COORDINATOR_ENGINE_IN_MEMORY_JOURNAL_H_
#define CVTRAIN_COORDINATOR_ENGINE_IN_MEMORY_JOURNAL_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "coordinator/engine/journal.h"

namespace cvtrain::coordinator {

// A Journal in memory, for tests and the simulation: what it holds is "on disk", so a test restarts
// an engine by making a new one on the same journal. Thread-compatible.
class InMemoryJournal : public Journal {
 public:
  // Keeps `tail_records` records at or before the newest snapshot.
  explicit InMemoryJournal(std::string cluster_id = "00000000-0000-4000-8000-000000000000",
                           int64_t tail_records = 10'000)
      : cluster_id_(std::move(cluster_id)), tail_records_(tail_records) {}

  // What a failed write leaves on disk, which its caller cannot know.
  enum class Outcome { kLost, kStored };

  // The next Append() or PutSnapshot() fails with `status`, and so does every later one, until
  // Restart().
  void FailNext(absl::Status status, Outcome outcome) {
    planned_ = std::move(status);
    outcome_ = outcome;
  }

  // The process that failed is gone; a new one writes.
  void Restart() { failure_ = absl::OkStatus(); }

  absl::Status Append(absl::Span<const JournalRecord> records) override {
    int64_t next = last_revision_ + 1;
    for (const JournalRecord& record : records) {
      if (record.revision != next++) {
        return InvalidArgument(Reason::kInternal, absl::StrCat("journal: record ", record.revision,
                                                               " where ", next - 1, " is next"));
      }
    }
    if (records.empty()) {
      return absl::OkStatus();
    }
    return Write([&] {
      records_.insert(records_.end(), records.begin(), records.end());
      last_revision_ = records.back().revision;
    });
  }

  absl::Status PutSnapshot(const JournalSnapshot& snapshot) override {
    if (snapshot.revision > last_revision_ ||
        (snapshot_ && snapshot.revision < snapshot_->revision)) {
      return InvalidArgument(
          Reason::kInternal,
          absl::StrCat("journal: snapshot after ", snapshot.revision, " must be in [",
                       snapshot_ ? snapshot_->revision : 0, ", ", last_revision_, "]"));
    }
    return Write([&] {
      snapshot_ = snapshot;
      while (!records_.empty() && records_.front().revision <= snapshot.revision - tail_records_) {
        records_.pop_front();
      }
    });
  }

  absl::StatusOr<std::optional<JournalSnapshot>> LoadSnapshot() override { return snapshot_; }

  absl::Status Replay(int64_t after_revision,
                      absl::FunctionRef<absl::Status(const JournalRecord&)> visit) override {
    if (after_revision < last_revision_ - static_cast<int64_t>(records_.size())) {
      return NotFound(Reason::kInternal, "journal: records were dropped");
    }
    for (const JournalRecord& record : records_) {
      if (record.revision > after_revision) {
        if (absl::Status status = visit(record); !status.ok()) {
          return status;
        }
      }
    }
    return absl::OkStatus();
  }

  int64_t last_revision() const override { return last_revision_; }
  std::string cluster_id() const override { return cluster_id_; }

 private:
  template <typename Change>
  absl::Status Write(Change change) {
    if (!failure_.ok()) {
      return failure_;
    }
    failure_ = std::exchange(planned_, absl::OkStatus());
    if (failure_.ok() || outcome_ == Outcome::kStored) {
      change();
    }
    return failure_;
  }

  const std::string cluster_id_;
  const int64_t tail_records_;
  std::deque<JournalRecord> records_;
  std::optional<JournalSnapshot> snapshot_;
  int64_t last_revision_ = 0;
  absl::Status planned_;
  Outcome outcome_ = Outcome::kLost;
  absl::Status failure_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_IN_MEMORY_JOURNAL_H_
