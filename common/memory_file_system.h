#ifndef CVTRAIN_COMMON_MEMORY_FILE_SYSTEM_H_
#define CVTRAIN_COMMON_MEMORY_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file_system.h"

namespace cvtrain {

// A FileSystem in memory, for tests and the simulation. "/" and "." exist and
// are the same directory; there are no links and no permissions.
//
// It remembers what a machine would still have after a power cut: contents as of
// each file's last Sync(), names as of each directory's last SyncDir().
// Thread-safe. Files that are open may outlive it.
class InMemoryFileSystem : public FileSystem {
 public:
  // What a crash does to bytes and names that were not synced.
  enum class Unsynced {
    kDrop,  // they are gone
    kKeep,  // they happened to reach the disk
    kTear,  // names reached the disk; of contents every second 512-byte sector did
  };

  // `clock` gives modification times and must outlive this.
  explicit InMemoryFileSystem(const Clock& clock = RealClock());
  ~InMemoryFileSystem() override;

  // The machine loses power and starts again: handles and locks opened before
  // fail with UNAVAILABLE (STORAGE_FAILED) or are released.
  void Crash(Unsynced unsynced);

  // All file contents together may take so many bytes; default: no bound.
  void SetQuota(uint64_t size_bytes);
  uint64_t used_bytes() const;

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

  // Inode tree; defined in the .cc.
  struct Disk;

 private:
  // Shared with open files, which may outlive the file system.
  std::shared_ptr<Disk> disk_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_MEMORY_FILE_SYSTEM_H_
