#include "client/dataset/build_folder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/dataset/source_files.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace cvtrain::client {

using storage::v1::DatasetBuildEntry;
using storage::v1::DatasetBuildShard;

namespace {

constexpr char kLockName[] = "LOCK";
constexpr char kLogName[] = "log";
constexpr char kNewShardName[] = "new.shard";
constexpr uint64_t kLogBytesMax = uint64_t{1} << 30;
constexpr size_t kEntryHeadBytes = 8;
constexpr size_t kHashPieceBytes = size_t{1} << 20;

std::string Frame(const DatasetBuildEntry& entry) {
  const std::string bytes = entry.SerializeAsString();
  std::string frame;
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(bytes.size()), &frame);
  AppendLittleEndian<uint32_t>(Crc32c(bytes), &frame);
  return frame + bytes;
}

DatasetBuildEntry EntryOf(const DatasetBuildShard& shard) {
  DatasetBuildEntry entry;
  *entry.mutable_shard() = shard;
  return entry;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BuildFolder>> BuildFolder::Open(FileSystem& files,
                                                               const std::string& path) {
  CVT_RETURN_IF_ERROR(files.CreateDir(path, 0700));
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock, files.LockFile(JoinPath(path, kLockName)));
  return absl::WrapUnique(new BuildFolder(files, path, std::move(lock)));
}

std::string BuildFolder::ShardPath(const v1::Shard& shard) const {
  return JoinPath(path_, absl::StrFormat("%s-%05d.shard", shard.split(), shard.index()));
}

absl::StatusOr<std::vector<DatasetBuildEntry>> BuildFolder::ReadLog() const {
  std::vector<DatasetBuildEntry> entries;
  const auto read = ReadFile(files_, JoinPath(path_, kLogName), kLogBytesMax);
  if (absl::IsNotFound(read.status())) return entries;
  CVT_RETURN_IF_ERROR(read.status());
  absl::string_view left = *read;
  while (left.size() >= kEntryHeadBytes) {
    const auto length = LoadLittleEndian<uint32_t>(left.data());
    const auto crc = LoadLittleEndian<uint32_t>(left.data() + 4);
    const absl::string_view bytes = left.substr(kEntryHeadBytes, length);
    DatasetBuildEntry entry;
    if (bytes.size() != length || Crc32c(bytes) != crc ||
        !entry.ParseFromArray(bytes.data(), static_cast<int>(length))) {
      break;
    }
    entries.push_back(std::move(entry));
    left.remove_prefix(kEntryHeadBytes + length);
  }
  return entries;
}

absl::StatusOr<bool> BuildFolder::IsThere(const v1::Shard& shard) const {
  if (!IsSplitName(shard.split())) return false;
  const auto file = files_.NewRandomAccessFile(ShardPath(shard));
  if (absl::IsNotFound(file.status())) return false;
  CVT_RETURN_IF_ERROR(file.status());
  CVT_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  if (size != static_cast<uint64_t>(shard.size_bytes())) return false;
  Sha256 digest;
  std::string piece(kHashPieceBytes, '\0');
  for (uint64_t at = 0; at < size;) {
    CVT_ASSIGN_OR_RETURN(const size_t got, (*file)->Read(at, absl::MakeSpan(piece)));
    if (got == 0) return false;
    digest.Update(absl::string_view(piece).substr(0, got));
    at += got;
  }
  return ToHex(digest.Finish()) == shard.digest();
}

absl::Status BuildFolder::Begin(const std::string& fingerprint, const std::string& request_id) {
  fingerprint_ = fingerprint;
  request_id_ = request_id;
  CVT_ASSIGN_OR_RETURN(const std::vector<DatasetBuildEntry> entries, ReadLog());
  if (!entries.empty() && entries[0].start().fingerprint() == fingerprint) {
    request_id_ = entries[0].start().request_id();
    for (size_t i = 1; i < entries.size(); ++i) {
      CVT_ASSIGN_OR_RETURN(const bool is_there, IsThere(entries[i].shard().shard()));
      if (!is_there) break;
      finished_.push_back(entries[i].shard());
    }
  }
  CVT_RETURN_IF_ERROR(RemoveOthers());
  return WriteLog();
}

// Shards that no entry tells of.
absl::Status BuildFolder::RemoveOthers() const {
  std::set<std::string> known;
  for (const DatasetBuildShard& shard : finished_) known.insert(ShardPath(shard.shard()));
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDir(path_));
  for (const std::string& name : names) {
    const std::string path = JoinPath(path_, name);
    if (!absl::EndsWith(name, ".shard") || known.contains(path)) continue;
    CVT_RETURN_IF_ERROR(files_.Remove(path));
  }
  return absl::OkStatus();
}

absl::Status BuildFolder::WriteLog() {
  DatasetBuildEntry start;
  start.mutable_start()->set_fingerprint(fingerprint_);
  start.mutable_start()->set_request_id(request_id_);
  std::string log = Frame(start);
  for (const DatasetBuildShard& shard : finished_) log += Frame(EntryOf(shard));
  const std::string path = JoinPath(path_, kLogName);
  CVT_RETURN_IF_ERROR(WriteFileAtomic(files_, path, log, 0600));
  CVT_ASSIGN_OR_RETURN(log_,
                       files_.NewWritableFile(path, {.mode = WritableFileOptions::Mode::kAppend}));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WritableFile>> BuildFolder::NewShardFile() {
  return files_.NewWritableFile(JoinPath(path_, kNewShardName), {.permissions = 0600});
}

absl::Status BuildFolder::Add(std::unique_ptr<WritableFile> file, const DatasetBuildShard& entry) {
  CVT_RETURN_IF_ERROR(file->Sync());
  CVT_RETURN_IF_ERROR(file->Close());
  CVT_RETURN_IF_ERROR(files_.Rename(JoinPath(path_, kNewShardName), ShardPath(entry.shard())));
  CVT_RETURN_IF_ERROR(files_.SyncDir(path_));
  CVT_RETURN_IF_ERROR(log_->Append(Frame(EntryOf(entry))));
  CVT_RETURN_IF_ERROR(log_->Sync());
  finished_.push_back(entry);
  return absl::OkStatus();
}

absl::Status BuildFolder::Remove() {
  log_ = nullptr;
  // The lock last: until then nobody else begins here.
  std::vector<std::string> ours;
  for (const DatasetBuildShard& shard : finished_) ours.push_back(ShardPath(shard.shard()));
  for (const char* name : {kNewShardName, kLogName, kLockName}) {
    ours.push_back(JoinPath(path_, name));
  }
  for (const std::string& path : ours) {
    const absl::Status removed = files_.Remove(path);
    if (!absl::IsNotFound(removed)) CVT_RETURN_IF_ERROR(removed);
  }
  finished_.clear();
  lock_ = nullptr;
  return files_.Remove(path_);
}

}  // namespace cvtrain::client
