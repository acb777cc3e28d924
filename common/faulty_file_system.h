#ifndef CVTRAIN_COMMON_FAULTY_FILE_SYSTEM_H_
#define CVTRAIN_COMMON_FAULTY_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/file_system.h"
#include "common/memory_file_system.h"

namespace cvtrain {

// A wrapper that makes file operations fail on request, to run whoever writes
// files through everything a disk can do to them.
//
// It counts operations: each call on it and on files opened through it that can
// fail in the system counts once (Append, Flush, Sync, Close, Read, WriteAt,
// Rename, ...). Numbers start at 1. `base` must outlive it. Thread-safe.
class FaultyFileSystem : public FileSystem {
 public:
  enum class Fault {
    kDeviceError,  // as EIO: nothing is done, UNAVAILABLE (STORAGE_FAILED)
    kDiskFull,     // as ENOSPC: nothing is done, RESOURCE_EXHAUSTED (DISK_FULL)
    kShortWrite,   // a write stores its first half, then fails as kDeviceError
    kErrorAfter,   // done in full, then reported as kDeviceError: outcome unknown
  };

  explicit FaultyFileSystem(FileSystem& base);
  // Also able to crash: `base` loses what was not synced.
  explicit FaultyFileSystem(InMemoryFileSystem& base);
  ~FaultyFileSystem() override;

  // The operation with this number fails; with `sticky`, so do all after it.
  void FailOperation(uint64_t number, Fault fault, bool sticky = false);
  // Operations whose description ("Sync /a/b", "Rename /a/b.tmp") makes
  // `matches` true fail, until cleared. Called under a lock: must not call back.
  void FailMatching(std::function<bool(absl::string_view)> matches, Fault fault);
  void ClearFaults();

  // Bytes that may still be appended or written through this wrapper before
  // writes fail as kDiskFull; freed space is not given back. Default: no bound.
  void SetQuota(uint64_t size_bytes);

  // From this operation on the machine is off: each fails with UNAVAILABLE
  // (STORAGE_FAILED), until Crash().
  void PowerOffAt(uint64_t number);
  // Needs an InMemoryFileSystem as base. Clears faults and power-off; the next
  // operation counts on.
  void Crash(InMemoryFileSystem::Unsynced unsynced);

  uint64_t operations() const;
  // Descriptions of all operations so far, for finding the number to fail.
  std::vector<std::string> Trace() const;

  absl::StatusOr<std::unique_ptr<WritableFile>> NewWritableFile(
      const std::string& path, const WritableFileOptions& options) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> NewRandomAccessFile(
      const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadWriteFile>> NewReadWriteFile(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenBeneath(const std::string& root,
                                                                absl::string_view name) override;
  absl::Status CreateDir(const std::string& path, uint32_t permissions = 0700) override;
  absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) override;
  absl::StatusOr<FileInfo> Stat(const std::string& path) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveAll(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status SyncDir(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeSpace(const std::string& path) override;

  // Counters and plans of faults; defined in the .cc.
  class Plan;

 private:
  FileSystem& base_;
  InMemoryFileSystem* const memory_;  // null unless the base can crash
  // Shared with open files, which may outlive this.
  std::shared_ptr<Plan> plan_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_FAULTY_FILE_SYSTEM_H_
