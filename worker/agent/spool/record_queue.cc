#include "worker/agent/spool/record_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace cvtrain::worker {
namespace {

constexpr uint8_t kData = 1;
// Payload: "stream sequence begin end".
constexpr uint8_t kBatch = 2;
// A data record that was thinned out; keeps the numbers of those after it.
constexpr uint8_t kHole = 3;

}  // namespace

RecordQueue::RecordQueue(FileSystem& files, std::string directory, std::string prefix,
                         Options options)
    : files_(files),
      directory_(std::move(directory)),
      prefix_(std::move(prefix)),
      options_(options) {}

std::string RecordQueue::SegmentPath(uint64_t first_number) const {
  return JoinPath(directory_, absl::StrFormat("%s-%020d.log", prefix_, first_number));
}

absl::Status RecordQueue::Recover(const std::vector<std::string>& names) {
  for (const std::string& name : names) {  // sorted, hence in order of numbers
    absl::string_view middle = name;
    uint64_t first_number = 0;
    if (!absl::ConsumePrefix(&middle, absl::StrCat(prefix_, "-")) ||
        !absl::ConsumeSuffix(&middle, ".log") || !absl::SimpleAtoi(middle, &first_number)) {
      continue;
    }
    CVT_RETURN_IF_ERROR(RecoverSegment(name, first_number));
  }
  if (batch_) {
    next_number_ = std::max(next_number_, batch_->end);
    Consume(batch_->begin);
  }
  return absl::OkStatus();
}

absl::Status RecordQueue::RecoverSegment(const std::string& name, uint64_t first_number) {
  const std::string path = JoinPath(directory_, name);
  CVT_ASSIGN_OR_RETURN(const ScannedRecords scanned, ScanRecords(files_, path));
  Segment segment = {.path = path,
                     .size_bytes = scanned.good_bytes + scanned.bad_bytes,
                     .thinnings = 0,
                     .records = {}};
  if (scanned.bad_bytes > 0) {
    CVT_LOG(kWarning, "spool segment is cut off: records after it are lost")
        .Field("path", path)
        .Field("offset", scanned.good_bytes)
        .Field("bytes", scanned.bad_bytes);
    lost_ += {.records = 1, .size_bytes = scanned.bad_bytes};
  }
  // A record whose writing failed may be there after all; its number was used again.
  for (Segment& earlier : segments_) {
    while (!earlier.records.empty() && earlier.records.back().number >= first_number) {
      earlier.records.pop_back();
    }
  }
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                       files_.NewRandomAccessFile(path));
  uint64_t number = first_number;
  for (const RecordPlace& place : scanned.places) {
    if (place.type == kBatch) {
      CVT_ASSIGN_OR_RETURN(const std::string payload, ReadRecord(*file, path, place));
      ReadBatchRecord(payload, path);
    } else {
      if (place.type == kData) segment.records.push_back({.number = number, .place = place});
      ++number;
    }
  }
  next_number_ = std::max(next_number_, number);
  size_bytes_ += segment.size_bytes;
  segments_.push_back(std::move(segment));
  return absl::OkStatus();
}

void RecordQueue::ReadBatchRecord(absl::string_view payload, const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(payload, ' ');
  SentBatch batch;
  if (parts.size() == 4 && absl::SimpleAtoi(parts[1], &batch.sequence) &&
      absl::SimpleAtoi(parts[2], &batch.begin) && absl::SimpleAtoi(parts[3], &batch.end)) {
    batch.stream = parts[0];
    batch.segment_path = path;
    // A later batch exists only if the earlier one arrived.
    batch_ = std::move(batch);
  }
}

absl::Status RecordQueue::EnsureWriter() {
  if (writer_ && segments_.back().size_bytes < options_.segment_size_bytes) {
    return absl::OkStatus();
  }
  if (writer_) {
    const absl::Status synced = options_.sync_batches ? writer_->Sync() : absl::OkStatus();
    CloseWriter();
    CVT_RETURN_IF_ERROR(synced);
  }
  const std::string path = SegmentPath(next_number_);
  // Only records that a failed write may have left can be there.
  if (!segments_.empty() && segments_.back().path == path) RemoveSegment(segments_.size() - 1);
  CVT_RETURN_IF_ERROR(files_.CreateDir(directory_));
  CVT_ASSIGN_OR_RETURN(
      writer_, files_.NewWritableFile(path, {.mode = WritableFileOptions::Mode::kTruncate}));
  segments_.push_back({.path = path, .size_bytes = 0, .thinnings = 0, .records = {}});
  if (options_.sync_batches) {
    if (absl::Status synced = files_.SyncDir(directory_); !synced.ok()) {
      CloseWriter();
      return synced;
    }
  }
  return absl::OkStatus();
}

void RecordQueue::CloseWriter() {
  if (!writer_) return;
  writer_->Close().IgnoreError();  // nothing is buffered; what matters was flushed or synced
  writer_.reset();
}

absl::Status RecordQueue::Write(uint8_t type, absl::string_view payload) {
  CVT_RETURN_IF_ERROR(EnsureWriter());
  absl::Status written = writer_->Append(EncodeRecord(type, payload));
  if (written.ok()) written = writer_->Flush();
  const uint64_t added = kRecordHeaderSizeBytes + payload.size();
  segments_.back().size_bytes += added;
  size_bytes_ += added;
  // What is in the file now is unknown: no more goes into it.
  if (!written.ok()) CloseWriter();
  return written;
}

absl::Status RecordQueue::Append(absl::string_view payload) {
  const absl::Status written = Write(kData, payload);
  const uint64_t number = next_number_++;
  if (!written.ok()) {
    lost_ += {.records = 1, .size_bytes = payload.size()};
    return written;
  }
  Segment& segment = segments_.back();
  RecordPlace place = {.type = kData,
                       .offset = segment.size_bytes - payload.size(),
                       .size_bytes = static_cast<uint32_t>(payload.size()),
                       .crc32c = RecordCrc(kData, payload)};
  segment.records.push_back({.number = number, .place = place});
  return absl::OkStatus();
}

absl::Status RecordQueue::Sync() {
  if (!writer_) return absl::OkStatus();  // a segment is synced when the next one begins
  const absl::Status synced = writer_->Sync();
  if (!synced.ok()) CloseWriter();
  return synced;
}

absl::StatusOr<std::optional<RecordQueue::Batch>> RecordQueue::Next(const std::string& stream,
                                                                    size_t size_bytes_max,
                                                                    bool unstored) {
  if (!batch_) {
    uint64_t begin = 0;
    uint64_t end = 0;
    size_t size_bytes = 0;
    for (const Segment& segment : segments_) {
      for (const Record& record : segment.records) {
        size_bytes += record.place.size_bytes;
        if (begin == 0)
          begin = record.number;
        else if (size_bytes > size_bytes_max)
          break;
        end = record.number + 1;
      }
      if (size_bytes > size_bytes_max) break;
    }
    if (begin == 0) return std::nullopt;
    SentBatch next = {.stream = stream,
                      .sequence = stream == stream_ ? sequence_ + 1 : 1,
                      .begin = begin,
                      .end = end};
    const absl::Status written = WriteBatchRecord(next);
    if (!written.ok() && !(unstored && ReasonOf(written) == Reason::kDiskFull)) return written;
    next.segment_path = segments_.back().path;
    stream_ = next.stream;
    sequence_ = next.sequence;
    batch_ = std::move(next);
  }
  Batch batch = {.stream = batch_->stream, .sequence = batch_->sequence, .payloads = {}};
  CVT_ASSIGN_OR_RETURN(batch.payloads, ReadPayloads(batch_->begin, batch_->end));
  return batch;
}

absl::Status RecordQueue::WriteBatchRecord(const SentBatch& batch) {
  CVT_RETURN_IF_ERROR(Write(
      kBatch, absl::StrCat(batch.stream, " ", batch.sequence, " ", batch.begin, " ", batch.end)));
  if (!options_.sync_batches) return absl::OkStatus();
  absl::Status synced = writer_->Sync();
  if (!synced.ok()) CloseWriter();
  return synced;
}

absl::StatusOr<std::vector<std::string>> RecordQueue::ReadPayloads(uint64_t begin, uint64_t end) {
  std::vector<std::string> payloads;
  for (const Segment& segment : segments_) {
    std::unique_ptr<RandomAccessFile> file;
    for (const Record& record : segment.records) {
      if (record.number < begin || record.number >= end) continue;
      if (!file) {
        CVT_ASSIGN_OR_RETURN(file, files_.NewRandomAccessFile(segment.path));
      }
      absl::StatusOr<std::string> payload = ReadRecord(*file, segment.path, record.place);
      if (absl::IsDataLoss(payload.status())) {
        CVT_LOG(kError, "spooled record is damaged and left out").Field("status", payload.status());
        lost_ += {.records = 1, .size_bytes = record.place.size_bytes};
        continue;
      }
      CVT_RETURN_IF_ERROR(payload.status());
      payloads.push_back(*std::move(payload));
    }
  }
  return payloads;
}

void RecordQueue::Ack() {
  if (!batch_) return;
  const uint64_t end = batch_->end;
  batch_.reset();
  Consume(end);
}

// Records before `end` have arrived; removes segments that are done.
void RecordQueue::Consume(uint64_t end) {
  for (Segment& segment : segments_) {
    while (!segment.records.empty() && segment.records.front().number < end) {
      segment.records.pop_front();
    }
  }
  // The newest one holds the last batch record and stays while it may be needed: as
  // long as it is written to, or until a later segment has another one.
  while (segments_.size() > 1 && segments_.front().records.empty()) RemoveSegment(0);
}

size_t RecordQueue::pending_records() const {
  size_t count = 0;
  for (const Segment& segment : segments_) count += segment.records.size();
  return count;
}

uint64_t RecordQueue::first_pending() const {
  for (const Segment& segment : segments_) {
    if (!segment.records.empty()) return segment.records.front().number;
  }
  return next_number_;
}

bool RecordQueue::IsDroppable(const Segment& segment) const {
  if (segment.records.empty()) return false;
  return !batch_ ||
         (segment.records.front().number >= batch_->end && segment.path != batch_->segment_path);
}

RecordQueue::Dropped RecordQueue::RemoveSegment(size_t index) {
  const Segment& segment = segments_[index];
  if (index + 1 == segments_.size()) CloseWriter();
  Dropped dropped = {.records = static_cast<int64_t>(segment.records.size()),
                     .size_bytes = segment.size_bytes};
  const absl::Status removed = files_.Remove(segment.path);
  if (!removed.ok() && !absl::IsNotFound(removed)) {
    CVT_LOG(kWarning, "cannot remove a spool segment").Field("status", removed);
  }
  size_bytes_ -= segment.size_bytes;
  segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(index));
  return dropped;
}

RecordQueue::Dropped RecordQueue::DropOldest() {
  for (size_t i = 0; i < segments_.size(); ++i) {
    if (IsDroppable(segments_[i])) return RemoveSegment(i);
  }
  return {};
}

RecordQueue::Dropped RecordQueue::Thin() {
  Segment* chosen = nullptr;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {  // the newest is still written to
    Segment& segment = segments_[i];
    if (IsDroppable(segment) && segment.thinnings < kThinningsMax && segment.records.size() > 1 &&
        (chosen == nullptr || segment.thinnings < chosen->thinnings)) {
      chosen = &segment;
    }
  }
  if (chosen == nullptr) return {};

  absl::StatusOr<std::unique_ptr<RandomAccessFile>> file = files_.NewRandomAccessFile(chosen->path);
  if (!file.ok()) return {};
  // Batch records are left out: the segments after this one hold newer ones, or none of
  // them matters any more.
  std::string content;
  std::deque<Record> kept;
  Dropped dropped;
  uint64_t number = 0;
  CVT_CHECK(absl::SimpleAtoi(BaseName(chosen->path).substr(prefix_.size() + 1, 20), &number));
  bool keep = true;
  for (const Record& record : chosen->records) {
    for (; number < record.number; ++number) content += EncodeRecord(kHole, "");
    absl::StatusOr<std::string> payload;
    if (keep) payload = ReadRecord(**file, chosen->path, record.place);
    if (keep && payload.ok()) {
      RecordPlace place = record.place;
      place.offset = content.size() + kRecordHeaderSizeBytes;
      content += EncodeRecord(kData, *payload);
      kept.push_back({.number = record.number, .place = place});
    } else {
      content += EncodeRecord(kHole, "");
      dropped += {.records = 1, .size_bytes = record.place.size_bytes};
    }
    ++number;
    keep = !keep;
  }
  const absl::Status written = WriteFileAtomic(files_, chosen->path, content);
  if (!written.ok()) {
    CVT_LOG(kWarning, "cannot thin a spool segment").Field("status", written);
    return {};
  }
  size_bytes_ -= chosen->size_bytes - content.size();
  chosen->size_bytes = content.size();
  chosen->records = std::move(kept);
  ++chosen->thinnings;
  return dropped;
}

}  // namespace cvtrain::worker
