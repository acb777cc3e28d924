#ifndef CVTRAIN_WORKER_AGENT_CACHE_CONTENT_CACHE_H_
#define CVTRAIN_WORKER_AGENT_CACHE_CONTENT_CACHE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/file_system.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "worker/agent/cache/sparse_shard.h"

// Shards and checkpoints on the worker's disk, by content:
//
//   {dir}/{digest}         whole; verified once per process before its first use, and
//                          again if size or time of modification have changed since, or
//                          if somebody who read it doubts it
//   {dir}/{digest}.part    the beginning of a download, continued by the next one
//   {dir}/{digest}.parts   a shard of which some sections are here; see SparseShard
//
//   1. Pieces are appended to .part.  A crash leaves what had come.
//   2. The whole is hashed. A wrong digest removes it; the download begins anew, once.
//   3. .part is renamed. Nothing is synced: a file that a power cut has damaged does not
//      have its digest, and is fetched again.
//
// A shard may also come section by section, each block of it verified by its CRC. Once all of it
// is here it is hashed, and renamed as above.
namespace cvtrain::worker {

struct ContentCacheOptions {
  // Files and parts together; the least recently used ones that nobody has open go
  // first. What a trainer has mapped keeps its disk blocks until that trainer lets go, though the
  // cache has given the file up. Large enough for the data of what runs, or trials wait for it
  // again and again.
  uint64_t size_bytes_max = uint64_t{10} << 30;
};

// What a file of the cache is called: by its content.
struct ContentKey {
  enum class Digest { kSha256, kBlocks };  // of shards; of checkpoints: see BlockDigest

  std::string digest;  // 64 lower-case hexadecimal digits
  uint64_t size_bytes = 0;
  Digest kind = Digest::kSha256;
};

class ContentCache;

// A verified file, open for reading. It counts as in use, and is not removed, as long as
// this lives; the descriptor stays good for as long as anyone has it open. Movable; must
// not outlive its cache. Thread-compatible.
class CachedFile {
 public:
  CachedFile() = default;
  CachedFile(CachedFile&& other) noexcept;
  CachedFile& operator=(CachedFile&& other) noexcept;
  ~CachedFile();

  // Null only if default-made or moved from.
  const RandomAccessFile* file() const { return file_.get(); }
  // -1 on a file system without descriptors.
  int descriptor() const { return file_ ? file_->descriptor() : -1; }

 private:
  friend class ContentCache;
  CachedFile(ContentCache* cache, std::string digest, std::unique_ptr<RandomAccessFile> file);
  void Release();

  ContentCache* cache_ = nullptr;
  std::string digest_;
  std::unique_ptr<RandomAccessFile> file_;
};

// Thread-safe. Disk and network are used without the lock; two calls for one digest
// share one download.
class ContentCache {
 public:
  // Delivers a range of the file.
  using Sink = ByteSink;
  using Fetch = RangeFetch;

  // `files` and `telemetry` must outlive it.
  // Errors of FileSystem, for a directory that cannot be made or read.
  static absl::StatusOr<std::unique_ptr<ContentCache>> Open(FileSystem& files,
                                                            std::string directory,
                                                            const ContentCacheOptions& options,
                                                            TelemetryRegistry& telemetry);
  ~ContentCache();

  // The file, downloaded by `fetch` if it is not here. Blocks meanwhile.
  //   errors of `fetch`                    what has come is kept for the next call
  //   DATA_LOSS (DATA_BAD)                 two downloads in a row have another digest
  //   RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)  it cannot fit beside what is in use
  //   RESOURCE_EXHAUSTED (DISK_FULL), PERMISSION_DENIED and others of FileSystem, for
  //                                        the directory; it is made again if it is gone
  //   CANCELLED (STOPPING)                 `stop`, while another call downloads it
  //   INVALID_ARGUMENT (FIELD_INVALID)     the digest is not one
  absl::StatusOr<CachedFile> Get(const ContentKey& key, const Fetch& fetch, const StopToken& stop);

  // A shard with at least its index and these sections: rungs by number, then the sources. What
  // else is in the file must not be used. It grows in place: who has it open sees the
  // sections that later calls bring, unless the file was removed in between. Errors as of Get(),
  // and
  //   DATA_LOSS (SHARD_BAD)                what came is no shard, or a block does not have its CRC
  //   INVALID_ARGUMENT (FIELD_INVALID)     the shard has no such section
  absl::StatusOr<CachedFile> GetSections(const ContentKey& key, absl::Span<const int32_t> sections,
                                         const Fetch& fetch, const StopToken& stop);

  // The file if it is here whole, or with these sections if any are named, and no other call is
  // busy with it; else nothing. Reads the disk to verify it, and never waits for a download.
  // Errors of FileSystem.
  absl::StatusOr<std::optional<CachedFile>> GetIfHere(const ContentKey& key,
                                                      absl::Span<const int32_t> sections = {});

  enum class Verdict { kGood, kDamaged, kAbsent };
  // Reads a file again, whatever was found before: whether it is here and has its digest, or, of
  // a shard in parts, whether all blocks are right that have been. One that fails is removed. An
  // error of the disk counts as damage.
  Verdict Verify(const ContentKey& key);

  // Adds what is in memory; `bytes` must have that digest, which the caller has just computed:
  // it counts as verified. OK if it is there. Errors as of Get().
  absl::Status Put(const std::string& digest, absl::Span<const char> bytes);

  // Removes a file that nobody has open; harmless otherwise.
  void Forget(const std::string& digest);

  // Removes all files that nobody has open: something else needs the disk. Returns their bytes.
  uint64_t EvictUnused();

  bool Contains(const std::string& digest) const;
  uint64_t size_bytes() const;
  uint64_t size_bytes_max() const { return options_.size_bytes_max; }

 private:
  friend class CachedFile;

  struct Entry {
    uint64_t size_bytes = 0;  // on disk, or reserved for a download
    bool whole = false;       // false: a part
    bool busy = false;        // a call downloads or verifies it
    bool verified = false;    // in this process, at this time of modification
    absl::Time modified;
    int users = 0;
    int64_t last_use = 0;  // larger is later
    // A shard of which parts are here; shared with the call that is busy, which uses it without the
    // lock. Null also where an earlier process has left parts that nobody has looked at yet.
    std::shared_ptr<SparseShard> parts;
  };

  ContentCache(FileSystem& files, std::string directory, const ContentCacheOptions& options,
               TelemetryRegistry& telemetry);

  std::string PathOf(const std::string& digest) const;
  std::string PartOf(const std::string& digest) const;
  std::string PartsOf(const std::string& digest) const;

  // Waits until the entry is not busy and makes it so.
  absl::Status Acquire(const std::string& digest, const StopToken& stop);
  void SetIdle(const std::string& digest);
  // Empties the entry that was not used for longest and that nobody uses; its digest, or nothing
  // if there is none. It stays busy until RemoveFiles(): nobody finds files that are about to go.
  std::optional<std::string> TakeVictim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of victims.
  absl::Status RemoveFiles(const std::vector<std::string>& digests);
  absl::StatusOr<CachedFile> GetBusy(const ContentKey& key, const Fetch& fetch);
  // Null if the file is not there or was damaged (and is removed).
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenVerified(const ContentKey& key);
  CachedFile Use(const ContentKey& key, std::unique_ptr<RandomAccessFile> file);
  absl::Status Download(const ContentKey& key, const Fetch& fetch);
  absl::StatusOr<CachedFile> GetSectionsBusy(const ContentKey& key,
                                             absl::Span<const int32_t> sections,
                                             const Fetch& fetch);
  // What is in {digest}.parts; null if there is no such file.
  absl::StatusOr<std::shared_ptr<SparseShard>> FindParts(const ContentKey& key);
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenParts(const ContentKey& key,
                                                              absl::Span<const int32_t> sections);
  absl::Status FetchParts(const ContentKey& key, SparseShard& parts, ReadWriteFile& file,
                          absl::Span<const int32_t> sections, const Fetch& fetch);
  // Whether all blocks that were here are still right.
  Verdict VerifyParts(const ContentKey& key);
  absl::Status Reserve(const std::string& digest, uint64_t size_bytes);
  absl::Status WriteWhole(const std::string& path, absl::Span<const char> bytes);
  // Adds the way out to an error of the file system.
  absl::Status Explain(const absl::Status& status) const;
  void Drop(const std::string& digest);
  void Unpin(const std::string& digest);
  void UpdateGauge();

  FileSystem& files_;
  const std::string directory_;
  const ContentCacheOptions options_;
  Gauge& bytes_gauge_;
  Counter& hits_;
  Counter& misses_;
  Counter& evictions_;
  Counter& damaged_;

  mutable absl::Mutex mu_;
  absl::CondVar idle_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);  // by digest
  int64_t uses_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t size_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_CACHE_CONTENT_CACHE_H_
