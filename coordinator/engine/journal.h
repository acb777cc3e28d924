#ifndef CVTRAIN_COORDINATOR_ENGINE_JOURNAL_H_
#define CVTRAIN_COORDINATOR_ENGINE_JOURNAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cvtrain::coordinator {

// One event as stored. `bytes` is a serialized event; the journal does not interpret it.
struct JournalRecord {
  // Dense: the first record of a journal has revision 1.
  int64_t revision = 0;
  std::string bytes;
};

// The state after `revision`, serialized; the journal does not interpret it.
struct JournalSnapshot {
  int64_t revision = 0;
  std::string bytes;
};

// The durable sequence of events, and a snapshot of the state now and then.
//
// It knows nothing of events, state or policy. It has one writer: Append() and PutSnapshot() are
// called by the engine alone.
//
// Thread-compatible: the owner synchronizes.
class Journal {
 public:
  virtual ~Journal() = default;

  // Appends `records`, whose revisions continue last_revision() without a gap. On return they are
  // durable, all of them. An empty span does nothing.
  //
  // Returns INVALID_ARGUMENT, and appends nothing, if a revision is not the next one. Any other
  // error means that the outcome is unknown: records may be on disk or not, wholly (never in part).
  // The caller must acknowledge nothing and stop; every later Append() and PutSnapshot() fails,
  // too. RESOURCE_EXHAUSTED (DISK_FULL) says that the disk is full, UNAVAILABLE that it failed.
  virtual absl::Status Append(absl::Span<const JournalRecord> records) = 0;

  // Stores `snapshot`, durable on return, and may drop records up to its revision, except for a
  // bounded tail. Replaces the former snapshot as a whole: a crash leaves the one or the other.
  //
  // Returns INVALID_ARGUMENT, and stores nothing, if its revision is above last_revision() or below
  // that of the newest snapshot. Other errors are those of Append().
  virtual absl::Status PutSnapshot(const JournalSnapshot& snapshot) = 0;

  // Returns the newest snapshot, nullopt if there is none.
  //
  // Returns DATA_LOSS (JOURNAL_DAMAGED) if its bytes do not have their digest.
  virtual absl::StatusOr<std::optional<JournalSnapshot>> LoadSnapshot() = 0;

  // Calls `visit` for every record with a revision above `after_revision`, in order.
  //
  // Returns the first error of `visit`. Returns NOT_FOUND if records after `after_revision` have
  // been dropped, DATA_LOSS (JOURNAL_DAMAGED) if a record is missing or does not continue the chain
  // of hashes; `visit` has then seen only records that do.
  virtual absl::Status Replay(int64_t after_revision,
                              absl::FunctionRef<absl::Status(const JournalRecord&)> visit) = 0;

  // The revision of the last durable record, 0 if there never was one.
  virtual int64_t last_revision() const = 0;

  // A UUID that the journal was created with, and that never changes.
  virtual std::string cluster_id() const = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_JOURNAL_H_
