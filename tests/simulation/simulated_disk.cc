#include "tests/simulation/simulated_disk.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/storage/v1/event.pb.h"
#include "tests/simulation/planted.h"

namespace cvtrain::simulation {
namespace {

using coordinator::JournalRecord;
using coordinator::JournalSnapshot;

constexpr size_t kChecksumBytes = sizeof(uint32_t);

void AppendNumber(uint64_t value, std::string& out) {
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  out.append(bytes, sizeof(bytes));
}

uint64_t ReadNumber(const std::string& bytes, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

std::string EncodeFrame(absl::Span<const JournalRecord> records) {
  std::string bytes(kChecksumBytes, '\0');
  for (const JournalRecord& record : records) {
    AppendNumber(static_cast<uint64_t>(record.revision), bytes);
    AppendNumber(record.bytes.size(), bytes);
    bytes += record.bytes;
  }
  const uint32_t crc = Crc32c(absl::string_view(bytes).substr(kChecksumBytes));
  std::memcpy(bytes.data(), &crc, sizeof(crc));
  return bytes;
}

bool HasItsChecksum(const std::string& bytes) {
  if (bytes.size() < kChecksumBytes) return false;
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data(), sizeof(crc));
  return crc == Crc32c(absl::string_view(bytes).substr(kChecksumBytes));
}

void DecodeFrame(const std::string& bytes, std::vector<JournalRecord>& records) {
  size_t at = kChecksumBytes;
  while (at < bytes.size()) {
    JournalRecord record;
    record.revision = static_cast<int64_t>(ReadNumber(bytes, at));
    const size_t size = ReadNumber(bytes, at + sizeof(uint64_t));
    at += 2 * sizeof(uint64_t);
    record.bytes = bytes.substr(at, size);
    at += size;
    records.push_back(std::move(record));
  }
}

}  // namespace

void SimulatedDisk::Sync() {
  if (!frames_.empty()) synced_revision_ = frames_.back().last;
  if (context_.scenario.bug == Bug::kForgottenSync) return;  // it only says so
  synced_frames_ = frames_.size();
  if (next_snapshot_) snapshot_ = std::exchange(next_snapshot_, std::nullopt);
  head_ = synced_revision_;
}

void SimulatedDisk::Crash() {
  latency_ = 0;
  const size_t unsynced = frames_.size() - synced_frames_;
  // Frames reach the disk in order, and the snapshot after them.
  const size_t kept = unsynced == 0 ? 0 : context_.Index(unsynced + 1);
  if (next_snapshot_ && kept == unsynced && context_.random.Bernoulli(0.5)) {
    snapshot_ = std::move(next_snapshot_);
  } else if (next_snapshot_) {
    context_.Reached(Probe::kSnapshotLost);
  }
  next_snapshot_.reset();
  if (kept > 0) context_.Reached(Probe::kTailKept);
  if (kept < unsynced) context_.Reached(Probe::kTailLost);
  const bool torn = kept < unsynced && context_.random.Bernoulli(0.5);
  frames_.resize(synced_frames_ + kept + (torn ? 1 : 0));
  if (torn) {
    context_.Injected(Fault::kTornTail);
    std::string& bytes = frames_.back().bytes;
    bytes.resize(context_.Index(bytes.size()));
  }
}

bool SimulatedDisk::TurnABit() {
  if (synced_frames_ == 0 || damaged()) return false;
  Turned turned;
  turned.frame = context_.Index(synced_frames_);
  std::string& bytes = frames_[turned.frame].bytes;
  turned.byte = context_.Index(bytes.size());
  turned.mask = static_cast<char>(1 << context_.Index(8));
  bytes[turned.byte] = static_cast<char>(bytes[turned.byte] ^ turned.mask);
  turned_ = turned;
  return true;
}

bool SimulatedDisk::RollBack() {
  if (synced_frames_ < 2 || synced_frames_ != frames_.size() || next_snapshot_ || damaged()) {
    return false;
  }
  const size_t gone = 1 + context_.Index(std::min<size_t>(synced_frames_ - 1, 5));
  rolled_back_.assign(frames_.end() - static_cast<int64_t>(gone), frames_.end());
  frames_.resize(frames_.size() - gone);
  synced_frames_ = frames_.size();
  return true;
}

void SimulatedDisk::Restore() {
  if (!rolled_back_.empty()) {
    frames_.insert(frames_.end(), rolled_back_.begin(), rolled_back_.end());
    rolled_back_.clear();
    synced_frames_ = frames_.size();
  }
  if (!turned_) return;
  std::string& bytes = frames_[turned_->frame].bytes;
  bytes[turned_->byte] = static_cast<char>(bytes[turned_->byte] ^ turned_->mask);
  turned_.reset();
}

Nanos SimulatedDisk::TakeLatency() { return std::exchange(latency_, 0); }

absl::StatusOr<std::unique_ptr<SimulatedJournal>> SimulatedJournal::Open(Context& context,
                                                                         SimulatedDisk& disk) {
  for (size_t i = 0; i < disk.frames_.size(); ++i) {
    const SimulatedDisk::Frame& frame = disk.frames_[i];
    if (HasItsChecksum(frame.bytes)) continue;
    if (i + 1 == disk.frames_.size() && frame.last > disk.head_) {
      disk.frames_.pop_back();  // torn before anybody was told of it
      break;
    }
    return DataLoss(Reason::kJournalDamaged,
                    absl::StrCat("journal: frame ", i, " does not have its checksum"));
  }
  std::unique_ptr<SimulatedJournal> journal(new SimulatedJournal(context, disk));
  journal->last_revision_ = disk.frames_.empty() ? 0 : disk.frames_.back().last;
  if (journal->last_revision_ < disk.head_ && context.scenario.bug != Bug::kHeadNotChecked) {
    return DataLoss(Reason::kJournalBehind,
                    absl::StrCat("journal: ends at revision ", journal->last_revision_,
                                 ", HEAD says ", disk.head_));
  }
  // What survived is on the disk: opening a log syncs it.
  disk.Sync();
  return journal;
}

absl::Status SimulatedJournal::Write() {
  if (!failure_.ok()) return failure_;
  disk_.latency_ += context_.Between(kMillisecond / 2, 6 * kMillisecond) +
                    (disk_.slow > 0 ? context_.Between(0, disk_.slow) : 0);
  if (disk_.full) {
    failure_ = ResourceExhausted(Reason::kDiskFull, "journal: no space is left");
  } else if (context_.Chance(context_.scenario.disk_errors)) {
    context_.Injected(Fault::kDiskError);
    failure_ = Unavailable(Reason::kStorageFailed, "journal: the device failed");
  }
  return failure_;
}

absl::Status SimulatedJournal::Append(absl::Span<const JournalRecord> records) {
  int64_t next = last_revision_ + 1;
  for (const JournalRecord& record : records) {
    if (record.revision != next++) {
      return InvalidArgument(Reason::kInternal, absl::StrCat("journal: record ", record.revision,
                                                             " where ", next - 1, " is next"));
    }
  }
  if (records.empty()) return absl::OkStatus();
  const absl::Status written = Write();
  // What a failed write leaves is unknown to whoever wrote.
  const bool stored = written.ok() || (!absl::IsResourceExhausted(written) && failure_ == written &&
                                       context_.random.Bernoulli(0.5));
  if (!written.ok()) context_.Reached(stored ? Probe::kErrorStored : Probe::kErrorLost);
  if (!stored) return written;
  std::vector<JournalRecord> doctored;
  if (PlantsInJournal(context_.scenario.bug)) {
    doctored.assign(records.begin(), records.end());
    for (JournalRecord& record : doctored) PlantInRecord(context_.scenario.bug, record);
    records = doctored;
  }
  disk_.frames_.push_back(
      {EncodeFrame(records), records.front().revision, records.back().revision});
  if (records.size() >= 10) context_.Reached(Probe::kBatch);
  if (written.ok()) last_revision_ = records.back().revision;
  return written;
}

absl::Status SimulatedJournal::PutSnapshot(const JournalSnapshot& snapshot) {
  const int64_t newest = disk_.snapshot_ ? disk_.snapshot_->revision : 0;
  if (snapshot.revision > last_revision_ || snapshot.revision < newest) {
    return InvalidArgument(Reason::kInternal,
                           absl::StrCat("journal: snapshot after ", snapshot.revision,
                                        " must be in [", newest, ", ", last_revision_, "]"));
  }
  CVT_RETURN_IF_ERROR(Write());
  disk_.next_snapshot_ = snapshot;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<JournalSnapshot>> SimulatedJournal::LoadSnapshot() {
  return disk_.next_snapshot_ ? disk_.next_snapshot_ : disk_.snapshot_;
}

absl::Status SimulatedJournal::Replay(int64_t after_revision,
                                      absl::FunctionRef<absl::Status(const JournalRecord&)> visit) {
  const int64_t newest = disk_.snapshot_ ? disk_.snapshot_->revision : 0;
  if (after_revision < newest - context_.scenario.tail_records) {
    return NotFound(Reason::kInternal, "journal: records were dropped");
  }
  int64_t begin = after_revision;
  if (context_.scenario.bug == Bug::kReplayOffByOne && begin > 0) ++begin;
  for (const JournalRecord& record : RecordsAfter(begin)) CVT_RETURN_IF_ERROR(visit(record));
  return absl::OkStatus();
}

std::vector<JournalRecord> SimulatedJournal::RecordsAfter(int64_t after) const {
  std::vector<JournalRecord> records;
  auto frame =
      std::partition_point(disk_.frames_.begin(), disk_.frames_.end(),
                           [after](const SimulatedDisk::Frame& one) { return one.last <= after; });
  for (; frame != disk_.frames_.end(); ++frame) DecodeFrame(frame->bytes, records);
  records.erase(
      std::remove_if(records.begin(), records.end(),
                     [after](const JournalRecord& record) { return record.revision <= after; }),
      records.end());
  return records;
}

}  // namespace cvtrain::simulation
