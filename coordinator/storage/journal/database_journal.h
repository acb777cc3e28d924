#ifndef CVTRAIN_COORDINATOR_STORAGE_JOURNAL_DATABASE_JOURNAL_H_
#define CVTRAIN_COORDINATOR_STORAGE_JOURNAL_DATABASE_JOURNAL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "coordinator/engine/journal.h"
#include "coordinator/storage/database.h"

namespace cvtrain::coordinator {

struct DatabaseJournalOptions {
  // Records at or before the newest snapshot that are kept, for people who look into a problem.
  int64_t tail_records = 10'000;
};

// The journal in the database. Thread-compatible; other stores may be used meanwhile.
class DatabaseJournal : public Journal {
 public:
  // Finds the end of the journal and compares it with HEAD. `database` must outlive the journal.
  //
  // Returns DATA_LOSS (JOURNAL_BEHIND) if the journal ends before HEAD's revision, DATA_LOSS
  // (JOURNAL_DAMAGED) if its chain has another hash there or its last rows cannot be read.
  static absl::StatusOr<std::unique_ptr<DatabaseJournal>> Open(
      Database& database, const DatabaseJournalOptions& options = {});

  absl::Status Append(absl::Span<const JournalRecord> records) override;
  absl::Status PutSnapshot(const JournalSnapshot& snapshot) override;
  absl::StatusOr<std::optional<JournalSnapshot>> LoadSnapshot() override;
  absl::Status Replay(int64_t after_revision,
                      absl::FunctionRef<absl::Status(const JournalRecord&)> visit) override;
  int64_t last_revision() const override { return last_revision_; }
  std::string cluster_id() const override { return database_.cluster_id(); }

  // The hash of the chain at last_revision().
  const ChainHash& last_chain() const { return last_chain_; }

 private:
  // The row that makes a snapshot's chunks count.
  struct SnapshotHeader;

  DatabaseJournal(Database& database, const DatabaseJournalOptions& options)
      : database_(database), options_(options) {}
  absl::Status FindEnd();
  absl::Status CompareWithHead();
  absl::StatusOr<std::optional<SnapshotHeader>> ReadSnapshotHeader();
  // The hash at `revision`; NOT_FOUND if its record was dropped.
  absl::StatusOr<ChainHash> ChainAt(int64_t revision);
  absl::Status WriteSnapshotChunks(const JournalSnapshot& snapshot);

  Database& database_;
  const DatabaseJournalOptions options_;
  int64_t first_revision_ = 1;  // of the records that can be replayed
  int64_t last_revision_ = 0;
  int64_t snapshot_revision_ = 0;  // 0: there is none
  ChainHash last_chain_ = {};
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_JOURNAL_DATABASE_JOURNAL_H_
