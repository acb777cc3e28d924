#ifndef CVTRAIN_TESTS_CRASH_EAGER_DOUBLES_H_
#define CVTRAIN_TESTS_CRASH_EAGER_DOUBLES_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/status_macros.h"
#include "coordinator/engine/journal.h"
#include "coordinator/storage/rocks.h"

// Parts of storage with planted bugs: they say OK before the sync. The crash tests put them in the
// place of the real ones, to prove that they would notice.
namespace cvtrain::coordinator {

// Appends what it is given with the next call: it always answers one write too early.
// Thread-compatible.
class EagerJournal : public Journal {
 public:
  explicit EagerJournal(std::unique_ptr<Journal> base) : base_(std::move(base)) {}

  absl::Status Append(absl::Span<const JournalRecord> records) override {
    CVT_RETURN_IF_ERROR(AppendWaiting());
    waiting_.assign(records.begin(), records.end());
    return absl::OkStatus();
  }
  absl::Status PutSnapshot(const JournalSnapshot& snapshot) override {
    CVT_RETURN_IF_ERROR(AppendWaiting());
    return base_->PutSnapshot(snapshot);
  }
  absl::StatusOr<std::optional<JournalSnapshot>> LoadSnapshot() override {
    return base_->LoadSnapshot();
  }
  absl::Status Replay(int64_t after_revision,
                      absl::FunctionRef<absl::Status(const JournalRecord&)> visit) override {
    CVT_RETURN_IF_ERROR(AppendWaiting());
    return base_->Replay(after_revision, visit);
  }
  int64_t last_revision() const override {
    return waiting_.empty() ? base_->last_revision() : waiting_.back().revision;
  }
  std::string cluster_id() const override { return base_->cluster_id(); }

 private:
  absl::Status AppendWaiting() { return base_->Append(std::exchange(waiting_, {})); }

  const std::unique_ptr<Journal> base_;
  std::vector<JournalRecord> waiting_;
};

// For CommitterOptions::write: writes the batch to the log, and leaves the sync to whoever is next.
inline absl::Status WriteWithoutSync(CommitBatch& batch) {
  return ToStatus(batch.rocks().db().Write(rocksdb::WriteOptions(), &batch.rows()), "writing");
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_CRASH_EAGER_DOUBLES_H_
