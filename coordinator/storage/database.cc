#include "coordinator/storage/database.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/uuid.h"
#include "coordinator/storage/rocks.h"

// Opening:
//   1. lock the directory
//   2. read HEAD. If there is none and no database either, make HEAD with revision 0 and a new
//      cluster id. If there is none beside a database, refuse
//   3. open the database; make it only if HEAD says that nothing was ever in it
//   4. write the cluster id, if it is not there and HEAD says that nothing was ever in the database
//   5. compare cluster id and sequence with HEAD; the journal compares revision and chain
// A crash during the first opening leaves HEAD with revision 0, and perhaps a database without a
// cluster id: the next one goes on from there. HEAD comes first, so a database without HEAD is
// never one that was not finished.

namespace cvtrain::coordinator {
namespace {

constexpr absl::string_view kClusterIdKey = "cluster_id";
constexpr absl::string_view kFormatKey = "format";
constexpr absl::string_view kFormat = "1";

absl::Status Behind(absl::string_view what) {
  return DataLoss(Reason::kJournalBehind,
                  absl::StrCat(what, "; restore a backup of the whole state directory"));
}

// Makes a directory and its missing parents, and their names survive a crash.
absl::Status CreateDurableDir(FileSystem& files, const std::string& path) {
  std::vector<std::string> parents;
  for (std::string made = path; !files.Stat(made).ok() && DirName(made) != made;
       made = DirName(made)) {
    parents.push_back(DirName(made));
  }
  CVT_RETURN_IF_ERROR(files.CreateDir(path));
  for (const std::string& parent : parents) {
    CVT_RETURN_IF_ERROR(files.SyncDir(parent));
  }
  return absl::OkStatus();
}

absl::Status WriteIdentity(Rocks& rocks, const std::string& cluster_id) {
  CommitBatch batch(rocks);
  batch.Put(Family::kMeta, kFormatKey, kFormat);
  batch.Put(Family::kMeta, kClusterIdKey, cluster_id);
  return rocks.Write(batch.rows());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const DatabaseOptions& options,
                                                         FileSystem& files, const Clock& clock,
                                                         Random& random,
                                                         TelemetryRegistry& telemetry) {
  std::unique_ptr<Database> database(new Database(options, files, clock));
  CVT_RETURN_IF_ERROR(database->OpenAll(random, telemetry));
  return database;
}

Database::Database(const DatabaseOptions& options, FileSystem& files, const Clock& clock)
    : options_(options), files_(files), clock_(clock) {}

Database::~Database() {
  if (committer_ != nullptr && health().ok()) {
    WriteHeadFile(WriteHead::kNow).IgnoreError();  // an older HEAD is right, too
  }
}

absl::Status Database::OpenAll(Random& random, TelemetryRegistry& telemetry) {
  CVT_RETURN_IF_ERROR(CreateDurableDir(files_, options_.directory));
  CVT_ASSIGN_OR_RETURN(lock_, files_.LockFile(PathOf("lock")));
  CVT_ASSIGN_OR_RETURN(const bool is_new, OpenHead(random));
  CVT_ASSIGN_OR_RETURN(rocks_,
                       Rocks::Open(options_, files_, PathOf("db"), is_new, clock_, telemetry));
  CVT_RETURN_IF_ERROR(files_.SyncDir(options_.directory));
  CVT_RETURN_IF_ERROR(CompareWithHead());
  committer_ = std::make_unique<Committer>(options_.committer, *rocks_, telemetry, [this] {
    WriteHeadFile(WriteHead::kWhenDue).IgnoreError();  // it stays in health()
  });
  return absl::OkStatus();
}

// Returns whether the database may be made.
absl::StatusOr<bool> Database::OpenHead(Random& random) {
  const std::string path = PathOf("HEAD");
  absl::StatusOr<std::unique_ptr<HeadFile>> head = HeadFile::Open(files_, path);
  const std::string current = JoinPath(PathOf("db"), "CURRENT");
  CVT_ASSIGN_OR_RETURN(const bool has_database, Exists(files_, current));
  if (absl::IsNotFound(head.status())) {
    if (has_database) {
      return DataLoss(Reason::kJournalDamaged,
                      absl::StrCat(path, ": missing beside a database; restore a backup"));
    }
    head = HeadFile::Create(files_, path, {.cluster_id = Uuid::Random(random).ToString()});
  }
  CVT_RETURN_IF_ERROR(head.status());
  head_ = *std::move(head);
  head_at_open_ = head_->mark();
  cluster_id_ = head_at_open_.cluster_id;
  const bool is_new = head_at_open_.revision == 0 && head_at_open_.sequence == 0;
  if (!is_new && !has_database) {
    return Behind(
        absl::StrCat(current, ": missing, but HEAD knows revision ", head_at_open_.revision));
  }
  absl::MutexLock lock(&head_mu_);
  revision_ = head_at_open_.revision;
  chain_ = head_at_open_.chain;
  return is_new;
}

absl::Status Database::CompareWithHead() {
  CVT_ASSIGN_OR_RETURN(std::optional<std::string> stored,
                       rocks_->Get(Family::kMeta, kClusterIdKey));
  if (!stored && head_at_open_.sequence == 0 && head_at_open_.revision == 0) {
    CVT_RETURN_IF_ERROR(WriteIdentity(*rocks_, cluster_id_));
    stored = cluster_id_;
  }
  const int64_t sequence = rocks_->DurableSequence();
  if (!stored || sequence < head_at_open_.sequence) {
    return Behind(absl::StrCat(PathOf("db"), ": ends at sequence ", sequence, " of HEAD's ",
                               head_at_open_.sequence, ", rows are lost"));
  }
  if (*stored != cluster_id_) {
    return DataLoss(Reason::kJournalDamaged,
                    absl::StrCat(PathOf("db"), ": is of cluster ", *stored, ", HEAD of ",
                                 cluster_id_, "; put the files of one backup together"));
  }
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> format,
                       rocks_->Get(Family::kMeta, kFormatKey));
  if (format != kFormat) {
    return FailedPrecondition(Reason::kBuildMismatch,
                              absl::StrCat(PathOf("db"), ": has format ", format.value_or("none"),
                                           ", this program reads ", kFormat));
  }
  return absl::OkStatus();
}

absl::Status Database::health() const { return rocks_->health(); }

absl::Status Database::CheckSpace() const {
  const absl::Duration now = clock_.SteadyNow();
  {
    absl::MutexLock lock(&space_mu_);
    if (now - space_asked_ < absl::Seconds(1)) {
      return space_;
    }
    space_asked_ = now;
  }
  const absl::StatusOr<uint64_t> free = files_.FreeSpace(options_.directory);
  absl::Status status = free.status();
  if (free.ok() && *free < static_cast<uint64_t>(options_.space_reserved_bytes)) {
    status = WithRetryDelay(
        ResourceExhausted(Reason::kDiskFull,
                          absl::StrCat(options_.directory, ": ", *free, " bytes free, ",
                                       options_.space_reserved_bytes, " are reserved; free some")),
        absl::Seconds(10));
  }
  absl::MutexLock lock(&space_mu_);
  space_ = status;
  return status;
}

absl::Status Database::AdvanceHead(int64_t revision, const ChainHash& chain, WriteHead when) {
  {
    absl::MutexLock lock(&head_mu_);
    revision_ = revision;
    chain_ = chain;
  }
  return WriteHeadFile(when);
}

absl::Status Database::WriteHeadFile(WriteHead when) {
  HeadMark mark;
  mark.cluster_id = cluster_id_;
  {
    absl::MutexLock lock(&head_mu_);
    if (when == WriteHead::kNow) {
      head_mu_.Await(absl::Condition(this, &Database::HeadIsIdle));
    } else if (head_busy_ || clock_.SteadyNow() - head_written_ < options_.head_interval) {
      return absl::OkStatus();
    }
    head_busy_ = true;
    head_written_ = clock_.SteadyNow();
    mark.revision = revision_;
    mark.chain = chain_;
  }
  mark.sequence = rocks_->DurableSequence();
  const absl::Status status = head_->Write(mark);
  if (!status.ok()) {
    rocks_->Fail(status);
  }
  absl::MutexLock lock(&head_mu_);
  head_busy_ = false;
  return status;
}

}  // namespace cvtrain::coordinator
