// Shards of which only some sections are here: {digest}.parts.

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "worker/agent/cache/content_cache.h"

namespace cvtrain::worker {
namespace {

// What errors call a shard: enough of its digest to find it.
std::unique_ptr<SparseShard> NoParts(const ContentKey& key) {
  return std::make_unique<SparseShard>(key.digest.substr(0, 12), key.size_bytes);
}

}  // namespace

absl::StatusOr<CachedFile> ContentCache::GetSections(const ContentKey& key,
                                                     absl::Span<const int32_t> sections,
                                                     const Fetch& fetch, const StopToken& stop) {
  CVT_RETURN_IF_ERROR(Acquire(key.digest, stop));
  absl::StatusOr<CachedFile> file = GetSectionsBusy(key, sections, fetch);
  SetIdle(key.digest);
  if (!file.ok()) return Explain(file.status());
  return file;
}

absl::StatusOr<CachedFile> ContentCache::GetSectionsBusy(const ContentKey& key,
                                                         absl::Span<const int32_t> sections,
                                                         const Fetch& fetch) {
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> whole, OpenVerified(key));
  if (whole) {
    hits_.Increment();
    return Use(key, std::move(whole));
  }
  CVT_RETURN_IF_ERROR(files_.CreateDir(directory_));
  CVT_ASSIGN_OR_RETURN(std::shared_ptr<SparseShard> parts, FindParts(key));
  if (parts == nullptr) {
    parts = NoParts(key);
    // The beginning that a whole download has left is of no more use.
    CVT_RETURN_IF_ERROR(files_.RemoveAll(PartOf(key.digest)));
  }
  {
    absl::MutexLock lock(&mu_);
    entries_[key.digest].parts = parts;
  }
  const std::string path = PartsOf(key.digest);
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<ReadWriteFile> file, files_.NewReadWriteFile(path));
  absl::Status done = FetchParts(key, *parts, *file, sections, fetch);
  if (const absl::Status closed = file->Close(); done.ok()) done = closed;
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[key.digest];
    size_bytes_ += parts->here_bytes() - entry.size_bytes;
    entry.size_bytes = parts->here_bytes();
  }
  if (!done.ok()) {
    // What does not fit together may be wrong from its outline on: it comes anew.
    if (parts->here_bytes() == 0 || absl::IsDataLoss(done)) Drop(key.digest);
    return done;
  }
  if (!parts->complete()) {
    CVT_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> open, files_.NewRandomAccessFile(path));
    return Use(key, std::move(open));
  }
  CVT_RETURN_IF_ERROR(files_.Rename(path, PathOf(key.digest)));
  {
    absl::MutexLock lock(&mu_);
    entries_[key.digest].parts.reset();
  }
  CVT_ASSIGN_OR_RETURN(whole, OpenVerified(key));
  if (whole) return Use(key, std::move(whole));
  return DataLoss(Reason::kShardBad,
                  absl::StrCat("what came is a shard, but not the one with the digest ", key.digest,
                               ": it is damaged at its source"));
}

absl::StatusOr<std::shared_ptr<SparseShard>> ContentCache::FindParts(const ContentKey& key) {
  const std::string path = PartsOf(key.digest);
  const absl::StatusOr<FileInfo> info = files_.Stat(path);
  std::shared_ptr<SparseShard> parts;
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = entries_[key.digest];
    if (absl::IsNotFound(info.status()) && entry.parts != nullptr) {  // somebody removed it
      size_bytes_ -= entry.size_bytes;
      entry.size_bytes = 0;
      entry.parts.reset();
    }
    parts = entry.parts;
  }
  if (absl::IsNotFound(info.status())) return nullptr;
  CVT_RETURN_IF_ERROR(info.status());
  if (parts != nullptr) return parts;
  // An earlier process has left it.
  parts = NoParts(key);
  CVT_ASSIGN_OR_RETURN(const auto file, files_.NewRandomAccessFile(path));
  CVT_RETURN_IF_ERROR(parts->Recover(*file));
  absl::MutexLock lock(&mu_);
  entries_[key.digest].parts = parts;
  return parts;
}

absl::Status ContentCache::FetchParts(const ContentKey& key, SparseShard& parts,
                                      ReadWriteFile& file, absl::Span<const int32_t> sections,
                                      const Fetch& fetch) {
  const bool begins = !parts.has_outline();
  if (begins) {
    CVT_RETURN_IF_ERROR(Reserve(key.digest, parts.outline_bytes_max()));
    misses_.Increment();
    CVT_RETURN_IF_ERROR(parts.FetchOutline(file, fetch));
  }
  CVT_RETURN_IF_ERROR(parts.CheckSections(sections));
  const uint64_t missing = parts.MissingBytes(sections);
  if (!begins) (missing > 0 ? misses_ : hits_).Increment();
  if (missing == 0) return absl::OkStatus();
  CVT_RETURN_IF_ERROR(Reserve(key.digest, parts.here_bytes() + missing));
  return parts.Fetch(file, sections, fetch);
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> ContentCache::OpenParts(
    const ContentKey& key, absl::Span<const int32_t> sections) {
  CVT_ASSIGN_OR_RETURN(const std::shared_ptr<SparseShard> parts, FindParts(key));
  if (parts == nullptr || !parts->has_outline()) return nullptr;
  CVT_RETURN_IF_ERROR(parts->CheckSections(sections));
  if (parts->MissingBytes(sections) > 0) return nullptr;
  return files_.NewRandomAccessFile(PartsOf(key.digest));
}

ContentCache::Verdict ContentCache::VerifyParts(const ContentKey& key) {
  const absl::StatusOr<std::shared_ptr<SparseShard>> found = FindParts(key);
  if (!found.ok() || *found == nullptr) return Verdict::kAbsent;
  SparseShard* const parts = found->get();
  const uint64_t before = parts->here_bytes();
  const auto file = files_.NewRandomAccessFile(PartsOf(key.digest));
  if (file.ok() && parts->Recover(**file).ok() && parts->here_bytes() >= before) {
    return Verdict::kGood;
  }
  CVT_LOG(kWarning, "cached shard is damaged and is removed")
      .Field("path", PartsOf(key.digest))
      .Field("good_bytes", parts->here_bytes())
      .Field("bytes", before);
  damaged_.Increment();
  Drop(key.digest);
  return Verdict::kDamaged;
}

}  // namespace cvtrain::worker
