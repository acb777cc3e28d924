#ifndef CVTRAIN_WORKER_AGENT_SPOOL_RECORD_QUEUE_H_
#define CVTRAIN_WORKER_AGENT_SPOOL_RECORD_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "worker/agent/spool/record_log.h"

// A queue of records on disk, for exactly-once sending: what is appended is sent
// in numbered batches, one at a time, each until it is acknowledged.
//
// Steps, and what a crash after each leaves:
//   1. Append writes a data record to the newest segment: in the queue after a
//      crash of the process; after one of the machine, perhaps.
//   2. Next writes a batch record (stream, sequence, first and last record) and,
//      with `sync_batches`, syncs the segment. A crash before the sync loses the
//      batch record and the batch was never sent; after it, the batch is sent again,
//      with the same stream, sequence and content.
//   3. Ack is in memory only. A crash after it: the last batch is sent once more and
//      the receiver knows it already. The next batch record says that it arrived.
//   4. Segments whose records have all arrived are removed.
//
// Segments are `{prefix}-{number of the first record, 20 digits}.log`. A segment is
// synced when the next one begins. Numbers of records never repeat; dropped records
// leave a gap, which the receiver does not see: it counts batches.
namespace cvtrain::worker {

// Not concerned with who the receiver is or with how much all queues together may
// hold; see Spool. Thread-compatible.
class RecordQueue {
 public:
  struct Options {
    // A segment is closed above this: the unit of dropping and of removal.
    uint64_t segment_size_bytes = uint64_t{1} << 20;
    // Sync before a batch goes out: then a batch is stored once even if the machine
    // loses power in between. Costs one fdatasync for each batch.
    bool sync_batches = true;
  };

  struct Batch {
    std::string stream = {};
    int64_t sequence = 0;
    std::vector<std::string> payloads = {};
  };

  // What was given up to make room, or because it could not be written or read.
  struct Dropped {
    int64_t records = 0;
    uint64_t size_bytes = 0;
    Dropped& operator+=(const Dropped& other) {
      records += other.records;
      size_bytes += other.size_bytes;
      return *this;
    }
  };

  // `files` must outlive it; `directory` may not exist yet.
  RecordQueue(FileSystem& files, std::string directory, std::string prefix, Options options);

  // Finds what an earlier process left in the directory, `names` being all of its
  // names. Errors of FileSystem. Damaged records are left out and counted in lost().
  absl::Status Recover(const std::vector<std::string>& names);

  // Errors of FileSystem: the record is dropped (but see step 1: after a restart it may
  // be back), and the queue goes on in a new segment.
  absl::Status Append(absl::string_view payload);

  // Makes what was appended survive a crash of the machine too. Errors of FileSystem.
  absl::Status Sync();

  // The batch to send: the last one again until Ack(), else a new one with what waits,
  // about `size_bytes_max` of it, numbered in `stream`. Nothing if nothing waits.
  // Errors of FileSystem: no batch was made; try again later. With `unstored`, a full disk is no
  // error: the batch is numbered in memory only, and after a crash goes out once more.
  absl::StatusOr<std::optional<Batch>> Next(const std::string& stream, size_t size_bytes_max,
                                            bool unstored = false);

  // The batch of the last Next() has arrived.
  void Ack();

  // Number of the next record, and of the first one that has not arrived (the next one if all
  // have): what was appended before a moment has arrived once the second reaches what the
  // first was then.
  uint64_t next_number() const { return next_number_; }
  uint64_t first_pending() const;

  // Nothing waits and no batch is out.
  bool empty() const { return !batch_ && pending_records() == 0; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Drops the oldest segment that no batch needs; nothing if there is none.
  Dropped DropOldest();
  // Keeps every second record of the oldest segment among the least thinned ones;
  // nothing if there is none that was thinned less than kThinningsMax times.
  Dropped Thin();

  // Records that were damaged or could not be written, since construction.
  const Dropped& lost() const { return lost_; }

 private:
  static constexpr int kThinningsMax = 5;

  struct Record {
    uint64_t number = 0;
    RecordPlace place = {};
  };
  struct Segment {
    std::string path = {};
    uint64_t size_bytes = 0;
    int thinnings = 0;
    std::deque<Record> records = {};  // that have not arrived
  };
  struct SentBatch {
    std::string stream = {};
    int64_t sequence = 0;
    uint64_t begin = 0;  // records [begin, end)
    uint64_t end = 0;
    std::string segment_path = {};  // of its batch record
  };

  std::string SegmentPath(uint64_t first_number) const;
  absl::Status RecoverSegment(const std::string& name, uint64_t first_number);
  void ReadBatchRecord(absl::string_view payload, const std::string& path);
  absl::Status Write(uint8_t type, absl::string_view payload);
  absl::Status WriteBatchRecord(const SentBatch& batch);
  absl::Status EnsureWriter();
  void CloseWriter();
  absl::StatusOr<std::vector<std::string>> ReadPayloads(uint64_t begin, uint64_t end);
  void Consume(uint64_t end);
  size_t pending_records() const;
  // It has records, and the batch under way needs nothing of it.
  bool IsDroppable(const Segment& segment) const;
  Dropped RemoveSegment(size_t index);

  FileSystem& files_;
  const std::string directory_;
  const std::string prefix_;
  const Options options_;

  std::deque<Segment> segments_;  // the last one is written to if writer_ is set
  std::unique_ptr<WritableFile> writer_;
  uint64_t next_number_ = 1;
  std::optional<SentBatch> batch_;  // sent, not acknowledged
  std::string stream_;              // of sequence_
  int64_t sequence_ = 0;            // of the last batch in stream_
  uint64_t size_bytes_ = 0;
  Dropped lost_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SPOOL_RECORD_QUEUE_H_
