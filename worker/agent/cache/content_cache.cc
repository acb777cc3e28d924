#include "worker/agent/cache/content_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/block_digest.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::worker {
namespace {

constexpr absl::string_view kPartSuffix = ".part";
constexpr absl::string_view kPartsSuffix = ".parts";
constexpr size_t kReadBytes = size_t{1} << 20;

bool IsDigest(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

template <typename Hash>
absl::StatusOr<std::string> HashFileWith(const RandomAccessFile& file) {
  Hash hash;
  std::string buffer(kReadBytes, '\0');
  uint64_t offset = 0;
  while (true) {
    CVT_ASSIGN_OR_RETURN(const size_t read, file.Read(offset, absl::MakeSpan(buffer)));
    hash.Update(absl::string_view(buffer.data(), read));
    offset += read;
    if (read < buffer.size()) return ToHex(hash.Finish());
  }
}

absl::StatusOr<std::string> HashFile(const RandomAccessFile& file, ContentKey::Digest kind) {
  return kind == ContentKey::Digest::kBlocks ? HashFileWith<BlockDigest>(file)
                                             : HashFileWith<Sha256>(file);
}

// What a file with holes takes on the disk; where that is not known, all of it.
uint64_t DiskBytes(const RandomAccessFile& file, uint64_t size_bytes) {
  struct stat facts = {};
  if (file.descriptor() < 0 || ::fstat(file.descriptor(), &facts) != 0) return size_bytes;
  return std::min(size_bytes, static_cast<uint64_t>(facts.st_blocks) * 512);
}

}  // namespace

// --- CachedFile ---------------------------------------------------------------

CachedFile::CachedFile(ContentCache* cache, std::string digest,
                       std::unique_ptr<RandomAccessFile> file)
    : cache_(cache), digest_(std::move(digest)), file_(std::move(file)) {}

CachedFile::CachedFile(CachedFile&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      digest_(std::move(other.digest_)),
      file_(std::move(other.file_)) {}

CachedFile& CachedFile::operator=(CachedFile&& other) noexcept {
  if (this != &other) {
    Release();
    cache_ = std::exchange(other.cache_, nullptr);
    digest_ = std::move(other.digest_);
    file_ = std::move(other.file_);
  }
  return *this;
}

CachedFile::~CachedFile() { Release(); }

void CachedFile::Release() {
  file_.reset();
  if (cache_ != nullptr) std::exchange(cache_, nullptr)->Unpin(digest_);
}

// --- ContentCache -------------------------------------------------------------

ContentCache::ContentCache(FileSystem& files, std::string directory,
                           const ContentCacheOptions& options, TelemetryRegistry& telemetry)
    : files_(files),
      directory_(std::move(directory)),
      options_(options),
      bytes_gauge_(telemetry.NewGauge({.name = "cvtrain_worker_cache_size_bytes",
                                       .help = "Shards and checkpoints in the cache"})),
      hits_(telemetry.NewCounter({.name = "cvtrain_worker_cache_hits_total",
                                  .help = "Files that were in the cache when asked for"})),
      misses_(telemetry.NewCounter({.name = "cvtrain_worker_cache_misses_total",
                                    .help = "Files that had to be downloaded"})),
      evictions_(telemetry.NewCounter(
          {.name = "cvtrain_worker_cache_evictions_total", .help = "Files removed to make room"})),
      damaged_(telemetry.NewCounter({.name = "cvtrain_worker_cache_damaged_total",
                                     .help = "Files that did not have their digest"})) {
  telemetry.NewGauge({.name = "cvtrain_worker_cache_limit_bytes", .help = "Limit of --cache-bytes"})
      .Set(static_cast<double>(options.size_bytes_max));
}

ContentCache::~ContentCache() = default;

absl::StatusOr<std::unique_ptr<ContentCache>> ContentCache::Open(FileSystem& files,
                                                                 std::string directory,
                                                                 const ContentCacheOptions& options,
                                                                 TelemetryRegistry& telemetry) {
  std::unique_ptr<ContentCache> cache(
      new ContentCache(files, std::move(directory), options, telemetry));
  const absl::Status found = [&]() -> absl::Status {
    CVT_RETURN_IF_ERROR(files.CreateDir(cache->directory_));
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.ListDir(cache->directory_));
    absl::MutexLock lock(&cache->mu_);
    for (const std::string& name : names) {
      absl::string_view digest = name;
      const bool part = absl::ConsumeSuffix(&digest, kPartSuffix);
      const bool parts = absl::ConsumeSuffix(&digest, kPartsSuffix);
      if (!IsDigest(digest)) continue;
      const std::string path = JoinPath(cache->directory_, name);
      CVT_ASSIGN_OR_RETURN(const FileInfo info, files.Stat(path));
      uint64_t bytes = info.size_bytes;
      if (parts) {
        // One that cannot be opened counts in full until somebody asks for it.
        const auto file = files.NewRandomAccessFile(path);
        if (file.ok()) bytes = DiskBytes(**file, bytes);
      }
      Entry& entry = cache->entries_[std::string(digest)];
      cache->size_bytes_ += bytes;
      entry.size_bytes += bytes;
      entry.whole = entry.whole || !(part || parts);
      // The order of last use is not kept over restarts; that of arrival is close.
      entry.last_use = absl::ToUnixMicros(info.modified);
      cache->uses_ = std::max(cache->uses_, entry.last_use);
    }
    return absl::OkStatus();
  }();
  if (!found.ok()) return cache->Explain(found);
  cache->UpdateGauge();
  return cache;
}

std::string ContentCache::PathOf(const std::string& digest) const {
  return JoinPath(directory_, digest);
}

std::string ContentCache::PartOf(const std::string& digest) const {
  return JoinPath(directory_, absl::StrCat(digest, kPartSuffix));
}

std::string ContentCache::PartsOf(const std::string& digest) const {
  return JoinPath(directory_, absl::StrCat(digest, kPartsSuffix));
}

absl::StatusOr<CachedFile> ContentCache::Get(const ContentKey& key, const Fetch& fetch,
                                             const StopToken& stop) {
  CVT_RETURN_IF_ERROR(Acquire(key.digest, stop));
  absl::StatusOr<CachedFile> file = GetBusy(key, fetch);
  SetIdle(key.digest);
  if (!file.ok()) return Explain(file.status());
  return file;
}

CachedFile ContentCache::Use(const ContentKey& key, std::unique_ptr<RandomAccessFile> file) {
  absl::MutexLock lock(&mu_);
  ++entries_[key.digest].users;
  return CachedFile(this, key.digest, std::move(file));
}

absl::StatusOr<std::optional<CachedFile>> ContentCache::GetIfHere(
    const ContentKey& key, absl::Span<const int32_t> sections) {
  {
    absl::MutexLock lock(&mu_);
    const auto it = entries_.find(key.digest);
    if (it == entries_.end() || it->second.busy) return std::nullopt;
    if (!it->second.whole && sections.empty()) return std::nullopt;
    it->second.busy = true;
    it->second.last_use = ++uses_;
  }
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> file = OpenVerified(key);
  if (file.ok() && *file == nullptr && !sections.empty()) file = OpenParts(key, sections);
  std::optional<CachedFile> found;
  if (file.ok() && *file) {
    hits_.Increment();
    found = Use(key, *std::move(file));
  }
  SetIdle(key.digest);
  if (!file.ok()) return Explain(file.status());
  return found;
}

ContentCache::Verdict ContentCache::Verify(const ContentKey& key) {
  if (!Acquire(key.digest, StopToken()).ok()) return Verdict::kAbsent;
  bool was_here = false;
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[key.digest];
    was_here = entry.whole;
    entry.verified = false;
  }
  const absl::StatusOr<std::unique_ptr<RandomAccessFile>> file = OpenVerified(key);
  Verdict verdict = was_here ? Verdict::kDamaged : VerifyParts(key);
  if (file.ok() && *file != nullptr) verdict = Verdict::kGood;
  SetIdle(key.digest);
  return verdict;
}

absl::Status ContentCache::Acquire(const std::string& digest, const StopToken& stop) {
  if (!IsDigest(digest)) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("digest: must be 64 hexadecimal digits, got ", digest));
  }
  std::stop_callback wake(stop, [this] {
    absl::MutexLock lock(&mu_);
    idle_.SignalAll();
  });
  absl::MutexLock lock(&mu_);
  while (entries_[digest].busy && !stop.stop_requested()) idle_.Wait(&mu_);
  Entry& entry = entries_[digest];
  if (entry.busy) return Cancelled(Reason::kStopping, "stopped while waiting for a download");
  entry.busy = true;
  entry.last_use = ++uses_;
  return absl::OkStatus();
}

void ContentCache::SetIdle(const std::string& digest) {
  {
    absl::MutexLock lock(&mu_);
    const auto it = entries_.find(digest);
    it->second.busy = false;
    if (it->second.size_bytes == 0 && it->second.users == 0) entries_.erase(it);
    idle_.SignalAll();
  }
  UpdateGauge();
}

absl::StatusOr<CachedFile> ContentCache::GetBusy(const ContentKey& key, const Fetch& fetch) {
  bool counted = false;
  for (int downloads = 0;; ++downloads) {
    CVT_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenVerified(key));
    if (file) {
      if (!counted) hits_.Increment();
      return Use(key, std::move(file));
    }
    if (!counted) misses_.Increment();
    counted = true;
    if (downloads == 2) {
      return DataLoss(Reason::kDataBad,
                      absl::StrCat("what was downloaded twice does not have the digest ",
                                   key.digest, ": it is damaged at its source"));
    }
    CVT_RETURN_IF_ERROR(Download(key, fetch));
  }
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> ContentCache::OpenVerified(
    const ContentKey& key) {
  const std::string path = PathOf(key.digest);
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> file = files_.NewRandomAccessFile(path);
  if (absl::IsNotFound(file.status())) {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[key.digest];
    if (entry.whole) {  // somebody removed it
      size_bytes_ -= entry.size_bytes;
      entry.size_bytes = 0;
      entry.whole = false;
    }
    return nullptr;
  }
  CVT_RETURN_IF_ERROR(file.status());
  CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(path));
  {
    absl::MutexLock lock(&mu_);
    const Entry& entry = entries_[key.digest];
    if (entry.verified && entry.modified == info.modified && info.size_bytes == key.size_bytes) {
      return file;
    }
  }
  CVT_ASSIGN_OR_RETURN(const std::string digest, HashFile(**file, key.kind));
  if (digest != key.digest || info.size_bytes != key.size_bytes) {
    CVT_LOG(kWarning, "cached file is damaged and is removed")
        .Field("path", path)
        .Field("size_bytes", info.size_bytes)
        .Field("digest", digest);
    damaged_.Increment();
    Drop(key.digest);
    return nullptr;
  }
  absl::MutexLock lock(&mu_);
  Entry& entry = entries_[key.digest];
  entry.verified = true;
  entry.whole = true;
  entry.modified = info.modified;
  size_bytes_ += info.size_bytes - entry.size_bytes;
  entry.size_bytes = info.size_bytes;
  return file;
}

absl::Status ContentCache::Download(const ContentKey& key, const Fetch& fetch) {
  CVT_RETURN_IF_ERROR(Reserve(key.digest, key.size_bytes));
  CVT_RETURN_IF_ERROR(files_.CreateDir(directory_));
  // Whoever uses parts has them open; the whole replaces them.
  CVT_RETURN_IF_ERROR(files_.RemoveAll(PartsOf(key.digest)));
  {
    absl::MutexLock lock(&mu_);
    entries_[key.digest].parts.reset();
  }
  const std::string part = PartOf(key.digest);
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> out,
                       files_.NewWritableFile(part, {.mode = WritableFileOptions::Mode::kAppend}));
  if (out->size() > key.size_bytes) {  // of something else
    CVT_ASSIGN_OR_RETURN(out, files_.NewWritableFile(part, {}));
  }
  absl::Status done = absl::OkStatus();
  if (out->size() < key.size_bytes) {
    const auto append = [&](absl::string_view piece) -> absl::Status {
      if (piece.size() > key.size_bytes - out->size()) {
        return DataLoss(Reason::kDataBad, "more bytes came than the file has");
      }
      return out->Append(piece);
    };
    done = fetch(out->size(), key.size_bytes - out->size(), append);
  }
  if (done.ok()) done = out->Flush();
  const uint64_t size = out->size();
  if (const absl::Status closed = out->Close(); done.ok()) done = closed;
  if (!done.ok()) return done;
  if (size < key.size_bytes) {
    return Unavailable(Reason::kPeerGone, absl::StrCat("the download ended after ", size, " of ",
                                                       key.size_bytes, " bytes"));
  }
  return files_.Rename(part, PathOf(key.digest));
}

// Removes what was not used for longest until `size_bytes` fit for `digest`.
absl::Status ContentCache::Reserve(const std::string& digest, uint64_t size_bytes) {
  std::vector<std::string> victims;
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[digest];
    uint64_t total = size_bytes_ - entry.size_bytes + size_bytes;
    while (total > options_.size_bytes_max) {
      const uint64_t before = size_bytes_;
      std::optional<std::string> victim = TakeVictim();
      if (!victim) {
        return LimitExceeded(
            "cache_bytes",
            absl::StrCat("the cache of ", FormatBytes(options_.size_bytes_max), " cannot hold ",
                         FormatBytes(size_bytes), " beside the ", FormatBytes(total - size_bytes),
                         " in use: raise --cache-bytes"));
      }
      total -= before - size_bytes_;
      victims.push_back(*std::move(victim));
    }
    size_bytes_ = total;
    entry.size_bytes = size_bytes;
  }
  return RemoveFiles(victims);
}

std::optional<std::string> ContentCache::TakeVictim() {
  auto victim = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.users > 0 || it->second.busy || it->second.size_bytes == 0) continue;
    if (victim == entries_.end() || it->second.last_use < victim->second.last_use) victim = it;
  }
  if (victim == entries_.end()) return std::nullopt;
  size_bytes_ -= victim->second.size_bytes;
  Entry emptied;
  emptied.busy = true;
  emptied.last_use = victim->second.last_use;
  victim->second = emptied;
  return victim->first;
}

absl::Status ContentCache::RemoveFiles(const std::vector<std::string>& digests) {
  absl::Status status;  // of the first that failed; the others go all the same
  for (const std::string& digest : digests) {
    evictions_.Increment();
    for (const std::string& path : {PathOf(digest), PartOf(digest), PartsOf(digest)}) {
      const absl::Status removed = files_.Remove(path);
      if (!absl::IsNotFound(removed)) status.Update(removed);
    }
    SetIdle(digest);
  }
  return status;
}

uint64_t ContentCache::EvictUnused() {
  std::vector<std::string> victims;
  uint64_t bytes = 0;
  {
    absl::MutexLock lock(&mu_);
    bytes = size_bytes_;
    while (std::optional<std::string> victim = TakeVictim()) victims.push_back(*std::move(victim));
    bytes -= size_bytes_;
  }
  if (const absl::Status removed = RemoveFiles(victims); !removed.ok()) {
    CVT_LOG(kWarning, "cannot remove a cached file").Field("status", removed);
  }
  UpdateGauge();
  return bytes;
}

absl::Status ContentCache::Put(const std::string& digest, absl::Span<const char> bytes) {
  CVT_RETURN_IF_ERROR(Acquire(digest, StopToken()));
  const absl::Status done = [&]() -> absl::Status {
    {
      absl::MutexLock lock(&mu_);
      if (entries_[digest].whole) return absl::OkStatus();
    }
    CVT_RETURN_IF_ERROR(Reserve(digest, bytes.size()));
    CVT_RETURN_IF_ERROR(files_.CreateDir(directory_));
    const std::string part = PartOf(digest);
    CVT_RETURN_IF_ERROR(WriteWhole(part, bytes));
    CVT_RETURN_IF_ERROR(files_.Rename(part, PathOf(digest)));
    CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(PathOf(digest)));
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[digest];
    entry.whole = true;
    entry.verified = true;
    entry.modified = info.modified;
    return absl::OkStatus();
  }();
  if (!done.ok()) Drop(digest);
  SetIdle(digest);
  return Explain(done);
}

absl::Status ContentCache::WriteWhole(const std::string& path, absl::Span<const char> bytes) {
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files_.NewWritableFile(path, {}));
  CVT_RETURN_IF_ERROR(file->Append(absl::string_view(bytes.data(), bytes.size())));
  return file->Close();
}

void ContentCache::Forget(const std::string& digest) {
  {
    absl::MutexLock lock(&mu_);
    const auto it = entries_.find(digest);
    if (it == entries_.end() || it->second.busy || it->second.users > 0) return;
  }
  Drop(digest);
  UpdateGauge();
}

// Removes the files; the entry stays if it is in use or busy.
void ContentCache::Drop(const std::string& digest) {
  for (const std::string& path : {PathOf(digest), PartOf(digest), PartsOf(digest)}) {
    const absl::Status removed = files_.Remove(path);
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      CVT_LOG(kWarning, "cannot remove a cached file").Field("status", removed);
    }
  }
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(digest);
  if (it == entries_.end()) return;
  size_bytes_ -= it->second.size_bytes;
  it->second.size_bytes = 0;
  it->second.whole = false;
  it->second.verified = false;
  it->second.parts.reset();
  if (!it->second.busy && it->second.users == 0) entries_.erase(it);
}

void ContentCache::Unpin(const std::string& digest) {
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(digest);
  if (it != entries_.end()) --it->second.users;
}

absl::Status ContentCache::Explain(const absl::Status& status) const {
  if (status.ok()) return status;
  const auto reason = ReasonOf(status);
  if (reason == Reason::kDiskFull) {
    return Annotate(status, "the disk of the cache is full: free some space, or move --state-dir",
                    directory_);
  }
  if (reason == Reason::kFileForbidden) {
    return Annotate(status, "the cache cannot be written: make it writable, or move --state-dir",
                    directory_);
  }
  return status;
}

bool ContentCache::Contains(const std::string& digest) const {
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(digest);
  return it != entries_.end() && it->second.whole;
}

uint64_t ContentCache::size_bytes() const {
  absl::MutexLock lock(&mu_);
  return size_bytes_;
}

void ContentCache::UpdateGauge() { bytes_gauge_.Set(static_cast<double>(size_bytes())); }

}  // namespace cvtrain::worker
