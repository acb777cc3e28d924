#include "coordinator/storage/checkpoints/checkpoint_store.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/storage/checkpoints/table_writer.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/rocks.h"
#include "rocksdb/convenience.h"
#include "rocksdb/metadata.h"

// Rows of the family `checkpoints` (docs/formats/storage.md):
//   id chunk        CRC32C of the chunk, then its bytes; chunks count from 0
//   id 0xffffffff   size and BlockDigest of the whole: the last row
//
// Upload:
//   1. write rows, in order, into tables in staging/
//   2. compare the digest, write the last row, finish and sync the tables
//   3. ingest all tables at once: they are linked into the database, its manifest is synced
//   4. read back the first and the last row of each table: RocksDB takes a table whose end it could
//      not read while ingesting for a shorter one
//   5. (the caller) commit the event
// A crash before 3 ends leaves files in staging/, removed by the next Open(), or tables that the
// manifest does not name, removed by RocksDB. A crash before 5 leaves rows that no event names,
// removed by Collect().
//
// The family never compacts, so a table holds rows of one checkpoint, and Delete() drops its
// tables.

namespace cvtrain::coordinator {
namespace {

constexpr int64_t kChunkSize = static_cast<int64_t>(limits::kChunkSizeBytes);
constexpr uint32_t kInfoIndex = 0xffffffff;
constexpr size_t kCrcBytes = 4;

std::string IdPrefix(const Uuid& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
}

std::string RowKey(const Uuid& id, uint32_t index) {
  std::string key = IdPrefix(id);
  AppendBigEndian32(index, &key);
  return key;
}

absl::Status Bad(const Uuid& id, absl::string_view what) {
  return DataLoss(Reason::kCheckpointBad, absl::StrCat("checkpoints/", id.ToString(), ": ", what));
}

absl::Status BadAt(const Uuid& id, int64_t offset, absl::string_view what) {
  return Bad(id, absl::StrCat(what, " at offset ", offset));
}

std::string EncodeInfo(int64_t size, const Sha256Digest& digest) {
  std::string row;
  AppendBigEndian64(static_cast<uint64_t>(size), &row);
  row.append(digest.begin(), digest.end());
  return row;
}

absl::StatusOr<CheckpointInfo> DecodeInfo(const Uuid& id, absl::string_view row) {
  ByteReader reader(row);
  uint64_t size = 0;
  absl::string_view digest;
  if (!reader.ReadBigEndian64(&size) || !reader.ReadBytes(sizeof(Sha256Digest), &digest) ||
      !reader.at_end() || size > limits::kCheckpointSizeBytesMax) {
    return Bad(id, "its size and digest cannot be read");
  }
  return CheckpointInfo{static_cast<int64_t>(size), HexEncode(digest)};
}

}  // namespace

// --- Writing ------------------------------------------------------------------

class CheckpointWriter::State {
 public:
  State(CheckpointStore& store, const Uuid& id, int64_t size)
      : store_(store),
        id_(id),
        size_(size),
        tables_(std::in_place, store.database_, id, store.options_.table_size_bytes) {}
  ~State() {
    tables_.reset();
    store_.EndUpload(id_, size_, stored_);
  }

  int64_t offset() const { return offset_; }
  bool complete() const { return offset_ == size_; }
  absl::Status Append(absl::string_view bytes, uint32_t crc32c);
  absl::Status AppendFrom(ReadFunction read);
  absl::Status Finish(absl::string_view digest_hex);
  absl::Status Discard();

 private:
  absl::Status CheckOpen() const;
  absl::Status CheckSize(int64_t size) const;
  absl::Status AppendRow(std::string row);
  absl::Status ReadBack() const;

  CheckpointStore& store_;
  const Uuid id_;
  const int64_t size_;
  std::optional<TableWriter> tables_;  // always there, until the end
  BlockDigest whole_;
  int64_t offset_ = 0;
  bool failed_ = false;
  bool stored_ = false;
};

absl::Status CheckpointWriter::State::CheckOpen() const {
  if (!failed_ && !stored_) return absl::OkStatus();
  return FailedPrecondition(Reason::kWrongState, "the upload has ended; begin again");
}

absl::Status CheckpointWriter::State::CheckSize(int64_t size) const {
  const int64_t wanted = std::min(kChunkSize, size_ - offset_);
  if (size == wanted && wanted > 0) return absl::OkStatus();
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("checkpoints/", id_.ToString(), ": the chunk at offset ",
                                      offset_, " must have ", wanted, " bytes, got ", size));
}

absl::Status CheckpointWriter::State::Append(absl::string_view bytes, uint32_t crc32c) {
  CVT_RETURN_IF_ERROR(CheckOpen());
  failed_ = true;  // until all of this is done
  CVT_RETURN_IF_ERROR(CheckSize(static_cast<int64_t>(bytes.size())));
  if (Crc32c(bytes) != crc32c) {
    return BadAt(id_, offset_, "a chunk with a wrong CRC32C was sent");
  }
  std::string row;
  row.reserve(kCrcBytes + bytes.size());
  AppendBigEndian32(crc32c, &row);
  row.append(bytes.data(), bytes.size());
  return AppendRow(std::move(row));
}

absl::Status CheckpointWriter::State::AppendFrom(ReadFunction read) {
  CVT_RETURN_IF_ERROR(CheckOpen());
  failed_ = true;  // until all of this is done
  const int64_t size = std::min(kChunkSize, size_ - offset_);
  CVT_RETURN_IF_ERROR(CheckSize(size));
  std::string row(kCrcBytes + static_cast<size_t>(size), '\0');
  CVT_RETURN_IF_ERROR(read(offset_, absl::MakeSpan(row).subspan(kCrcBytes)));
  std::string crc;
  AppendBigEndian32(Crc32c(absl::string_view(row).substr(kCrcBytes)), &crc);
  row.replace(0, kCrcBytes, crc);
  return AppendRow(std::move(row));
}

// `row`: CRC32C and bytes of the next chunk, which has the right size.
absl::Status CheckpointWriter::State::AppendRow(std::string row) {
  const absl::string_view bytes = absl::string_view(row).substr(kCrcBytes);
  const auto size = static_cast<int64_t>(bytes.size());
  const auto index = static_cast<uint32_t>(offset_ / kChunkSize);
  whole_.Update(bytes);
  CVT_RETURN_IF_ERROR(
      tables_->Put({.index = index, .key = RowKey(id_, index), .value = std::move(row)}));
  offset_ += size;
  failed_ = false;
  return absl::OkStatus();
}

absl::Status CheckpointWriter::State::Finish(absl::string_view digest_hex) {
  CVT_RETURN_IF_ERROR(CheckOpen());
  failed_ = true;  // until all of this is done
  if (offset_ != size_) {
    return BadAt(id_, offset_, absl::StrCat("the upload of ", size_, " bytes ended"));
  }
  const Sha256Digest digest = whole_.Finish();
  if (ToHex(digest) != digest_hex) {
    return Bad(id_, absl::StrCat("the bytes that were sent have the digest ", ToHex(digest)));
  }
  CVT_RETURN_IF_ERROR(tables_->Put(
      {.index = kInfoIndex, .key = RowKey(id_, kInfoIndex), .value = EncodeInfo(size_, digest)}));
  CVT_RETURN_IF_ERROR(tables_->Finish());
  CVT_RETURN_IF_ERROR(store_.database_.rocks().Ingest(Family::kCheckpoints, tables_->paths()));
  if (absl::Status status = ReadBack(); !status.ok()) {
    CVT_RETURN_IF_ERROR(store_.DeleteRows(id_));
    return status;
  }
  failed_ = false;
  stored_ = true;
  return absl::OkStatus();
}

absl::Status CheckpointWriter::State::Discard() {
  if (!stored_) return absl::OkStatus();
  CVT_RETURN_IF_ERROR(store_.DeleteRows(id_));
  failed_ = true;
  stored_ = false;
  return absl::OkStatus();
}

absl::Status CheckpointWriter::State::ReadBack() const {
  CVT_RETURN_IF_ERROR(store_.Find(id_).status());  // the last row of all
  for (uint32_t index : tables_->ends()) {
    CVT_ASSIGN_OR_RETURN(const bool found, store_.HasRow(id_, index));
    if (!found) {
      return Unavailable(Reason::kStorageFailed,
                         absl::StrCat("checkpoints/", id_.ToString(), ": chunk ", index,
                                      " cannot be read back; upload it again"));
    }
  }
  return absl::OkStatus();
}

CheckpointWriter::CheckpointWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointWriter::~CheckpointWriter() = default;

absl::Status CheckpointWriter::Append(absl::string_view bytes, uint32_t crc32c) {
  return state_->Append(bytes, crc32c);
}

absl::Status CheckpointWriter::Finish(absl::string_view digest_hex) {
  return state_->Finish(digest_hex);
}

absl::Status CheckpointWriter::AppendFrom(ReadFunction read) { return state_->AppendFrom(read); }

absl::Status CheckpointWriter::Discard() { return state_->Discard(); }

int64_t CheckpointWriter::offset() const { return state_->offset(); }

bool CheckpointWriter::complete() const { return state_->complete(); }

// --- The store ----------------------------------------------------------------

absl::StatusOr<std::unique_ptr<CheckpointStore>> CheckpointStore::Open(
    Database& database, const CheckpointStoreOptions& options) {
  std::unique_ptr<CheckpointStore> store(new CheckpointStore(database, options));
  const std::string staging = database.PathOf("staging");
  CVT_RETURN_IF_ERROR(database.files().RemoveAll(staging));
  CVT_RETURN_IF_ERROR(database.files().CreateDir(staging));
  CVT_ASSIGN_OR_RETURN((std::map<Uuid, int64_t> stored), store->List());
  absl::MutexLock lock(&store->mu_);
  store->sizes_ = std::move(stored);
  for (const auto& [id, size] : store->sizes_) {
    store->used_bytes_ += size;
  }
  return store;
}

// Walking over the rows would read a chunk of every checkpoint. Tables hold one checkpoint each and
// never move, so their first keys name all that is stored.
absl::StatusOr<std::map<Uuid, int64_t>> CheckpointStore::List() const {
  rocksdb::ColumnFamilyMetaData tables;
  database_.rocks().db().GetColumnFamilyMetaData(database_.rocks().handle(Family::kCheckpoints),
                                                 &tables);
  std::map<Uuid, int64_t> stored;
  for (const rocksdb::LevelMetaData& level : tables.levels) {
    for (const rocksdb::SstFileMetaData& table : level.files) {
      std::array<uint8_t, 16> bytes;
      // No row: the begin of a range that was deleted (see DeleteRows()), or nothing, of a table
      // whose ingestion failed while RocksDB read its bounds.
      if (table.smallestkey.size() != bytes.size() + 4) continue;
      std::memcpy(bytes.data(), table.smallestkey.data(), bytes.size());
      stored[Uuid(bytes)] = 0;
    }
  }
  for (auto& [id, size] : stored) {
    const absl::StatusOr<CheckpointInfo> info = Find(id);
    if (info.ok()) size = info->size_bytes;
    if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
  }
  return stored;
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> CheckpointStore::Begin(const Uuid& id,
                                                                         int64_t size_bytes) {
  if (size_bytes < 1 || size_bytes > static_cast<int64_t>(limits::kCheckpointSizeBytesMax)) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("checkpoints/", id.ToString(), ": must have 1 to ",
                     limits::kCheckpointSizeBytesMax, " bytes, got ", size_bytes));
  }
  CVT_RETURN_IF_ERROR(database_.health());
  CVT_RETURN_IF_ERROR(database_.CheckSpace());
  const auto busy = [&] {
    return Aborted(Reason::kWrongState,
                   absl::StrCat("checkpoints/", id.ToString(),
                                ": is being uploaded by another call; try again later"));
  };
  {
    absl::MutexLock lock(&mu_);
    if (uploads_.contains(id)) {
      return busy();
    }
    if (used_bytes_ + size_bytes > options_.quota_bytes) {
      return LimitExceeded("checkpoint_quota_bytes",
                           absl::StrCat("checkpoints: ", used_bytes_, " of ", options_.quota_bytes,
                                        " bytes are in use, no room for ", size_bytes,
                                        "; keep fewer checkpoints or raise the quota"));
    }
    used_bytes_ += size_bytes;
    uploads_.insert(id);
  }
  // From here on no other upload of `id` can finish.
  auto state = std::make_unique<CheckpointWriter::State>(*this, id, size_bytes);
  const absl::Status found = Find(id).status();
  if (!absl::IsNotFound(found)) {
    return found.ok() ? AlreadyExists(Reason::kWrongState,
                                      absl::StrCat("checkpoints/", id.ToString(), ": is stored"))
                      : found;
  }
  return std::unique_ptr<CheckpointWriter>(new CheckpointWriter(std::move(state)));
}

void CheckpointStore::EndUpload(const Uuid& id, int64_t size_bytes, bool stored) {
  absl::MutexLock lock(&mu_);
  uploads_.erase(id);
  if (stored) {
    sizes_[id] = size_bytes;
  } else {
    used_bytes_ -= size_bytes;
  }
}

absl::StatusOr<CheckpointInfo> CheckpointStore::Find(const Uuid& id) const {
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> row,
                       database_.rocks().Get(Family::kCheckpoints, RowKey(id, kInfoIndex)));
  if (!row) {
    return NotFound(Reason::kCheckpointNotFound,
                    absl::StrCat("checkpoints/", id.ToString(), ": has no stored bytes"));
  }
  return DecodeInfo(id, *row);
}

absl::StatusOr<CheckpointChunk> CheckpointStore::Read(const Uuid& id, int64_t offset) const {
  CVT_ASSIGN_OR_RETURN(const CheckpointInfo info, Find(id));
  if (offset < 0 || offset > info.size_bytes) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("checkpoints/", id.ToString(), ": offset must be in [0, ",
                                        info.size_bytes, "], got ", offset));
  }
  CheckpointChunk chunk;
  chunk.offset = offset;
  if (offset == info.size_bytes) {
    return chunk;
  }
  const int64_t begin = offset / kChunkSize * kChunkSize;
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  rocksdb::PinnableSlice row;
  const rocksdb::Status status =
      database_.rocks().db().Get(options, database_.rocks().handle(Family::kCheckpoints),
                                 RowKey(id, static_cast<uint32_t>(offset / kChunkSize)), &row);
  if (status.IsNotFound() || status.IsCorruption()) {
    return BadAt(id, begin,
                 absl::StrCat("a chunk is missing or damaged (", status.ToString(), ")"));
  }
  CVT_RETURN_IF_ERROR(ToStatus(status, "reading a checkpoint"));
  ByteReader reader(ToView(row));
  uint32_t crc = 0;
  if (!reader.ReadBigEndian32(&crc) || crc != Crc32c(reader.rest()) ||
      static_cast<int64_t>(reader.rest().size()) != std::min(kChunkSize, info.size_bytes - begin)) {
    return BadAt(id, begin, "a chunk does not have its CRC32C");
  }
  chunk.bytes = std::string(reader.rest().substr(static_cast<size_t>(offset - begin)));
  chunk.crc32c = offset == begin ? crc : Crc32c(chunk.bytes);
  return chunk;
}

absl::StatusOr<CheckpointInfo> CheckpointStore::Verify(const Uuid& id) const {
  CVT_ASSIGN_OR_RETURN(const CheckpointInfo info, Find(id));
  BlockDigest whole;
  for (int64_t offset = 0; offset < info.size_bytes; offset += kChunkSize) {
    CVT_ASSIGN_OR_RETURN(const CheckpointChunk chunk, Read(id, offset));
    whole.Update(chunk.bytes);
  }
  if (ToHex(whole.Finish()) != info.digest) {
    return Bad(id, "its bytes do not have its digest");
  }
  return info;
}

absl::Status CheckpointStore::DeleteRows(const Uuid& id) {
  Rocks& rocks = database_.rocks();
  CVT_RETURN_IF_ERROR(rocks.health());
  const std::string begin = RowKey(id, 0);
  const std::string end = RowKey(id, kInfoIndex);
  const rocksdb::Slice begin_slice(begin);
  const rocksdb::Slice end_slice(end);
  const absl::Status status =
      ToStatus(rocksdb::DeleteFilesInRange(&rocks.db(), rocks.handle(Family::kCheckpoints),
                                           &begin_slice, &end_slice),
               "deleting tables of a checkpoint");
  if (!status.ok()) {
    rocks.Fail(status);
    return status;
  }
  // Tables hold one checkpoint each and never move, so nothing is left; if something is, rows go.
  RowCursor rest(rocks, Family::kCheckpoints, IdPrefix(id), {.fill_cache = false});
  CVT_RETURN_IF_ERROR(rest.status());
  if (!rest.Valid()) {
    return absl::OkStatus();
  }
  CommitBatch batch(rocks);
  batch.DeletePrefix(Family::kCheckpoints, IdPrefix(id));
  return rocks.Write(batch.rows());
}

absl::StatusOr<bool> CheckpointStore::HasRow(const Uuid& id, uint32_t index) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  rocksdb::PinnableSlice row;
  const rocksdb::Status status = database_.rocks().db().Get(
      options, database_.rocks().handle(Family::kCheckpoints), RowKey(id, index), &row);
  return status.IsNotFound() ? absl::StatusOr<bool>(false)
         : status.ok()       ? absl::StatusOr<bool>(true)
                             : ToStatus(status, "reading a checkpoint back");
}

absl::Status CheckpointStore::Delete(const Uuid& id) {
  CVT_RETURN_IF_ERROR(DeleteRows(id));
  absl::MutexLock lock(&mu_);
  const auto size = sizes_.find(id);
  if (size == sizes_.end()) return absl::OkStatus();  // somebody else has deleted it meanwhile
  used_bytes_ -= size->second;
  sizes_.erase(size);
  return absl::OkStatus();
}

absl::StatusOr<int> CheckpointStore::Collect(const std::set<Uuid>& live) {
  CVT_ASSIGN_OR_RETURN((const std::map<Uuid, int64_t> stored), List());
  int collected = 0;
  for (const auto& [id, size] : stored) {
    if (!live.contains(id)) {
      CVT_RETURN_IF_ERROR(Delete(id));
      ++collected;
    }
  }
  return collected;
}

absl::StatusOr<std::vector<Uuid>> CheckpointStore::FindMissing(const std::set<Uuid>& live) const {
  CVT_ASSIGN_OR_RETURN((const std::map<Uuid, int64_t> stored), List());
  std::vector<Uuid> missing;
  for (const Uuid& id : live) {
    const auto found = stored.find(id);
    if (found == stored.end() || found->second == 0) {
      missing.push_back(id);
    }
  }
  return missing;
}

int64_t CheckpointStore::used_bytes() const {
  absl::MutexLock lock(&mu_);
  return used_bytes_;
}

}  // namespace cvtrain::coordinator
