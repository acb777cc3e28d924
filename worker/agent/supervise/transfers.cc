#include "worker/agent/supervise/transfers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "worker/agent/session/backoff.h"

namespace cvtrain::worker {
namespace {

// Jobs that wait: a trainer has at most two checkpoints and a bounded number of shards out.
constexpr size_t kJobsMax = 100'000;

// Trials whose newest copy is remembered.
constexpr size_t kCopiesMax = 1'000;

// The coordinator is away, or busy for a moment; the same call may succeed later.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

Transfers::Transfers(const TransfersOptions& options, FileSystem& files, CoordinatorClient& client,
                     ContentCache& cache, const Clock& clock, Random& random,
                     TelemetryRegistry& telemetry)
    : options_(options),
      files_(files),
      client_(client),
      cache_(cache),
      clock_(clock),
      random_(random),
      upload_seconds_(telemetry.NewHistogram({.name = "cvtrain_worker_checkpoint_upload_seconds",
                                              .help = "From a complete checkpoint to its commit"},
                                             LatencyBuckets())),
      uploaded_bytes_(telemetry.NewCounter({.name = "cvtrain_worker_uploaded_bytes_total",
                                            .help = "Bytes of checkpoints uploaded"})),
      fetched_bytes_(telemetry.NewCounter({.name = "cvtrain_worker_fetched_bytes_total",
                                           .help = "Bytes of shards and checkpoints fetched"})),
      checkpoints_(telemetry,
                   {.name = "cvtrain_worker_checkpoints_total",
                    .help = "Checkpoints of trainers, by what became of them"},
                   "outcome", {"uploaded", "spooled", "lost"}),
      fetch_jobs_(kJobsMax),
      store_jobs_(kJobsMax) {
  for (int i = 0; i < options_.fetch_threads; ++i) {
    threads_.push_back(std::make_unique<Thread>(
        absl::StrCat("fetch-", i), [this](StopToken stop) { RunJobs(fetch_jobs_, stop); }));
  }
  for (int i = 0; i < options_.store_threads; ++i) {
    threads_.push_back(std::make_unique<Thread>(
        absl::StrCat("store-", i), [this](StopToken stop) { RunJobs(store_jobs_, stop); }));
  }
}

Transfers::~Transfers() {
  fetch_jobs_.Close();
  store_jobs_.Close();
  threads_.clear();
}

// Runs until the queue is closed and empty: every job answers, if only that it was
// stopped.
void Transfers::RunJobs(BoundedQueue<Job>& jobs, const StopToken&) {
  while (std::optional<Job> job = jobs.Pop()) (*job)();
}

void Transfers::Submit(BoundedQueue<Job>& jobs, Job job) {
  if (!jobs.TryPush(std::move(job))) job();  // closed or absurdly full: it answers here
}

void Transfers::GetShard(const ContentKey& key, std::shared_ptr<TransferScope> scope,
                         FileCallback done) {
  Submit(fetch_jobs_, [this, key, scope = std::move(scope), done = std::move(done)] {
    const StopToken stop = scope->stop.get_token();
    done(GetFile(
        key,
        [&](uint64_t offset, const ContentCache::Sink& sink) {
          return client_.FetchShard(
              key.digest, offset,
              [&](absl::string_view piece) {
                fetched_bytes_.Increment(static_cast<double>(piece.size()));
                return sink(piece);
              },
              stop);
        },
        stop));
  });
}

void Transfers::GetCheckpoint(const session::v1::ResumePoint& resume,
                              std::shared_ptr<TransferScope> scope, FileCallback done) {
  Submit(fetch_jobs_, [this, resume, scope = std::move(scope), done = std::move(done)] {
    const StopToken stop = scope->stop.get_token();
    const ContentKey key = {.digest = resume.digest(),
                            .size_bytes = static_cast<uint64_t>(resume.size_bytes())};
    done(GetFile(
        key,
        [&](uint64_t offset, const ContentCache::Sink& sink) {
          return client_.DownloadCheckpoint(
              resume.checkpoint(), offset,
              [&](absl::string_view piece) {
                fetched_bytes_.Increment(static_cast<double>(piece.size()));
                return sink(piece);
              },
              stop);
        },
        stop));
  });
}

absl::StatusOr<CachedFile> Transfers::GetFile(const ContentKey& key,
                                              const ContentCache::Fetch& fetch,
                                              const StopToken& stop) {
  Backoff backoff(options_.retry_delay_first, options_.retry_delay_max, random_);
  while (true) {
    if (stop.stop_requested()) return Cancelled(Reason::kStopping, "the attempt is over");
    absl::StatusOr<CachedFile> file = cache_.Get(key, fetch, stop);
    if (!IsPassing(file.status())) return file;
    WaitForStop(stop, backoff.Next());
  }
}

void Transfers::StoreCheckpoint(CheckpointJob job, std::function<void(CheckpointOutcome)> done) {
  Submit(store_jobs_, [this, job = std::move(job), done = std::move(done)] {
    CheckpointOutcome outcome = Store(job);
    checkpoints_.For(outcome.uploaded  ? "uploaded"
                     : outcome.spooled ? "spooled"
                                       : "lost")
        .Increment();
    if (!outcome.uploaded && !outcome.spooled) {
      CVT_LOG(kError, "checkpoint is lost")
          .Field("attempt", job.key)
          .Field("step", job.header.step())
          .Field("status", outcome.status);
    }
    done(std::move(outcome));
  });
}

CheckpointOutcome Transfers::Store(const CheckpointJob& job) {
  CheckpointOutcome outcome;
  const absl::Span<char> bytes =
      job.memory->mutable_bytes().first(static_cast<size_t>(job.header.size_bytes()));
  const absl::StatusOr<formats::CheckpointDigests> digests = formats::FinishTrailer(bytes);
  if (!digests.ok()) {
    outcome.status = digests.status();
    return outcome;
  }
  session::v1::UploadCheckpointHeader header = job.header;
  header.set_digest(digests->file_sha256);
  KeepCopy(job.key, digests->file_sha256, bytes);

  if (job.scope->publishing) {
    outcome.status = Upload(
        header,
        [&](uint64_t offset, size_t size) -> absl::StatusOr<absl::string_view> {
          return absl::string_view(bytes.data() + offset, size);
        },
        job.scope->stop.get_token());
    outcome.uploaded = outcome.status.ok();
  } else {
    outcome.status = Unavailable(Reason::kServerUnreachable, "not publishing");
  }
  const bool try_later = IsPassing(outcome.status) || absl::IsResourceExhausted(outcome.status) ||
                         absl::IsCancelled(outcome.status);
  if (outcome.uploaded || !try_later || job.scope->stop.stop_requested()) return outcome;

  absl::StatusOr<SpooledCheckpoint> spooled =
      Spool::WriteCheckpoint(files_, options_.spool_directory, job.key, header, bytes);
  if (spooled.ok()) {
    outcome.spooled = std::make_unique<SpooledCheckpoint>(*std::move(spooled));
  } else {
    outcome.status = spooled.status();
  }
  return outcome;
}

// Not synced, and verified before use: it may cost nothing but page cache.
void Transfers::KeepCopy(const AttemptKey& key, const std::string& digest,
                         absl::Span<const char> bytes) {
  if (bytes.size() > options_.cached_checkpoint_size_bytes_max) return;
  if (const absl::Status kept = cache_.Put(digest, bytes); !kept.ok()) {
    CVT_LOG(kDebug, "no copy of the checkpoint in the cache").Field("status", kept);
    return;
  }
  std::string before;
  {
    absl::MutexLock lock(&mu_);
    before = std::exchange(copies_[key.attempt.trial()], digest);
    // The oldest trials are over; what the cache has of them goes when it needs room.
    if (copies_.size() > kCopiesMax) copies_.erase(copies_.begin());
  }
  if (!before.empty() && before != digest) cache_.Forget(before);
}

void Transfers::UploadSpooled(const AttemptKey&, const SpooledCheckpoint& checkpoint,
                              std::shared_ptr<TransferScope> scope,
                              std::function<void(absl::Status)> done) {
  Submit(store_jobs_, [this, checkpoint, scope = std::move(scope), done = std::move(done)] {
    absl::StatusOr<std::unique_ptr<RandomAccessFile>> file =
        files_.NewRandomAccessFile(checkpoint.path);
    if (!file.ok()) {
      // It was there when the spool registered it: nothing will bring it back.
      done(DataLoss(Reason::kCheckpointBad, file.status().message()));
      return;
    }
    std::string buffer;
    done(Upload(
        checkpoint.header,
        [&](uint64_t offset, size_t size) -> absl::StatusOr<absl::string_view> {
          buffer.resize(size);
          CVT_ASSIGN_OR_RETURN(const size_t read, (*file)->Read(checkpoint.data_offset + offset,
                                                                absl::MakeSpan(buffer)));
          if (read < size) return DataLoss(Reason::kCheckpointBad, checkpoint.path + ": cut off");
          return absl::string_view(buffer);
        },
        scope->stop.get_token()));
  });
}

absl::Status Transfers::Upload(const session::v1::UploadCheckpointHeader& header,
                               const CoordinatorClient::Source& source, const StopToken& stop) {
  session::v1::UploadCheckpointHeader full = header;
  full.set_worker(options_.worker);
  const absl::Duration begin = clock_.SteadyNow();
  const absl::Status uploaded = client_.UploadCheckpoint(full, source, stop);
  if (uploaded.ok()) {
    upload_seconds_.Observe(absl::ToDoubleSeconds(clock_.SteadyNow() - begin));
    uploaded_bytes_.Increment(static_cast<double>(header.size_bytes()));
  }
  return uploaded;
}

}  // namespace cvtrain::worker
