#include "common/memory_file_system.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

constexpr size_t kSectorSizeBytes = 512;
constexpr uint64_t kNoQuota = uint64_t{1} << 62;

struct Inode;
using Entries = std::map<std::string, std::shared_ptr<Inode>>;

// A file or a directory, as it is now and as the disk would show it after a crash.
// Shared by the names that it has now, those that it had at the last sync, and open
// files.
struct Inode {
  bool is_directory = false;
  absl::Time modified;
  // Of a file.
  std::string data;
  std::string synced_data;
  bool locked = false;
  // Of a directory.
  Entries entries;
  Entries synced_entries;
};

using InodePtr = std::shared_ptr<Inode>;

absl::Status NoSuchFile(absl::string_view doing, absl::string_view path) {
  return NotFound(Reason::kFileNotFound,
                  absl::StrCat(doing, " ", path, ": No such file or directory"));
}

absl::Status IsDirectory(absl::string_view doing, absl::string_view path) {
  return FailedPrecondition(Reason::kWrongState,
                            absl::StrCat(doing, " ", path, ": Is a directory"));
}

absl::Status ClosedFile(const std::string& path) {
  return FailedPrecondition(Reason::kWrongState, path + ": the file is closed");
}

std::vector<std::string> Split(absl::string_view path) {
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (!part.empty() && part != ".") parts.emplace_back(part);
  }
  return parts;
}

// Every second sector of what changed reached the disk.
std::string Tear(const std::string& synced, const std::string& data) {
  std::string torn = synced;
  torn.resize(data.size(), '\0');
  for (size_t at = 0; at < data.size(); at += 2 * kSectorSizeBytes) {
    const size_t size = std::min(kSectorSizeBytes, data.size() - at);
    torn.replace(at, size, data, at, size);
  }
  return torn;
}

void CrashTree(Inode& inode, InMemoryFileSystem::Unsynced unsynced) {
  using Unsynced = InMemoryFileSystem::Unsynced;
  inode.locked = false;
  if (!inode.is_directory) {
    if (unsynced == Unsynced::kDrop) inode.data = inode.synced_data;
    if (unsynced == Unsynced::kTear) inode.data = Tear(inode.synced_data, inode.data);
    inode.synced_data = inode.data;
    return;
  }
  if (unsynced == Unsynced::kDrop) inode.entries = inode.synced_entries;
  inode.synced_entries = inode.entries;
  for (auto& [name, child] : inode.entries) CrashTree(*child, unsynced);
}

uint64_t SizeOfTree(const Inode& inode) {
  uint64_t size = inode.data.size();
  for (const auto& [name, child] : inode.entries) size += SizeOfTree(*child);
  return size;
}

}  // namespace

struct InMemoryFileSystem::Disk {
  explicit Disk(const Clock& the_clock) : clock(the_clock) {
    root->is_directory = true;
    root->modified = clock.WallNow();
  }

  InodePtr Find(absl::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    InodePtr at = root;
    for (const std::string& part : Split(path)) {
      const auto next = at->entries.find(part);
      if (next == at->entries.end()) return nullptr;
      at = next->second;
    }
    return at;
  }

  // The directory that holds the last component of `path`, or null.
  InodePtr FindParent(absl::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    InodePtr parent = Find(DirName(path));
    return parent != nullptr && parent->is_directory ? parent : nullptr;
  }

  InodePtr NewInode(bool is_directory) const {
    auto inode = std::make_shared<Inode>();
    inode->is_directory = is_directory;
    inode->modified = clock.WallNow();
    return inode;
  }

  // Opens or creates a file.
  absl::StatusOr<InodePtr> OpenFile(const std::string& path, bool create, bool must_be_new)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (path.find('\0') != std::string::npos || BaseName(path).empty()) {
      return InvalidArgument(Reason::kFieldInvalid, "opening: not a file name");
    }
    InodePtr inode = Find(path);
    if (inode != nullptr && must_be_new) {
      return AlreadyExists(Reason::kFileExists, absl::StrCat("opening ", path, ": File exists"));
    }
    if (inode != nullptr && inode->is_directory) return IsDirectory("opening", path);
    if (inode != nullptr) return inode;
    const InodePtr parent = FindParent(path);
    if (!create || parent == nullptr) return NoSuchFile("opening", path);
    inode = NewInode(false);
    parent->entries[BaseName(path)] = inode;
    return inode;
  }

  // Sets bytes of a file within the quota.
  absl::Status Write(Inode& inode, const std::string& path, uint64_t offset, absl::string_view data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const uint64_t end = offset + data.size();
    CVT_RETURN_IF_ERROR(Grow(inode, path, end));
    inode.data.replace(static_cast<size_t>(offset), data.size(), data.data(), data.size());
    inode.modified = clock.WallNow();
    return absl::OkStatus();
  }

  absl::Status Grow(Inode& inode, const std::string& path, uint64_t size)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (size <= inode.data.size()) return absl::OkStatus();
    if (quota != kNoQuota && SizeOfTree(*root) + size - inode.data.size() > quota) {
      return ResourceExhausted(Reason::kDiskFull,
                               absl::StrCat("writing ", path, ": No space left on device"));
    }
    inode.data.resize(static_cast<size_t>(size), '\0');
    return absl::OkStatus();
  }

  const Clock& clock;

  mutable absl::Mutex mu;
  const InodePtr root ABSL_GUARDED_BY(mu) = std::make_shared<Inode>();
  uint64_t quota ABSL_GUARDED_BY(mu) = kNoQuota;
  int64_t boots ABSL_GUARDED_BY(mu) = 0;  // crashes so far; older handles are dead
};

namespace {

using Disk = InMemoryFileSystem::Disk;

// What all open files share.
class Handle {
 public:
  Handle(std::shared_ptr<Disk> disk, InodePtr inode, std::string path, int64_t boot)
      : disk_(std::move(disk)), inode_(std::move(inode)), path_(std::move(path)), boot_(boot) {}

  absl::Status Check() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_->mu) {
    if (closed_) return ClosedFile(path_);
    if (disk_->boots == boot_) return absl::OkStatus();
    return Unavailable(Reason::kStorageFailed,
                       absl::StrCat(path_, ": opened before the machine crashed"));
  }

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    if (offset >= inode_->data.size()) return 0;
    const size_t size = std::min(buffer.size(), inode_->data.size() - static_cast<size_t>(offset));
    std::memcpy(buffer.data(), inode_->data.data() + offset, size);
    return size;
  }

  absl::StatusOr<uint64_t> Size() const {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    return inode_->data.size();
  }

  absl::Status Write(uint64_t offset, absl::string_view data) {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    return disk_->Write(*inode_, path_, offset, data);
  }

  absl::Status Append(absl::string_view data) {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    return disk_->Write(*inode_, path_, inode_->data.size(), data);
  }

  absl::Status Resize(uint64_t size_bytes) {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    CVT_RETURN_IF_ERROR(disk_->Grow(*inode_, path_, size_bytes));
    inode_->data.resize(static_cast<size_t>(size_bytes));
    return absl::OkStatus();
  }

  absl::Status Usable() const {
    absl::MutexLock lock(&disk_->mu);
    return Check();
  }

  absl::Status Sync() {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    inode_->synced_data = inode_->data;
    return absl::OkStatus();
  }

  absl::Status Close() {
    absl::MutexLock lock(&disk_->mu);
    CVT_RETURN_IF_ERROR(Check());
    closed_ = true;
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const InodePtr inode_;
  const std::string path_;
  const int64_t boot_;
  bool closed_ = false;
};

class MemoryWritableFile : public WritableFile {
 public:
  MemoryWritableFile(Handle handle, uint64_t size) : handle_(std::move(handle)), size_(size) {}

  absl::Status Append(absl::string_view data) override {
    CVT_RETURN_IF_ERROR(handle_.Append(data));
    size_ += data.size();
    return absl::OkStatus();
  }
  absl::Status Flush() override { return handle_.Usable(); }
  absl::Status Sync() override { return handle_.Sync(); }
  absl::Status Close() override { return handle_.Close(); }
  uint64_t size() const override { return size_; }

 private:
  Handle handle_;
  uint64_t size_;
};

class MemoryRandomAccessFile : public RandomAccessFile {
 public:
  explicit MemoryRandomAccessFile(Handle handle) : handle_(std::move(handle)) {}
  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const override {
    return handle_.Read(offset, buffer);
  }
  absl::StatusOr<uint64_t> Size() const override { return handle_.Size(); }

 private:
  Handle handle_;
};

class MemoryReadWriteFile : public ReadWriteFile {
 public:
  explicit MemoryReadWriteFile(Handle handle) : handle_(std::move(handle)) {}
  absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const override {
    return handle_.Read(offset, buffer);
  }
  absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
    return handle_.Write(offset, data);
  }
  absl::Status Allocate(uint64_t size_bytes) override { return handle_.Resize(size_bytes); }
  absl::Status Sync() override { return handle_.Sync(); }
  absl::StatusOr<uint64_t> Size() const override { return handle_.Size(); }
  absl::Status Close() override { return handle_.Close(); }

 private:
  Handle handle_;
};

class MemoryFileLock : public FileLock {
 public:
  MemoryFileLock(std::shared_ptr<Disk> disk, InodePtr inode, int64_t boot)
      : disk_(std::move(disk)), inode_(std::move(inode)), boot_(boot) {}
  ~MemoryFileLock() override {
    absl::MutexLock lock(&disk_->mu);
    if (disk_->boots == boot_) inode_->locked = false;
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const InodePtr inode_;
  const int64_t boot_;
};

}  // namespace

InMemoryFileSystem::InMemoryFileSystem(const Clock& clock) : disk_(std::make_shared<Disk>(clock)) {}
InMemoryFileSystem::~InMemoryFileSystem() = default;

void InMemoryFileSystem::Crash(Unsynced unsynced) {
  absl::MutexLock lock(&disk_->mu);
  ++disk_->boots;
  CrashTree(*disk_->root, unsynced);
}

void InMemoryFileSystem::SetQuota(uint64_t size_bytes) {
  absl::MutexLock lock(&disk_->mu);
  disk_->quota = size_bytes;
}

uint64_t InMemoryFileSystem::used_bytes() const {
  absl::MutexLock lock(&disk_->mu);
  return SizeOfTree(*disk_->root);
}

absl::StatusOr<std::unique_ptr<WritableFile>> InMemoryFileSystem::NewWritableFile(
    const std::string& path, const WritableFileOptions& options) {
  using Mode = WritableFileOptions::Mode;
  absl::MutexLock lock(&disk_->mu);
  CVT_ASSIGN_OR_RETURN(const InodePtr inode,
                       disk_->OpenFile(path, true, options.mode == Mode::kCreateNew));
  if (options.mode == Mode::kTruncate) inode->data.clear();
  const uint64_t size = inode->data.size();
  if (options.preallocate_bytes > size) {
    // Nothing stays reserved, but what cannot fit is refused now.
    CVT_RETURN_IF_ERROR(disk_->Grow(*inode, path, options.preallocate_bytes));
    inode->data.resize(static_cast<size_t>(size));
  }
  return std::make_unique<MemoryWritableFile>(Handle(disk_, inode, path, disk_->boots), size);
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> InMemoryFileSystem::NewRandomAccessFile(
    const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  CVT_ASSIGN_OR_RETURN(const InodePtr inode, disk_->OpenFile(path, false, false));
  return std::make_unique<MemoryRandomAccessFile>(Handle(disk_, inode, path, disk_->boots));
}

absl::StatusOr<std::unique_ptr<ReadWriteFile>> InMemoryFileSystem::NewReadWriteFile(
    const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  CVT_ASSIGN_OR_RETURN(const InodePtr inode, disk_->OpenFile(path, true, false));
  return std::make_unique<MemoryReadWriteFile>(Handle(disk_, inode, path, disk_->boots));
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> InMemoryFileSystem::OpenBeneath(
    const std::string& root, absl::string_view name) {
  CVT_RETURN_IF_ERROR(ValidateNameBeneath(name));
  return NewRandomAccessFile(JoinPath(root, name));
}

absl::Status InMemoryFileSystem::CreateDir(const std::string& path, uint32_t) {
  absl::MutexLock lock(&disk_->mu);
  InodePtr at = disk_->root;
  for (const std::string& part : Split(path)) {
    InodePtr& next = at->entries[part];
    if (next == nullptr) next = disk_->NewInode(true);
    if (!next->is_directory) {
      return AlreadyExists(Reason::kFileExists,
                           absl::StrCat("creating directory ", path, ": File exists"));
    }
    at = next;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> InMemoryFileSystem::ListDir(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr inode = disk_->Find(path);
  if (inode == nullptr || !inode->is_directory) return NoSuchFile("listing", path);
  std::vector<std::string> names;
  for (const auto& [name, child] : inode->entries) names.push_back(name);
  return names;
}

absl::StatusOr<FileInfo> InMemoryFileSystem::Stat(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr inode = disk_->Find(path);
  if (inode == nullptr) return NoSuchFile("looking at", path);
  FileInfo info;
  info.type = inode->is_directory ? FileInfo::Type::kDirectory : FileInfo::Type::kFile;
  info.size_bytes = inode->data.size();
  info.modified = inode->modified;
  return info;
}

absl::Status InMemoryFileSystem::Remove(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr inode = disk_->Find(path);
  const InodePtr parent = disk_->FindParent(path);
  if (inode == nullptr || parent == nullptr) return NoSuchFile("removing", path);
  if (!inode->entries.empty()) {
    return FailedPrecondition(Reason::kWrongState,
                              absl::StrCat("removing ", path, ": Directory not empty"));
  }
  parent->entries.erase(BaseName(path));
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::RemoveAll(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr parent = disk_->FindParent(path);
  if (parent != nullptr) parent->entries.erase(BaseName(path));
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr inode = disk_->Find(from);
  const InodePtr from_parent = disk_->FindParent(from);
  const InodePtr to_parent = disk_->FindParent(to);
  if (inode == nullptr || from_parent == nullptr || to_parent == nullptr) {
    return NoSuchFile(absl::StrCat("renaming ", from, " to"), to);
  }
  const InodePtr target = disk_->Find(to);
  if (target != nullptr && target != inode &&
      (target->is_directory != inode->is_directory || !target->entries.empty())) {
    return FailedPrecondition(Reason::kWrongState, absl::StrCat("renaming ", from, " to ", to,
                                                                ": a directory is in the way"));
  }
  from_parent->entries.erase(BaseName(from));
  to_parent->entries[BaseName(to)] = inode;
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::SyncDir(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  const InodePtr inode = disk_->Find(path);
  if (inode == nullptr || !inode->is_directory) return NoSuchFile("syncing directory", path);
  inode->synced_entries = inode->entries;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> InMemoryFileSystem::LockFile(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  CVT_ASSIGN_OR_RETURN(const InodePtr inode, disk_->OpenFile(path, true, false));
  if (inode->locked) {
    return FailedPrecondition(Reason::kStateDirBusy,
                              absl::StrCat(path, ": locked by process ", ::getpid(),
                                           "; stop it, or use another directory"));
  }
  inode->locked = true;
  inode->data = absl::StrCat(::getpid(), "\n");
  return std::make_unique<MemoryFileLock>(disk_, inode, disk_->boots);
}

absl::StatusOr<uint64_t> InMemoryFileSystem::FreeSpace(const std::string& path) {
  absl::MutexLock lock(&disk_->mu);
  if (disk_->Find(path) == nullptr) return NoSuchFile("measuring", path);
  const uint64_t used = SizeOfTree(*disk_->root);
  return used < disk_->quota ? disk_->quota - used : 0;
}

}  // namespace cvtrain
