#include "coordinator/storage/catalogue/shard_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/rocks.h"

// Rows of the family `catalogue` (docs/formats/storage.md):
//   'u' request           an unfinished version: when it was begun
//   'a' request digest    a shard has arrived for it
//   'f' digest            a shard is here: its size, and when it arrived
//
// Upload:
//   1. write the bytes to uploads/DIGEST
//   2. compare the digest, sync the file
//   3. rename it to shards/DIGEST, sync both folders
//   4. write rows 'f' and 'a'
// A crash before 3 leaves a part that an upload can go on with: its bytes are hashed again. A crash
// before 4 leaves a file without row, which the next upload replaces, or Collect() removes in time.
//
// Collect() removes the row first, so a row always has its file.

namespace cvtrain::coordinator {
namespace {

std::string RequestKey(char kind, const Uuid& request_id) {
  std::string key(1, kind);
  key.append(request_id.bytes().begin(), request_id.bytes().end());
  return key;
}

std::string FileKey(absl::string_view digest) { return absl::StrCat("f", digest); }

absl::Status ValidateDigest(absl::string_view digest) {
  const bool good = digest.size() == 64 && std::all_of(digest.begin(), digest.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  return good ? absl::OkStatus()
              : InvalidArgument(Reason::kFieldInvalid,
                                "shard: a digest must have 64 lower-case hexadecimal digits");
}

absl::Status ShardBad(absl::string_view digest, absl::string_view what) {
  return DataLoss(Reason::kShardBad, absl::StrCat("shard ", digest, ": ", what));
}

struct FileRow {
  int64_t size = 0;
  absl::Time arrived;
};

std::string EncodeTime(absl::Time time) {
  std::string row;
  AppendVarint(ZigZag(absl::ToUnixMicros(time)), &row);
  return row;
}

bool ReadTime(ByteReader& reader, absl::Time* time) {
  uint64_t micros = 0;
  if (!reader.ReadVarint(&micros)) {
    return false;
  }
  *time = absl::FromUnixMicros(UnZigZag(micros));
  return true;
}

absl::Status BadRow() {
  return DataLoss(Reason::kJournalDamaged, "catalogue: a row cannot be read");
}

absl::StatusOr<FileRow> DecodeFileRow(absl::string_view row) {
  ByteReader reader(row);
  FileRow file;
  uint64_t size = 0;
  if (!reader.ReadVarint(&size) || !ReadTime(reader, &file.arrived) || !reader.at_end()) {
    return BadRow();
  }
  file.size = static_cast<int64_t>(size);
  return file;
}

}  // namespace

// --- Writing ------------------------------------------------------------------

class ShardWriter::State {
 public:
  State(ShardStore& store, const Uuid& request_id, const ShardStore::UploadOptions& options)
      : store_(store), request_id_(request_id), options_(options) {}
  ~State() {
    file_.reset();
    absl::MutexLock lock(&store_.mu_);
    store_.busy_.erase(options_.digest);
  }

  absl::Status Open();
  absl::Status Append(absl::string_view bytes);
  absl::Status Finish();
  int64_t offset() const { return static_cast<int64_t>(file_->size()); }

 private:
  absl::Status HashPart();

  ShardStore& store_;
  const Uuid request_id_;
  const ShardStore::UploadOptions options_;
  Sha256 sha_;
  bool ended_ = false;
  std::unique_ptr<WritableFile> file_;
};

absl::Status ShardWriter::State::Open() {
  FileSystem& files = store_.database_.files();
  const std::string path = store_.PartPath(options_.digest);
  WritableFileOptions how;
  how.permissions = 0600;
  if (options_.offset > 0) {
    how.mode = WritableFileOptions::Mode::kAppend;
    CVT_RETURN_IF_ERROR(HashPart());
  }
  how.preallocate_bytes = static_cast<uint64_t>(options_.size_bytes - options_.offset);
  CVT_ASSIGN_OR_RETURN(file_, files.NewWritableFile(path, how));
  return absl::OkStatus();
}

absl::Status ShardWriter::State::HashPart() {
  FileSystem& files = store_.database_.files();
  CVT_ASSIGN_OR_RETURN(const int64_t size, store_.PartialSize(options_.digest));
  if (options_.offset != size || size > options_.size_bytes) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("shard ", options_.digest, ": offset must be 0 or ", size,
                                        ", got ", options_.offset));
  }
  CVT_ASSIGN_OR_RETURN(const auto part,
                       files.NewRandomAccessFile(store_.PartPath(options_.digest)));
  std::string buffer(limits::kChunkSizeBytes, '\0');
  for (uint64_t at = 0; at < static_cast<uint64_t>(size);) {
    CVT_ASSIGN_OR_RETURN(const size_t count, part->Read(at, absl::MakeSpan(buffer)));
    if (count == 0) {
      return Unavailable(Reason::kStorageFailed, "a part of a shard became shorter");
    }
    sha_.Update(absl::string_view(buffer).substr(0, count));
    at += count;
  }
  return absl::OkStatus();
}

absl::Status ShardWriter::State::Append(absl::string_view bytes) {
  if (ended_ || offset() + static_cast<int64_t>(bytes.size()) > options_.size_bytes) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("shard ", options_.digest, ": more than the ",
                                        options_.size_bytes, " bytes that were announced"));
  }
  sha_.Update(bytes);
  const absl::Status status = file_->Append(bytes);
  ended_ = !status.ok();
  return status;
}

absl::Status ShardWriter::State::Finish() {
  if (ended_) {
    return FailedPrecondition(Reason::kWrongState, "the upload has ended; begin again");
  }
  ended_ = true;
  FileSystem& files = store_.database_.files();
  const std::string part = store_.PartPath(options_.digest);
  const std::string digest = ToHex(sha_.Finish());
  if (offset() != options_.size_bytes || digest != options_.digest) {
    const int64_t size = offset();
    CVT_RETURN_IF_ERROR(file_->Close());
    CVT_RETURN_IF_ERROR(files.Remove(part));
    return ShardBad(options_.digest, absl::StrCat("got ", size, " of ", options_.size_bytes,
                                                  " bytes with SHA-256 ", digest));
  }
  CVT_RETURN_IF_ERROR(file_->Sync());
  CVT_RETURN_IF_ERROR(file_->Close());
  CVT_RETURN_IF_ERROR(files.Rename(part, store_.ShardPath(options_.digest)));
  CVT_RETURN_IF_ERROR(files.SyncDir(store_.shards_));
  CVT_RETURN_IF_ERROR(files.SyncDir(store_.uploads_));
  return store_.PutArrived(request_id_, options_.digest, options_.size_bytes);
}

ShardWriter::ShardWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ShardWriter::~ShardWriter() = default;
absl::Status ShardWriter::Append(absl::string_view bytes) { return state_->Append(bytes); }
absl::Status ShardWriter::Finish() { return state_->Finish(); }
int64_t ShardWriter::offset() const { return state_->offset(); }

// --- The store ----------------------------------------------------------------

ShardStore::ShardStore(Database& database)
    : database_(database),
      shards_(database.PathOf("shards")),
      uploads_(database.PathOf("uploads")) {}

absl::StatusOr<std::unique_ptr<ShardStore>> ShardStore::Open(Database& database) {
  std::unique_ptr<ShardStore> store(new ShardStore(database));
  CVT_RETURN_IF_ERROR(database.files().CreateDir(store->shards_));
  CVT_RETURN_IF_ERROR(database.files().CreateDir(store->uploads_));
  CVT_RETURN_IF_ERROR(database.files().SyncDir(database.options().directory));
  return store;
}

absl::StatusOr<std::vector<std::string>> ShardStore::Begin(const Uuid& request_id) {
  const std::string key = RequestKey('u', request_id);
  CVT_ASSIGN_OR_RETURN(const auto row, database_.rocks().Get(Family::kCatalogue, key));
  if (!row) {
    CVT_RETURN_IF_ERROR(database_.CheckSpace());
    CommitBatch batch(database_.rocks());
    batch.Put(Family::kCatalogue, key, EncodeTime(database_.clock().WallNow()));
    CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
  }
  return Arrived(request_id);
}

absl::Status ShardStore::CheckBegun(const Uuid& request_id) const {
  CVT_ASSIGN_OR_RETURN(const auto row,
                       database_.rocks().Get(Family::kCatalogue, RequestKey('u', request_id)));
  return row ? absl::OkStatus()
             : NotFound(Reason::kDatasetNotFound,
                        absl::StrCat("request ", request_id.ToString(),
                                     ": no version was begun with it in the last ",
                                     FormatElapsed(kKept), "; begin one"));
}

absl::StatusOr<std::vector<std::string>> ShardStore::Arrived(const Uuid& request_id) const {
  CVT_RETURN_IF_ERROR(CheckBegun(request_id));
  std::vector<std::string> digests;
  RowCursor cursor(database_.rocks(), Family::kCatalogue, RequestKey('a', request_id));
  for (; cursor.Valid(); cursor.Next()) {
    digests.emplace_back(cursor.suffix());
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  return digests;
}

absl::StatusOr<std::unique_ptr<ShardWriter>> ShardStore::Upload(const Uuid& request_id,
                                                                const UploadOptions& options) {
  CVT_RETURN_IF_ERROR(ValidateDigest(options.digest));
  if (options.size_bytes < 1 ||
      options.size_bytes > static_cast<int64_t>(limits::kShardSizeBytesMax) || options.offset < 0) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("shard ", options.digest, ": must have 1 to ", limits::kShardSizeBytesMax,
                     " bytes, got ", options.size_bytes));
  }
  CVT_RETURN_IF_ERROR(CheckBegun(request_id));
  CVT_RETURN_IF_ERROR(database_.CheckSpace());
  {
    absl::MutexLock lock(&mu_);
    if (!busy_.insert(options.digest).second) {
      return Aborted(Reason::kWrongState,
                     absl::StrCat("shard ", options.digest,
                                  ": is being uploaded by another call; try again later"));
    }
  }
  auto state = std::make_unique<ShardWriter::State>(*this, request_id, options);
  if (const absl::StatusOr<int64_t> size = Size(options.digest); size.ok()) {
    CVT_RETURN_IF_ERROR(PutArrived(request_id, options.digest, *size));
    return nullptr;
  }
  CVT_RETURN_IF_ERROR(state->Open());
  return std::unique_ptr<ShardWriter>(new ShardWriter(std::move(state)));
}

absl::Status ShardStore::PutArrived(const Uuid& request_id, const std::string& digest,
                                    int64_t size_bytes) {
  std::string row;
  AppendVarint(static_cast<uint64_t>(size_bytes), &row);
  row += EncodeTime(database_.clock().WallNow());
  CommitBatch batch(database_.rocks());
  batch.Put(Family::kCatalogue, FileKey(digest), row);
  batch.Put(Family::kCatalogue, RequestKey('a', request_id) + digest, "");
  return database_.rocks().Write(batch.rows());
}

absl::StatusOr<int64_t> ShardStore::PartialSize(absl::string_view digest) const {
  CVT_RETURN_IF_ERROR(ValidateDigest(digest));
  const absl::StatusOr<FileInfo> info = database_.files().Stat(PartPath(digest));
  if (absl::IsNotFound(info.status())) {
    return 0;
  }
  CVT_RETURN_IF_ERROR(info.status());
  return static_cast<int64_t>(info->size_bytes);
}

absl::StatusOr<int64_t> ShardStore::Size(absl::string_view digest) const {
  CVT_RETURN_IF_ERROR(ValidateDigest(digest));
  CVT_ASSIGN_OR_RETURN(const auto row, database_.rocks().Get(Family::kCatalogue, FileKey(digest)));
  if (!row) {
    return NotFound(Reason::kShardNotFound, absl::StrCat("shard ", digest, ": is not here"));
  }
  CVT_ASSIGN_OR_RETURN(const FileRow file, DecodeFileRow(*row));
  return file.size;
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> ShardStore::OpenRead(
    absl::string_view digest) const {
  CVT_ASSIGN_OR_RETURN(const int64_t wanted, Size(digest));
  auto file = database_.files().NewRandomAccessFile(ShardPath(digest));
  if (absl::IsNotFound(file.status())) {
    return ShardBad(digest, "its file is missing");
  }
  CVT_RETURN_IF_ERROR(file.status());
  CVT_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  if (static_cast<int64_t>(size) != wanted) {
    return ShardBad(digest, absl::StrCat("its file has ", size, " of ", wanted, " bytes"));
  }
  return file;
}

// Removes versions begun before `limit`; returns the digests that arrived for the others.
absl::StatusOr<std::set<std::string>> ShardStore::CollectVersions(absl::Time limit) {
  std::set<std::string> arrived;
  CommitBatch batch(database_.rocks());
  RowCursor cursor(database_.rocks(), Family::kCatalogue, "u");
  for (; cursor.Valid(); cursor.Next()) {
    ByteReader reader(cursor.value());
    absl::Time begun;
    if (!ReadTime(reader, &begun)) {
      return BadRow();
    }
    const std::string shards = absl::StrCat("a", cursor.suffix());
    if (begun < limit) {
      batch.Delete(Family::kCatalogue, cursor.key());
      batch.DeletePrefix(Family::kCatalogue, shards);
      continue;
    }
    RowCursor of_version(database_.rocks(), Family::kCatalogue, shards);
    for (; of_version.Valid(); of_version.Next()) {
      arrived.emplace(of_version.suffix());
    }
    CVT_RETURN_IF_ERROR(of_version.status());
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  if (batch.rows().Count() > 0) {
    CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
  }
  return arrived;
}

absl::StatusOr<int> ShardStore::Collect(const std::set<std::string>& referenced) {
  const absl::Time limit = database_.clock().WallNow() - kKept;
  CVT_ASSIGN_OR_RETURN(const std::set<std::string> arrived, CollectVersions(limit));
  int removed = 0;
  RowCursor cursor(database_.rocks(), Family::kCatalogue, "f");
  for (; cursor.Valid(); cursor.Next()) {
    const std::string digest(cursor.suffix());
    CVT_ASSIGN_OR_RETURN(const FileRow file, DecodeFileRow(cursor.value()));
    if (file.arrived >= limit || referenced.contains(digest) || arrived.contains(digest)) {
      continue;
    }
    {
      absl::MutexLock lock(&mu_);
      if (!busy_.insert(digest).second) {
        continue;  // it is about to arrive again
      }
    }
    const absl::Cleanup release = [&] {
      absl::MutexLock lock(&mu_);
      busy_.erase(digest);
    };
    CommitBatch batch(database_.rocks());
    batch.Delete(Family::kCatalogue, FileKey(digest));
    CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
    CVT_RETURN_IF_ERROR(database_.files().Remove(ShardPath(digest)));
    ++removed;
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  CVT_RETURN_IF_ERROR(CollectFiles(uploads_, limit));
  CVT_RETURN_IF_ERROR(CollectFiles(shards_, limit));
  return removed;
}

// Removes files that no row names and that nobody has written since `limit`.
absl::Status ShardStore::CollectFiles(const std::string& directory, absl::Time limit) {
  CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, database_.files().ListDir(directory));
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    const absl::StatusOr<FileInfo> info = database_.files().Stat(path);
    if (!info.ok() || info->modified >= limit || (directory == shards_ && Size(name).ok())) {
      continue;
    }
    absl::MutexLock lock(&mu_);
    if (!busy_.contains(name)) {
      CVT_RETURN_IF_ERROR(database_.files().Remove(path));
    }
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::coordinator
