#include "coordinator/storage/rocks_file_system.h"

#include <cstdarg>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/errors.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/io_status.h"
#include "rocksdb/system_clock.h"

namespace cvtrain::coordinator {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus ToIoStatus(const absl::Status& status) {
  if (status.ok()) {
    return IOStatus::OK();
  }
  const std::string message(status.message());
  if (absl::IsNotFound(status)) {
    return IOStatus::PathNotFound(message);
  }
  if (ReasonOf(status) == Reason::kDiskFull) {
    return IOStatus::NoSpace(message);
  }
  return IOStatus::IOError(message);
}

class SequentialFile : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}

  IOStatus Read(size_t size, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    absl::StatusOr<size_t> count = file_->Read(offset_, absl::MakeSpan(scratch, size));
    if (!count.ok()) {
      return ToIoStatus(count.status());
    }
    offset_ += *count;
    *result = Slice(scratch, *count);
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t size) override {
    offset_ += size;
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<RandomAccessFile> file_;
  uint64_t offset_ = 0;
};

class ReadableFile : public rocksdb::FSRandomAccessFile {
 public:
  explicit ReadableFile(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}

  IOStatus Read(uint64_t offset, size_t size, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    absl::StatusOr<size_t> count = file_->Read(offset, absl::MakeSpan(scratch, size));
    if (!count.ok()) {
      return ToIoStatus(count.status());
    }
    *result = Slice(scratch, *count);
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<RandomAccessFile> file_;
};

class AppendedFile : public rocksdb::FSWritableFile {
 public:
  AppendedFile(std::unique_ptr<WritableFile> file, const FileOptions& options)
      : FSWritableFile(options), file_(std::move(file)) {}

  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    return ToIoStatus(file_->Append({data.data(), data.size()}));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return ToIoStatus(file_->Flush()); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return ToIoStatus(file_->Sync()); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return ToIoStatus(file_->Close()); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return file_->size(); }

 private:
  std::unique_ptr<WritableFile> file_;
};

class Directory : public rocksdb::FSDirectory {
 public:
  Directory(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToIoStatus(files_.SyncDir(path_));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  FileSystem& files_;
  const std::string path_;
};

class Lock : public rocksdb::FileLock {
 public:
  explicit Lock(std::unique_ptr<cvtrain::FileLock> lock) : lock_(std::move(lock)) {}

 private:
  std::unique_ptr<cvtrain::FileLock> lock_;
};

// RocksDB's own account of what it does, which no test reads.
class NoLogger : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
  size_t GetLogFileSize() const override { return 0; }
};

class RocksFileSystem : public rocksdb::FileSystem {
 public:
  explicit RocksFileSystem(cvtrain::FileSystem& files) : files_(files) {}

  const char* Name() const override { return "cvtrain"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    auto file = files_.NewRandomAccessFile(path);
    if (file.ok()) {
      *result = std::make_unique<SequentialFile>(*std::move(file));
    }
    return ToIoStatus(file.status());
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    auto file = files_.NewRandomAccessFile(path);
    if (file.ok()) {
      *result = std::make_unique<ReadableFile>(*std::move(file));
    }
    return ToIoStatus(file.status());
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    return Create(path, WritableFileOptions::Mode::kTruncate, options, result);
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result,
                              IODebugContext*) override {
    return Create(path, WritableFileOptions::Mode::kAppend, options, result);
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override {
    *result = std::make_unique<Directory>(files_, path);
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    const absl::Status status = files_.Stat(path).status();
    return absl::IsNotFound(status) ? IOStatus::NotFound() : ToIoStatus(status);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    auto names = files_.ListDir(path);
    if (names.ok()) {
      *result = *std::move(names);
    }
    return ToIoStatus(names.status());
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToIoStatus(files_.Remove(path));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToIoStatus(files_.CreateDir(path));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToIoStatus(files_.CreateDir(path));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return ToIoStatus(files_.Remove(path));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    auto info = files_.Stat(path);
    if (info.ok()) {
      *size = info->size_bytes;
    }
    return ToIoStatus(info.status());
  }
  IOStatus GetFileModificationTime(const std::string& path, const IOOptions&, uint64_t* time,
                                   IODebugContext*) override {
    auto info = files_.Stat(path);
    if (info.ok()) {
      *time = static_cast<uint64_t>(absl::ToUnixSeconds(info->modified));
    }
    return ToIoStatus(info.status());
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    return ToIoStatus(files_.Rename(from, to));
  }
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    auto held = files_.LockFile(path);
    if (held.ok()) {
      *lock = new Lock(*std::move(held));  // RocksDB owns it until UnlockFile()
    }
    return ToIoStatus(held.status());
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported("test directory");
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* result,
                       IODebugContext*) override {
    auto info = files_.Stat(path);
    *result = info.ok() && info->type == FileInfo::Type::kDirectory;
    return ToIoStatus(info.status());
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* result,
                     IODebugContext*) override {
    *result = std::make_shared<NoLogger>();
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result,
                           IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }

 private:
  IOStatus Create(const std::string& path, WritableFileOptions::Mode mode,
                  const FileOptions& options, std::unique_ptr<rocksdb::FSWritableFile>* result) {
    auto file = files_.NewWritableFile(path, {.mode = mode});
    if (file.ok()) {
      *result = std::make_unique<AppendedFile>(*std::move(file), options);
    }
    return ToIoStatus(file.status());
  }

  cvtrain::FileSystem& files_;
};

class SleeplessClock : public rocksdb::SystemClockWrapper {
 public:
  SleeplessClock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "cvtrain.sleepless"; }
  void SleepForMicroseconds(int) override {}
};

class SleeplessEnv : public rocksdb::EnvWrapper {
 public:
  explicit SleeplessEnv(const std::shared_ptr<rocksdb::FileSystem>& files)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;
    system_clock_ = std::make_shared<SleeplessClock>();
  }
  const char* Name() const override { return "cvtrain.sleepless"; }
  void SleepForMicroseconds(int) override {}
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewRocksTestEnv(const std::shared_ptr<rocksdb::FileSystem>& files) {
  return std::make_unique<SleeplessEnv>(files);
}

std::shared_ptr<rocksdb::FileSystem> NewRocksFileSystem(FileSystem& files) {
  return std::make_shared<RocksFileSystem>(files);
}

}  // namespace cvtrain::coordinator
