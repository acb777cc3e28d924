#ifndef CVTRAIN_TESTS_SIMULATION_SIMULATED_DISK_H_
#define CVTRAIN_TESTS_SIMULATION_SIMULATED_DISK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/engine/journal.h"
#include "tests/simulation/context.h"

namespace cvtrain::simulation {

// The disk under the coordinator's journal: a log of frames with checksums, a snapshot and a HEAD
// mark, as docs/formats/journal.md has them in the large. What is written is volatile until it is
// synced; a crash keeps a prefix of the volatile writes, of which the last one may be torn.
//
// The database (RocksDB) is not here: it has threads and a clock of its own. What it must do is
// the contract of Journal, which the conformance suite holds both to; what it does when power fails
// is tested in tests/crash. Thread-compatible.
class SimulatedDisk {
 public:
  explicit SimulatedDisk(Context& context) : context_(context) {}

  // --- Faults ---

  // Power fails, or the process dies in the middle of its writes.
  void Crash();
  // One bit of a synced frame turns. False if there is none.
  bool TurnABit();
  // The newest synced frames are gone, as if an older copy of the log had been put in place; HEAD
  // is not. False if there are none.
  bool RollBack();
  // Undoes both: an operator puts the good disk back.
  void Restore();
  bool damaged() const { return turned_.has_value() || !rolled_back_.empty(); }

  // Every write fails while it is full; each takes so long while it is slow.
  bool full = false;
  Nanos slow = 0;

  // --- Looking at it ---

  int64_t synced_revision() const { return synced_revision_; }
  bool has_volatile() const { return synced_frames_ < frames_.size() || next_snapshot_; }
  // Time that writes have taken since the last call.
  Nanos TakeLatency();

 private:
  friend class SimulatedJournal;

  struct Frame {
    std::string bytes;  // CRC32C, then records
    int64_t first = 0;
    int64_t last = 0;
  };
  struct Turned {
    size_t frame = 0;
    size_t byte = 0;
    char mask = 0;
  };

  void Sync();

  Context& context_;
  std::vector<Frame> frames_;
  size_t synced_frames_ = 0;
  std::optional<coordinator::JournalSnapshot> snapshot_;
  std::optional<coordinator::JournalSnapshot> next_snapshot_;  // volatile
  int64_t head_ = 0;                                           // HEAD: all up to it is durable
  int64_t synced_revision_ = 0;
  Nanos latency_ = 0;
  std::optional<Turned> turned_;
  std::vector<Frame> rolled_back_;
};

// The journal of one coordinator process on a SimulatedDisk. Appends and snapshots reach the disk
// at once and are durable when the owner says Sync(): it decides how long a sync takes and whether
// the process lives that long. Between the two the engine believes more than is durable, as it does
// during a real sync, and nothing that it says leaves the coordinator.
class SimulatedJournal : public coordinator::Journal {
 public:
  // Reads the log. DATA_LOSS (JOURNAL_DAMAGED) for a synced frame without its checksum,
  // (JOURNAL_BEHIND) if it ends before HEAD. A frame that was torn before it was synced is dropped.
  static absl::StatusOr<std::unique_ptr<SimulatedJournal>> Open(Context& context,
                                                                SimulatedDisk& disk);

  absl::Status Append(absl::Span<const coordinator::JournalRecord> records) override;
  absl::Status PutSnapshot(const coordinator::JournalSnapshot& snapshot) override;
  absl::StatusOr<std::optional<coordinator::JournalSnapshot>> LoadSnapshot() override;
  absl::Status Replay(
      int64_t after_revision,
      absl::FunctionRef<absl::Status(const coordinator::JournalRecord&)> visit) override;
  int64_t last_revision() const override { return last_revision_; }
  std::string cluster_id() const override { return "00000000-0000-4000-8000-000000000000"; }

  // What was written is durable now.
  void Sync() { disk_.Sync(); }
  // Records after `after`, as they stand in the log, also those that Replay() would not give any
  // more: for the checker, which keeps its own account.
  std::vector<coordinator::JournalRecord> RecordsAfter(int64_t after) const;

 private:
  SimulatedJournal(Context& context, SimulatedDisk& disk) : context_(context), disk_(disk) {}
  // Draws whether this write fails, and how long it takes.
  absl::Status Write();

  Context& context_;
  SimulatedDisk& disk_;
  int64_t last_revision_ = 0;
  absl::Status failure_;
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_SIMULATED_DISK_H_
