#include "coordinator/storage/journal/database_journal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/journal/chain.h"
#include "coordinator/storage/rocks.h"

// Rows of the family `journal` (docs/formats/journal.md):
//   'r' revision         hash of the chain, then the record's bytes
//   's' revision chunk   a part of the snapshot after `revision`
//   'h'                  header of the newest snapshot: revision, hash, size, digest
//
// Append: one batch with all records, one sync, then HEAD if it is due. A crash before the sync
// ends leaves all records or none (RocksDB drops a torn batch as a whole).
//
// PutSnapshot:
//   1. write HEAD, so that it is not before the snapshot
//   2. write the chunks, in batches; they do not count yet
//   3. in one batch: write the header, delete the chunks of former snapshots and the records before
//      the tail, but for the last one: its hash is what the tail's first one continues
// A crash before 3 leaves the former snapshot and chunks that the next 3 deletes.

namespace cvtrain::coordinator {
namespace {

constexpr size_t kChunkSize = limits::kChunkSizeBytes;
// Chunks that one batch writes: bounds the memory that a large snapshot takes.
constexpr size_t kChunksPerBatch = 8;

std::string RecordKey(int64_t revision) {
  std::string key = "r";
  AppendBigEndian64(static_cast<uint64_t>(revision), &key);
  return key;
}

std::string ChunkPrefix(int64_t revision) {
  std::string key = "s";
  AppendBigEndian64(static_cast<uint64_t>(revision), &key);
  return key;
}

std::string ChunkKey(int64_t revision, size_t index) {
  std::string key = ChunkPrefix(revision);
  AppendBigEndian32(static_cast<uint32_t>(index), &key);
  return key;
}

absl::string_view ChainView(const ChainHash& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

absl::Status Damaged(absl::string_view what) {
  return DataLoss(Reason::kJournalDamaged, absl::StrCat("journal: ", what, "; restore a backup"));
}

// Takes the hash off the front of a record's row.
bool SplitRecord(absl::string_view row, ChainHash* chain, absl::string_view* bytes) {
  if (row.size() < chain->size()) {
    return false;
  }
  std::memcpy(chain->data(), row.data(), chain->size());
  *bytes = row.substr(chain->size());
  return true;
}

bool ParseRevision(absl::string_view suffix, int64_t* revision) {
  ByteReader reader(suffix);
  uint64_t value = 0;
  const bool parsed = reader.ReadBigEndian64(&value) && reader.at_end();
  *revision = static_cast<int64_t>(value);
  return parsed;
}

}  // namespace

struct DatabaseJournal::SnapshotHeader {
  int64_t revision = 0;
  ChainHash chain = {};
  uint64_t size = 0;
  std::string digest;

  std::string Encode() const {
    std::string row;
    AppendBigEndian64(static_cast<uint64_t>(revision), &row);
    absl::StrAppend(&row, ChainView(chain));
    AppendBigEndian64(size, &row);
    return row + digest;
  }

  static std::optional<SnapshotHeader> Decode(absl::string_view row) {
    SnapshotHeader header;
    ByteReader reader(row);
    uint64_t revision = 0;
    absl::string_view chain;
    absl::string_view digest;
    if (!reader.ReadBigEndian64(&revision) || !reader.ReadBytes(header.chain.size(), &chain) ||
        !reader.ReadBigEndian64(&header.size) ||
        !reader.ReadBytes(std::tuple_size_v<Sha256Digest>, &digest) || !reader.at_end()) {
      return std::nullopt;
    }
    header.revision = static_cast<int64_t>(revision);
    std::memcpy(header.chain.data(), chain.data(), chain.size());
    header.digest = std::string(digest);
    return header;
  }
};

absl::StatusOr<std::unique_ptr<DatabaseJournal>> DatabaseJournal::Open(
    Database& database, const DatabaseJournalOptions& options) {
  std::unique_ptr<DatabaseJournal> journal(new DatabaseJournal(database, options));
  CVT_RETURN_IF_ERROR(journal->FindEnd());
  CVT_RETURN_IF_ERROR(journal->CompareWithHead());
  return journal;
}

absl::Status DatabaseJournal::FindEnd() {
  CVT_ASSIGN_OR_RETURN(const std::optional<SnapshotHeader> header, ReadSnapshotHeader());
  last_chain_ = ChainStart(cluster_id());
  if (header) {
    snapshot_revision_ = last_revision_ = header->revision;
    last_chain_ = header->chain;
  }
  first_revision_ = last_revision_ + 1;
  RowCursor first(database_.rocks(), Family::kJournal, "r");
  CVT_RETURN_IF_ERROR(first.status());
  if (!first.Valid()) {
    return absl::OkStatus();
  }
  RowCursor last(database_.rocks(), Family::kJournal, "r", {.backwards = true});
  CVT_RETURN_IF_ERROR(last.status());
  int64_t end = 0;
  ChainHash chain;
  absl::string_view bytes;
  if (!last.Valid() || !ParseRevision(first.suffix(), &first_revision_) ||
      !ParseRevision(last.suffix(), &end) || !SplitRecord(last.value(), &chain, &bytes)) {
    return Damaged("the first or the last record has no revision or no hash");
  }
  // Of records that were dropped the last one stays, for its hash.
  first_revision_ += first_revision_ > 1 ? 1 : 0;
  if (end < snapshot_revision_ || first_revision_ > snapshot_revision_ + 1) {
    return Damaged(absl::StrCat("records ", first_revision_, " to ", end,
                                " do not continue the snapshot after ", snapshot_revision_));
  }
  last_revision_ = end;
  last_chain_ = chain;
  return absl::OkStatus();
}

absl::Status DatabaseJournal::CompareWithHead() {
  const HeadMark& head = database_.head_at_open();
  if (last_revision_ < head.revision) {
    return DataLoss(
        Reason::kJournalBehind,
        absl::StrCat("journal: ends at revision ", last_revision_, ", HEAD knows revision ",
                     head.revision, "; restore a backup of the whole state directory"));
  }
  if (head.revision == 0) {
    return absl::OkStatus();
  }
  // HEAD is written before records are dropped, so its record is there or the snapshot is at it.
  const absl::StatusOr<ChainHash> chain = ChainAt(head.revision);
  if (absl::IsNotFound(chain.status()) || (chain.ok() && *chain != head.chain)) {
    return Damaged(absl::StrCat("revision ", head.revision, " has another hash than HEAD says"));
  }
  return chain.status();
}

absl::StatusOr<ChainHash> DatabaseJournal::ChainAt(int64_t revision) {
  if (revision == 0) {
    return ChainStart(cluster_id());
  }
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> row,
                       database_.rocks().Get(Family::kJournal, RecordKey(revision)));
  if (row) {
    ChainHash chain;
    absl::string_view bytes;
    if (!SplitRecord(*row, &chain, &bytes)) {
      return Damaged(absl::StrCat("record ", revision, " has no hash"));
    }
    return chain;
  }
  CVT_ASSIGN_OR_RETURN(const std::optional<SnapshotHeader> header, ReadSnapshotHeader());
  if (header && header->revision == revision) {
    return header->chain;
  }
  return absl::NotFoundError(absl::StrCat("record ", revision, " was dropped"));
}

absl::Status DatabaseJournal::Append(absl::Span<const JournalRecord> records) {
  if (records.empty()) {
    return absl::OkStatus();
  }
  CommitBatch batch(database_.rocks());
  int64_t revision = last_revision_;
  ChainHash chain = last_chain_;
  for (const JournalRecord& record : records) {
    if (record.revision != ++revision) {
      return InvalidArgument(Reason::kInternal, absl::StrCat("journal: record ", record.revision,
                                                             " where ", revision, " is next"));
    }
    chain = ChainNext(chain, revision, record.bytes);
    batch.Put(Family::kJournal, RecordKey(revision), absl::StrCat(ChainView(chain), record.bytes));
  }
  CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
  last_revision_ = revision;
  last_chain_ = chain;
  return database_.AdvanceHead(revision, chain, Database::WriteHead::kWhenDue);
}

absl::Status DatabaseJournal::WriteSnapshotChunks(const JournalSnapshot& snapshot) {
  const absl::string_view bytes = snapshot.bytes;
  const size_t count = (bytes.size() + kChunkSize - 1) / kChunkSize;
  for (size_t begin = 0; begin < count; begin += kChunksPerBatch) {
    CommitBatch batch(database_.rocks());
    if (begin == 0) {
      // What a crash left of an attempt at the same revision may be longer.
      batch.DeletePrefix(Family::kJournal, ChunkPrefix(snapshot.revision));
    }
    for (size_t i = begin; i < std::min(count, begin + kChunksPerBatch); ++i) {
      batch.Put(Family::kJournal, ChunkKey(snapshot.revision, i),
                bytes.substr(i * kChunkSize, kChunkSize));
    }
    CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
  }
  return absl::OkStatus();
}

absl::Status DatabaseJournal::PutSnapshot(const JournalSnapshot& snapshot) {
  if (snapshot.revision > last_revision_ || snapshot.revision < snapshot_revision_) {
    return InvalidArgument(
        Reason::kInternal,
        absl::StrCat("journal: snapshot after ", snapshot.revision, " must be in [",
                     snapshot_revision_, ", ", last_revision_, "]"));
  }
  if (snapshot.revision == snapshot_revision_ && snapshot_revision_ > 0) {
    return absl::OkStatus();  // the state after a revision is one
  }
  CVT_RETURN_IF_ERROR(
      database_.AdvanceHead(last_revision_, last_chain_, Database::WriteHead::kNow));
  CVT_RETURN_IF_ERROR(WriteSnapshotChunks(snapshot));

  const Sha256Digest digest = Sha256Of(snapshot.bytes);
  SnapshotHeader header;
  header.revision = snapshot.revision;
  CVT_ASSIGN_OR_RETURN(header.chain, ChainAt(snapshot.revision));
  header.size = snapshot.bytes.size();
  header.digest.assign(digest.begin(), digest.end());
  CommitBatch batch(database_.rocks());
  batch.Put(Family::kJournal, "h", header.Encode());
  batch.DeleteRange(Family::kJournal, "s", ChunkPrefix(snapshot.revision));
  const int64_t first = std::max(first_revision_, snapshot.revision + 1 - options_.tail_records);
  if (first > first_revision_) {
    batch.DeleteRange(Family::kJournal, RecordKey(first_revision_ - 1), RecordKey(first - 1));
  }
  CVT_RETURN_IF_ERROR(database_.rocks().Write(batch.rows()));
  first_revision_ = first;
  snapshot_revision_ = snapshot.revision;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<DatabaseJournal::SnapshotHeader>>
DatabaseJournal::ReadSnapshotHeader() {
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> row,
                       database_.rocks().Get(Family::kJournal, "h"));
  if (!row) {
    return std::nullopt;
  }
  std::optional<SnapshotHeader> header = SnapshotHeader::Decode(*row);
  if (!header) {
    return Damaged("the header of the snapshot cannot be read");
  }
  return header;
}

absl::StatusOr<std::optional<JournalSnapshot>> DatabaseJournal::LoadSnapshot() {
  CVT_ASSIGN_OR_RETURN(const std::optional<SnapshotHeader> header, ReadSnapshotHeader());
  if (!header) {
    return std::nullopt;
  }
  JournalSnapshot snapshot;
  snapshot.revision = header->revision;
  RowCursor cursor(database_.rocks(), Family::kJournal, ChunkPrefix(header->revision),
                   {.fill_cache = false});
  for (; cursor.Valid(); cursor.Next()) {
    absl::StrAppend(&snapshot.bytes, cursor.value());
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  const Sha256Digest digest = Sha256Of(snapshot.bytes);
  if (snapshot.bytes.size() != header->size ||
      !std::equal(digest.begin(), digest.end(), header->digest.begin(),
                  [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
    return Damaged(
        absl::StrCat("the snapshot after ", header->revision, " does not have its digest"));
  }
  return snapshot;
}

absl::Status DatabaseJournal::Replay(int64_t after_revision,
                                     absl::FunctionRef<absl::Status(const JournalRecord&)> visit) {
  if (after_revision >= last_revision_) {
    return absl::OkStatus();
  }
  if (after_revision + 1 < first_revision_) {
    return NotFound(Reason::kInternal,
                    absl::StrCat("journal: records before ", first_revision_, " were dropped"));
  }
  absl::StatusOr<ChainHash> before = ChainAt(after_revision);
  if (absl::IsNotFound(before.status())) {
    return Damaged(absl::StrCat("record ", after_revision, " is missing"));
  }
  CVT_ASSIGN_OR_RETURN(ChainHash chain, std::move(before));
  JournalRecord record;
  record.revision = after_revision;
  RowCursor cursor(database_.rocks(), Family::kJournal, "r", {.fill_cache = false});
  for (cursor.Seek(RecordKey(after_revision + 1)); cursor.Valid(); cursor.Next()) {
    int64_t revision = 0;
    ChainHash stored;
    absl::string_view bytes;
    if (!ParseRevision(cursor.suffix(), &revision) || revision != record.revision + 1) {
      return Damaged(absl::StrCat("record ", record.revision + 1, " is missing"));
    }
    if (!SplitRecord(cursor.value(), &stored, &bytes) ||
        stored != ChainNext(chain, revision, bytes)) {
      return Damaged(absl::StrCat("record ", revision, " does not continue the chain of hashes"));
    }
    chain = stored;
    record.revision = revision;
    record.bytes.assign(bytes.data(), bytes.size());
    CVT_RETURN_IF_ERROR(visit(record));
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  return record.revision == last_revision_
             ? absl::OkStatus()
             : Damaged(absl::StrCat("record ", record.revision + 1, " is missing"));
}

}  // namespace cvtrain::coordinator
