#ifndef CVTRAIN_COMMON_FILE_SYSTEM_H_
#define CVTRAIN_COMMON_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/unique_fd.h"

namespace cvtrain {

// Errors of all file operations, with the path in the message:
//   NOT_FOUND (FILE_NOT_FOUND)            the file or a parent does not exist
//   ALREADY_EXISTS (FILE_EXISTS)          an exclusive creation found something
//   PERMISSION_DENIED (FILE_FORBIDDEN)    not allowed, a read-only file system,
//                                         a link or an escape in *Beneath()
//   INVALID_ARGUMENT (FIELD_INVALID)      not a possible path or range
//   FAILED_PRECONDITION (WRONG_STATE)     a directory where a file is needed,
//                                         not empty, file already closed
//   FAILED_PRECONDITION (STATE_DIR_BUSY)  the lock is held, by which process
//   RESOURCE_EXHAUSTED (DISK_FULL)        no space or quota left
//   RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)   no file descriptors left
//   UNAVAILABLE (STORAGE_FAILED)          the device failed; what a failed write
//                                         or sync left behind is unknown

// A file that is written from front to back. Thread-compatible.
//
// A failed operation leaves the outcome unknown: remove the file and start
// again. The destructor closes without syncing and drops errors.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  virtual absl::Status Append(absl::string_view data) = 0;
  // Hands buffered bytes to the system; they survive a crash of the process.
  virtual absl::Status Flush() = 0;
  // Makes content and size survive a crash of the machine. The name needs
  // FileSystem::SyncDir() of the parent too.
  virtual absl::Status Sync() = 0;
  // Flushes and closes; does not sync. Later operations fail. Cuts what was
  // preallocated but not written.
  virtual absl::Status Close() = 0;
  // Bytes appended so far, including what the file held when opened.
  virtual uint64_t size() const = 0;
  // The descriptor, for a child process that writes here; -1 if there is none. Owned by the file.
  virtual int descriptor() const { return -1; }
};

// A file that is read at any place. Thread-safe.
class RandomAccessFile {
 public:
  virtual ~RandomAccessFile() = default;

  // Fills `buffer` from `offset` and returns the number of bytes read, which is
  // smaller than the buffer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
  // The descriptor, to hand to another process; -1 if there is none. Owned by
  // this object.
  virtual int descriptor() const { return -1; }
};

// A file that is changed in place: fixed slots, sparse downloads.
// Thread-compatible.
class ReadWriteFile {
 public:
  virtual ~ReadWriteFile() = default;

  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const = 0;
  // Writes all of `data`; grows the file if needed. Not atomic: a crash may
  // leave any 512-byte sector of it old or new.
  virtual absl::Status WriteAt(uint64_t offset, absl::string_view data) = 0;
  // Sets the size; new bytes are zero and have disk blocks of their own, so a
  // later WriteAt() inside cannot run out of space.
  virtual absl::Status Allocate(uint64_t size_bytes) = 0;
  virtual absl::Status Sync() = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
  virtual absl::Status Close() = 0;
};

// An advisory lock on a file, released by the destructor or the death of the
// process. Two locks conflict also within one process.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct FileInfo {
  enum class Type { kFile, kDirectory, kSymlink, kOther };
  Type type = Type::kFile;
  uint64_t size_bytes = 0;
  absl::Time modified;
};

struct WritableFileOptions {
  enum class Mode {
    kTruncate,   // create, or empty what is there
    kCreateNew,  // ALREADY_EXISTS if something is there
    kAppend,     // create, or continue at the end
  };
  Mode mode = Mode::kTruncate;
  // Permission bits of a new file, before the umask.
  uint32_t permissions = 0644;
  // Write past the page cache where the file system can, for large files that
  // are not read again soon: keeps the disk's own speed and others' cached data.
  bool direct_io = false;
  // Reserve so many bytes ahead; a failure is DISK_FULL now and not later.
  uint64_t preallocate_bytes = 0;
};

// The files of one machine. All paths are absolute or relative to the working
// directory and made by us; names that came from outside go only through
// OpenBeneath(). Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<WritableFile>> NewWritableFile(
      const std::string& path, const WritableFileOptions& options) = 0;
  virtual absl::StatusOr<std::unique_ptr<RandomAccessFile>> NewRandomAccessFile(
      const std::string& path) = 0;
  // Opens for reading and writing, creating an empty file if there is none.
  virtual absl::StatusOr<std::unique_ptr<ReadWriteFile>> NewReadWriteFile(
      const std::string& path) = 0;
  // Opens `name`, relative to the directory `root`, for reading, and never
  // anything else: absolute names, "..", symbolic links at any place and names
  // with NUL or empty components are PERMISSION_DENIED or INVALID_ARGUMENT.
  virtual absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenBeneath(const std::string& root,
                                                                        absl::string_view name) = 0;

  // Creates a directory and its missing parents, with permissions 0700 for the
  // ones it makes unless told otherwise; existing ones are left as they are.
  virtual absl::Status CreateDir(const std::string& path, uint32_t permissions = 0700) = 0;
  // Names in the directory, sorted, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) = 0;
  // Does not follow a symbolic link at the end of the path.
  virtual absl::StatusOr<FileInfo> Stat(const std::string& path) = 0;
  // Removes a file, a symbolic link or an empty directory.
  virtual absl::Status Remove(const std::string& path) = 0;
  // Removes a tree, without following links. OK if nothing was there.
  virtual absl::Status RemoveAll(const std::string& path) = 0;
  // Replaces `to` if it exists; atomic for others. Survives a crash of the
  // machine only after SyncDir() of the parent.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Makes created, renamed and removed names of this directory survive a crash.
  virtual absl::Status SyncDir(const std::string& path) = 0;
  // Creates the file if needed, locks it and writes our process id into it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path) = 0;
  // Bytes that we may still write to the file system that holds `path`.
  virtual absl::StatusOr<uint64_t> FreeSpace(const std::string& path) = 0;
};

// The machine's files. Lives as long as the process.
FileSystem& PosixFileSystem();

// Reads through a descriptor that another process handed over. `label` stands
// for the path in messages.
std::unique_ptr<RandomAccessFile> RandomAccessFileFromDescriptor(UniqueFd fd, std::string label);

// The whole file. LIMIT_EXCEEDED if it is larger than `size_bytes_max`.
absl::StatusOr<std::string> ReadFile(FileSystem& files, const std::string& path,
                                     uint64_t size_bytes_max = uint64_t{1} << 30);

// Replaces `path` by `data`: after a crash at any moment the file is the old one
// or the new one, and after OK it is the new one. Writes `path` + ".tmp", syncs
// it, renames it, syncs the directory. A crash may leave the temporary, which
// the next call overwrites; two writers of one path must not run at once.
absl::Status WriteFileAtomic(FileSystem& files, const std::string& path, absl::string_view data,
                             uint32_t permissions = 0644);

// The same for content that is made piece by piece: `fill` appends it, and its error
// leaves the old file.
absl::Status WriteFileAtomic(FileSystem& files, const std::string& path,
                             const std::function<absl::Status(WritableFile&)>& fill,
                             uint32_t permissions = 0644);

// True if something (of any type) is there; errors other than NOT_FOUND are returned.
absl::StatusOr<bool> Exists(FileSystem& files, const std::string& path);

// "a/b" + "c" = "a/b/c"; no other normalization.
std::string JoinPath(absl::string_view directory, absl::string_view name);
// "a/b/c" -> "a/b"; "c" -> "."; "/c" -> "/".
std::string DirName(absl::string_view path);
std::string BaseName(absl::string_view path);

// What OpenBeneath() checks before it asks the system: for implementations of it.
absl::Status ValidateNameBeneath(absl::string_view name);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_FILE_SYSTEM_H_
