#include "worker/agent/supervise/transfers.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/peer_process.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "worker/agent/session/backoff.h"

namespace cvtrain::worker {
namespace {

// Jobs that wait: a trainer has at most two checkpoints and a bounded number of shards out.
constexpr size_t kJobsMax = 100'000;

// Trials whose newest copy is remembered.
constexpr size_t kCopiesMax = 1'000;
// Of TransfersOptions::reports_wait_max, where a checkpoint can go nowhere but up.
constexpr int kGateWaitsMax = 30;

// Work of the disk that nobody waits for long: is it here, is it whole?
constexpr int kLookupThreads = 1;
// What is fetched ahead leaves the other threads to what somebody waits for.
constexpr int kAheadThreads = 1;
// Sections that do not fit beside what is in use are asked for so many times: for some minutes.
constexpr int kRefusalsMax = 100;

// The coordinator is away, or busy for a moment; the same call may succeed later.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

std::vector<std::unique_ptr<ShardOrigin>> MakeOrigins(const TransfersOptions& options,
                                                      FileSystem& files) {
  std::vector<std::unique_ptr<ShardOrigin>> origins;
  for (const std::string& place : options.shards_from) origins.push_back(NewOrigin(files, place));
  return origins;
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
      commit_seconds_(telemetry.NewHistogram(
          {.name = "cvtrain_worker_checkpoint_commit_seconds",
           .help =
               "From a checkpoint that a trainer has handed over to its commit, digests included"},
          LatencyBuckets())),
      uploaded_bytes_(telemetry.NewCounter({.name = "cvtrain_worker_uploaded_bytes_total",
                                            .help = "Bytes of checkpoints uploaded"})),
      fetched_bytes_(telemetry.NewCounter({.name = "cvtrain_worker_fetched_bytes_total",
                                           .help = "Bytes of shards and checkpoints fetched"})),
      origins_(MakeOrigins(options, files), clock, telemetry),
      checkpoints_(telemetry,
                   {.name = "cvtrain_worker_checkpoints_total",
                    .help = "Checkpoints of trainers, by what became of them"},
                   "outcome", {"uploaded", "spooled", "lost"}),
      lookup_jobs_(kJobsMax),
      fetch_jobs_(kJobsMax),
      ahead_jobs_(kJobsMax),
      store_jobs_(kJobsMax) {
  const auto start = [this](const char* name, int count, BoundedQueue<Job>& jobs) {
    for (int i = 0; i < count; ++i) {
      threads_.push_back(std::make_unique<Thread>(absl::StrCat(name, "-", i),
                                                  [this, &jobs](StopToken) { RunJobs(jobs); }));
    }
  };
  start("lookup", kLookupThreads, lookup_jobs_);
  start("fetch", options_.fetch_threads, fetch_jobs_);
  start("ahead", kAheadThreads, ahead_jobs_);
  start("store", options_.store_threads, store_jobs_);
  retry_thread_ =
      std::make_unique<Thread>("retry", [this](const StopToken& stop) { RunRetries(stop); });
}

// What waits is answered by the thread that finds its queue closed: see Submit().
Transfers::~Transfers() {
  lookup_jobs_.Close();
  fetch_jobs_.Close();
  ahead_jobs_.Close();
  store_jobs_.Close();
  retry_thread_.reset();
  threads_.clear();
  // A fetch that was running when its queue was closed may have asked for another try.
  for (auto& [due, job] : std::exchange(retries_, {})) job();
}

// Runs until the queue is closed and empty: every job answers, if only that it was
// stopped.
void Transfers::RunJobs(BoundedQueue<Job>& jobs) {
  while (std::optional<Job> job = jobs.Pop()) (*job)();
}

void Transfers::Submit(BoundedQueue<Job>& jobs, Job job) {
  if (!jobs.TryPush(std::move(job))) job();  // closed or absurdly full: it answers here
}

// Puts tries back into the queue when they are due; no thread sleeps through an outage.
void Transfers::RunRetries(const StopToken& stop) {
  std::stop_callback wake(stop, [this] {
    absl::MutexLock lock(&mu_);
    retry_changed_.SignalAll();
  });
  while (!stop.stop_requested()) {
    std::vector<Job> due;
    {
      absl::MutexLock lock(&mu_);
      const absl::Duration now = clock_.SteadyNow();
      while (!retries_.empty() && retries_.begin()->first <= now) {
        due.push_back(std::move(retries_.begin()->second));
        retries_.erase(retries_.begin());
      }
      if (due.empty() && !stop.stop_requested()) {
        retry_changed_.WaitWithTimeout(
            &mu_, retries_.empty() ? absl::InfiniteDuration() : retries_.begin()->first - now);
      }
    }
    for (Job& job : due) job();
  }
}

struct Transfers::Wanted {
  Wanted(ShardWanted file, std::shared_ptr<TransferScope> of, Download from, FileCallback answer,
         const TransfersOptions& options, Random& random)
      : key(std::move(file.key)),
        sections(std::move(file.sections)),
        ahead(file.ahead),
        scope(std::move(of)),
        download(std::move(from)),
        done(std::move(answer)),
        backoff(options.retry_delay_first, options.retry_delay_max, random) {}

  const ContentKey key;
  const std::vector<int32_t> sections;         // of a shard; none: all of the file
  const bool ahead;                            // nobody waits for it yet
  const std::shared_ptr<TransferScope> scope;  // shared with the attempt
  const Download download;
  const FileCallback done;
  Backoff backoff;
  int losses = 0;    // how often wrong bytes came
  int refusals = 0;  // how often the cache had no room
};

void Transfers::GetShard(ShardWanted shard, std::shared_ptr<TransferScope> scope,
                         FileCallback done) {
  GetFile(
      std::move(shard), std::move(scope),
      [this](const Wanted& wanted, uint64_t offset, uint64_t length, const ByteSink& sink,
             const StopToken& stop) { return FetchShard(wanted, offset, length, sink, stop); },
      std::move(done));
}

absl::Status Transfers::FetchShard(const Wanted& wanted, uint64_t offset, uint64_t length,
                                   const ByteSink& sink, const StopToken& stop) {
  uint64_t delivered = 0;
  if (wanted.losses == 0) {
    CVT_RETURN_IF_ERROR(origins_.Fetch(wanted.key, offset, length, sink, stop, &delivered));
    if (delivered == length) return absl::OkStatus();
  }
  return client_.FetchShard(wanted.key.digest, offset + delivered, length - delivered, sink, stop);
}

void Transfers::GetCheckpoint(const session::v1::ResumePoint& resume,
                              std::shared_ptr<TransferScope> scope, FileCallback done) {
  GetFile(
      {.key = {.digest = resume.digest(),
               .size_bytes = static_cast<uint64_t>(resume.size_bytes()),
               .kind = ContentKey::Digest::kBlocks}},
      std::move(scope),
      [this, name = resume.checkpoint()](const Wanted&, uint64_t offset, uint64_t,
                                         const ByteSink& sink, const StopToken& stop) {
        return client_.DownloadCheckpoint(name, offset, sink, stop);
      },
      std::move(done));
}

void Transfers::GetFile(ShardWanted file, std::shared_ptr<TransferScope> scope, Download download,
                        FileCallback done) {
  // Shared by the jobs that carry it from thread to thread.
  auto wanted = std::make_shared<Wanted>(std::move(file), std::move(scope), std::move(download),
                                         std::move(done), options_, random_);
  Submit(lookup_jobs_, [this, wanted] { LookUp(wanted); });
}

void Transfers::LookUp(const std::shared_ptr<Wanted>& wanted) {
  if (wanted->scope->stop.stop_requested()) {  // what is not verified yet would be read for nothing
    wanted->done(Cancelled(Reason::kStopping, "the attempt is over"));
    return;
  }
  if (absl::StatusOr<std::optional<CachedFile>> here =
          cache_.GetIfHere(wanted->key, wanted->sections);
      here.ok() && *here) {
    wanted->done(**std::move(here));
    return;
  }
  Submit(FetchersOf(*wanted), [this, wanted] { Fetch(wanted); });
}

BoundedQueue<Transfers::Job>& Transfers::FetchersOf(const Wanted& wanted) {
  return wanted.ahead ? ahead_jobs_ : fetch_jobs_;
}

void Transfers::Fetch(const std::shared_ptr<Wanted>& wanted) {
  const StopToken stop = wanted->scope->stop.get_token();
  if (stop.stop_requested()) {
    wanted->done(Cancelled(Reason::kStopping, "the attempt is over"));
    return;
  }
  const auto fetch = [&](uint64_t offset, uint64_t length, const ByteSink& sink) {
    return wanted->download(
        *wanted, offset, length,
        [&](absl::string_view piece) {
          fetched_bytes_.Increment(static_cast<double>(piece.size()));
          return sink(piece);
        },
        stop);
  };
  absl::StatusOr<CachedFile> file =
      wanted->sections.empty() ? cache_.Get(wanted->key, fetch, stop)
                               : cache_.GetSections(wanted->key, wanted->sections, fetch, stop);
  if (file.ok() || !MayRetry(*wanted, file.status())) {
    wanted->done(std::move(file));
    return;
  }
  absl::MutexLock lock(&mu_);
  retries_.emplace(clock_.SteadyNow() + wanted->backoff.Next(), [this, wanted] {
    Submit(FetchersOf(*wanted), [this, wanted] { Fetch(wanted); });
  });
  retry_changed_.SignalAll();
}

bool Transfers::MayRetry(Wanted& wanted, const absl::Status& status) const {
  if (IsPassing(status)) return true;
  // Others download at the moment; there will be room for one that fits at all.
  if (LimitNameOf(status) == "cache_bytes") {
    if (wanted.sections.empty()) return wanted.key.size_bytes <= cache_.size_bytes_max();
    return ++wanted.refusals < kRefusalsMax;
  }
  // Once it may have been the way here, or the place.
  return absl::IsDataLoss(status) && ++wanted.losses < 2;
}

void Transfers::Verify(std::vector<ContentKey> files,
                       std::function<void(ContentCache::Verdict)> done) {
  // Not on the thread for look-ups: it reads whole files, and may wait for one that is coming.
  Submit(fetch_jobs_, [this, files = std::move(files), done = std::move(done)] {
    using Verdict = ContentCache::Verdict;
    Verdict all = Verdict::kGood;
    for (const ContentKey& file : files) {
      const Verdict one = cache_.Verify(file);
      if (one == Verdict::kDamaged || all == Verdict::kGood) all = one;
    }
    done(all);
  });
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
  const absl::Duration begin = clock_.SteadyNow();
  CheckpointOutcome outcome;
  const absl::Span<char> bytes =
      job.memory->mutable_bytes().first(static_cast<size_t>(job.header.size_bytes()));
  const absl::StatusOr<formats::CheckpointDigests> digests = formats::FinishTrailer(bytes);
  if (!digests.ok()) {
    outcome.status = digests.status();
    return outcome;
  }
  session::v1::UploadCheckpointHeader header = job.header;
  header.set_digest(digests->file_digest);
  // After it has been sent, or nearly so: what the next attempt may save comes behind what this one
  // promises.
  const auto keep_copy = absl::MakeCleanup([&] { KeepCopy(job.key, digests->file_digest, bytes); });

  if (job.scope->publishing && !job.scope->stop.stop_requested() &&
      job.gate->Wait(options_.reports_wait_max)) {
    outcome.status = UploadFromMemory(job, header, bytes);
    outcome.uploaded = outcome.status.ok();
    if (outcome.uploaded) {
      commit_seconds_.Observe(absl::ToDoubleSeconds(clock_.SteadyNow() - begin));
    }
  } else {
    outcome.status = Unavailable(Reason::kServerUnreachable, "the coordinator is away");
  }
  const bool try_later = IsPassing(outcome.status) || absl::IsResourceExhausted(outcome.status) ||
                         absl::IsCancelled(outcome.status);
  if (outcome.uploaded || !try_later || job.scope->dropped) return outcome;

  absl::StatusOr<SpooledCheckpoint> spooled =
      Spool::WriteCheckpoint(files_, options_.spool_directory, job.key, header, bytes);
  if (spooled.ok()) {
    outcome.spooled = std::make_unique<SpooledCheckpoint>(*std::move(spooled));
    return outcome;
  }
  outcome.status = spooled.status();
  // With a full disk memory is all there is: its trainer has to wait for the buffer.
  if (ReasonOf(spooled.status()) == Reason::kDiskFull && WaitForGate(job)) {
    outcome.status = UploadFromMemory(job, header, bytes);
    outcome.uploaded = outcome.status.ok();
  }
  return outcome;
}

bool Transfers::WaitForGate(const CheckpointJob& job) const {
  for (int i = 0; i < kGateWaitsMax; ++i) {
    if (!job.scope->publishing || job.scope->stop.stop_requested()) return false;
    if (job.gate->Wait(options_.reports_wait_max)) return true;
  }
  return false;
}

absl::Status Transfers::UploadFromMemory(const CheckpointJob& job,
                                         const session::v1::UploadCheckpointHeader& header,
                                         absl::Span<const char> bytes) {
  session::v1::UploadCheckpointHeader shared = header;
  shared.mutable_shared()->set_place(PeerProcess::Place());
  shared.mutable_shared()->set_process(PeerProcess::Self());
  shared.mutable_shared()->set_file(job.memory->fd());
  return Upload(
      shared,
      [&](uint64_t offset, size_t size) -> absl::StatusOr<absl::string_view> {
        return absl::string_view(bytes.data() + offset, size);
      },
      job.scope->stop.get_token());
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
      // It was there when the spool registered it: nothing will bring it back. Whatever else
      // keeps it from being opened, as a lack of descriptors, may pass.
      done(absl::IsNotFound(file.status())
               ? DataLoss(Reason::kCheckpointBad, file.status().message())
               : file.status());
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
