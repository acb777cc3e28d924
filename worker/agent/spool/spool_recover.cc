// How a spool finds what an earlier process left, and its checkpoint files.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "worker/agent/spool/spool.h"

namespace cvtrain::worker {
namespace {

constexpr uint8_t kHeaderRecord = 1;
constexpr absl::string_view kCheckpointPrefix = "ckpt-";
constexpr absl::string_view kTemporarySuffix = ".tmp";
// So that a large checkpoint does not fill the cache of pages before it is synced.
constexpr size_t kWritePieceBytes = size_t{8} << 20;

bool ByStep(const SpooledCheckpoint& a, const SpooledCheckpoint& b) {
  return a.header.step() < b.header.step();
}

absl::Status WritePieces(WritableFile& file, absl::string_view head, absl::Span<const char> bytes) {
  CVT_RETURN_IF_ERROR(file.Append(head));
  for (size_t offset = 0; offset < bytes.size(); offset += kWritePieceBytes) {
    const auto piece = bytes.subspan(offset, kWritePieceBytes);
    CVT_RETURN_IF_ERROR(file.Append(absl::string_view(piece.data(), piece.size())));
  }
  CVT_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(FileSystem& files, std::string directory,
                                                   Random& random, const SpoolOptions& options,
                                                   TelemetryRegistry& telemetry) {
  std::unique_ptr<Spool> spool(new Spool(files, std::move(directory), random, options, telemetry));
  if (const absl::Status recovered = spool->Recover(); !recovered.ok()) {
    return Annotate(recovered, "opening the spool", spool->directory_);
  }
  spool->UpdateGauges();
  return spool;
}

absl::Status Spool::Recover() {
  CVT_RETURN_IF_ERROR(files_.CreateDir(directory_));
  CVT_RETURN_IF_ERROR(files_.SyncDir(DirName(directory_)));
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDir(directory_));
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory_, name);
    const absl::StatusOr<AttemptKey> key = AttemptKey::FromDirectoryName(name);
    if (!key.ok()) {
      CVT_LOG(kWarning, "unknown name in the spool is left alone").Field("path", path);
      continue;
    }
    CVT_ASSIGN_OR_RETURN(const bool held, Exists(files_, JoinPath(path, "facts.log")));
    const absl::Status recovered = held ? RecoverAttempt(*key, path) : absl::OkStatus();
    if (absl::IsDataLoss(recovered)) {
      errors_.Increment();
      CVT_LOG(kError, "facts of an attempt are damaged: it is given up").Field("status", recovered);
      Remove(*key);
    } else {
      CVT_RETURN_IF_ERROR(recovered);
    }
    if (!held) {
      // Of an attempt that had not reported anything, or was being removed.
      CVT_RETURN_IF_ERROR(files_.RemoveAll(path));
    }
  }
  return absl::OkStatus();
}

absl::Status Spool::RecoverAttempt(const AttemptKey& key, const std::string& path) {
  Attempt& attempt = Held(key);
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDir(path));
  CVT_RETURN_IF_ERROR(RecoverFacts(attempt, JoinPath(path, "facts.log")));
  CVT_RETURN_IF_ERROR(attempt.metrics.Recover(names));
  CVT_RETURN_IF_ERROR(attempt.logs.Recover(names));
  for (const std::string& name : names) {
    if (absl::EndsWith(name, kTemporarySuffix)) {
      files_.Remove(JoinPath(path, name)).IgnoreError();  // tried again at the next start
    } else if (absl::StartsWith(name, kCheckpointPrefix)) {
      RecoverCheckpoint(attempt, JoinPath(path, name));
    }
  }
  std::sort(attempt.checkpoints.begin(), attempt.checkpoints.end(), ByStep);
  for (SpooledCheckpoint& checkpoint : attempt.checkpoints) checkpoint.after = MarkOf(key);
  dropped_.For("metrics").Increment(static_cast<double>(attempt.metrics.lost().records));
  dropped_.For("logs").Increment(static_cast<double>(attempt.logs.lost().records));
  return absl::OkStatus();
}

absl::Status Spool::RecoverFacts(Attempt& attempt, const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const ScannedRecords scanned, ScanRecords(files_, path));
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                       files_.NewRandomAccessFile(path));
  if (scanned.bad_bytes > 0) {
    return DataLoss(Reason::kDataBad,
                    absl::StrFormat("%s: cut off at offset %d", path, scanned.good_bytes));
  }
  for (const RecordPlace& place : scanned.places) {
    CVT_ASSIGN_OR_RETURN(const std::string payload, ReadRecord(*file, path, place));
    session::v1::Fact fact;
    if (!fact.ParseFromString(payload)) {
      return DataLoss(Reason::kDataBad, absl::StrFormat("%s: offset %d: no fact of this version",
                                                        path, place.offset));
    }
    attempt.facts.push_back(std::move(fact));
  }
  return absl::OkStatus();
}

// One that is not whole is removed: the coordinator never heard of it.
void Spool::RecoverCheckpoint(Attempt& attempt, const std::string& path) {
  const absl::Status good = [&]() -> absl::Status {
    CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                         files_.NewRandomAccessFile(path));
    CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    CVT_ASSIGN_OR_RETURN(const std::string head, ReadFirstRecord(*file, path));
    SpooledCheckpoint checkpoint = {
        .header = {}, .path = path, .data_offset = kRecordHeaderSizeBytes + head.size()};
    if (!checkpoint.header.ParseFromString(head) ||
        size != checkpoint.data_offset + static_cast<uint64_t>(checkpoint.header.size_bytes())) {
      return DataLoss(Reason::kCheckpointBad, path + ": size and header do not agree");
    }
    attempt.checkpoints.push_back(std::move(checkpoint));
    return absl::OkStatus();
  }();
  if (good.ok()) return;
  errors_.Increment();
  checkpoints_dropped_.Increment();
  CVT_LOG(kError, "spooled checkpoint cannot be used").Field("status", good);
  files_.Remove(path).IgnoreError();  // tried again at the next start
}

absl::StatusOr<SpooledCheckpoint> Spool::WriteCheckpoint(
    FileSystem& files, const std::string& directory, const AttemptKey& key,
    const session::v1::UploadCheckpointHeader& header, absl::Span<const char> bytes) {
  const std::string parent = JoinPath(directory, key.DirectoryName());
  const std::string path = JoinPath(
      parent, absl::StrFormat("%s%020d-%s", kCheckpointPrefix, header.step(), header.checkpoint()));
  const std::string temporary = path + std::string(kTemporarySuffix);
  const std::string head = EncodeRecord(kHeaderRecord, header.SerializeAsString());
  const absl::Status written = [&]() -> absl::Status {
    CVT_RETURN_IF_ERROR(files.CreateDir(parent));
    CVT_ASSIGN_OR_RETURN(
        const std::unique_ptr<WritableFile> file,
        files.NewWritableFile(temporary, {.mode = WritableFileOptions::Mode::kTruncate,
                                          .preallocate_bytes = head.size() + bytes.size()}));
    CVT_RETURN_IF_ERROR(WritePieces(*file, head, bytes));
    CVT_RETURN_IF_ERROR(files.Rename(temporary, path));
    return files.SyncDir(parent);
  }();
  if (!written.ok()) {
    files.Remove(temporary).IgnoreError();  // what cannot be removed now, Open() removes
    files.Remove(path).IgnoreError();
    return Annotate(written, "spooling a checkpoint", path);
  }
  return SpooledCheckpoint{.header = header, .path = path, .data_offset = head.size()};
}

void Spool::AddCheckpoint(const AttemptKey& key, SpooledCheckpoint checkpoint,
                          const std::vector<std::string>& in_use) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) {  // lost to others meanwhile
    files_.RemoveAll(JoinPath(directory_, key.DirectoryName())).IgnoreError();
    return;
  }
  attempt->checkpoints.push_back(std::move(checkpoint));
  std::sort(attempt->checkpoints.begin(), attempt->checkpoints.end(), ByStep);

  // Counted over all attempts of the trial: a later one knows better.
  const TrialName trial = key.attempt.trial();
  for (int keep = limits::kSpooledCheckpointsPerTrialMax; keep >= 1; --keep) {
    std::vector<std::pair<AttemptKey, std::string>> of_trial;
    for (const auto& [other, held] : attempts_) {
      if (other.attempt.trial() != trial) continue;
      for (const SpooledCheckpoint& one : held.checkpoints) {
        of_trial.emplace_back(other, one.header.checkpoint());
      }
    }
    for (size_t i = 0; i + static_cast<size_t>(keep) < of_trial.size(); ++i) {
      if (std::find(in_use.begin(), in_use.end(), of_trial[i].second) != in_use.end()) continue;
      checkpoints_dropped_.Increment();
      RemoveCheckpoint(of_trial[i].first, of_trial[i].second);
    }
    if (size_bytes() <= options_.size_bytes_max) break;
  }
  UpdateGauges();
}

std::vector<SpooledCheckpoint> Spool::Checkpoints(const AttemptKey& key) const {
  const Attempt* attempt = Find(key);
  return attempt == nullptr ? std::vector<SpooledCheckpoint>() : attempt->checkpoints;
}

void Spool::RemoveCheckpoint(const AttemptKey& key, const std::string& checkpoint) {
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return;
  const auto it = std::find_if(
      attempt->checkpoints.begin(), attempt->checkpoints.end(),
      [&](const SpooledCheckpoint& one) { return one.header.checkpoint() == checkpoint; });
  if (it == attempt->checkpoints.end()) return;
  if (const absl::Status removed = files_.Remove(it->path); !removed.ok()) {
    errors_.Increment();
    CVT_LOG(kWarning, "cannot remove a spooled checkpoint").Field("status", removed);
  }
  attempt->checkpoints.erase(it);
  UpdateGauges();
}

}  // namespace cvtrain::worker
