#ifndef CVTRAIN_TESTS_CRASH_LYING_FILE_SYSTEM_H_
#define CVTRAIN_TESTS_CRASH_LYING_FILE_SYSTEM_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/file_system.h"

namespace cvtrain {

// A file system that says OK to some syncs without doing them: a program that forgot them. It is
// how the crash tests prove that they would notice. Thread-safe. Open files must not outlive it.
class LyingFileSystem : public FileSystem {
 public:
  // Called with "Sync PATH" or "SyncDir PATH"; true: do not do it.
  using Forget = std::function<bool(const std::string& operation)>;

  // `base` must outlive this.
  LyingFileSystem(FileSystem& base, Forget forget) : base_(base), forget_(std::move(forget)) {}

  absl::StatusOr<std::unique_ptr<WritableFile>> NewWritableFile(
      const std::string& path, const WritableFileOptions& options) override {
    auto file = base_.NewWritableFile(path, options);
    if (!file.ok()) {
      return file.status();
    }
    return std::make_unique<Written>(*std::move(file), *this, path);
  }
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> NewRandomAccessFile(
      const std::string& path) override {
    return base_.NewRandomAccessFile(path);
  }
  absl::StatusOr<std::unique_ptr<ReadWriteFile>> NewReadWriteFile(
      const std::string& path) override {
    auto file = base_.NewReadWriteFile(path);
    if (!file.ok()) {
      return file.status();
    }
    return std::make_unique<Overwritten>(*std::move(file), *this, path);
  }
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> OpenBeneath(const std::string& root,
                                                                absl::string_view name) override {
    return base_.OpenBeneath(root, name);
  }
  absl::Status CreateDir(const std::string& path, uint32_t permissions) override {
    return base_.CreateDir(path, permissions);
  }
  absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) override {
    return base_.ListDir(path);
  }
  absl::StatusOr<FileInfo> Stat(const std::string& path) override { return base_.Stat(path); }
  absl::Status Remove(const std::string& path) override { return base_.Remove(path); }
  absl::Status RemoveAll(const std::string& path) override { return base_.RemoveAll(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return base_.Rename(from, to);
  }
  absl::Status SyncDir(const std::string& path) override {
    return forget_(absl::StrCat("SyncDir ", path)) ? absl::OkStatus() : base_.SyncDir(path);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path) override {
    return base_.LockFile(path);
  }
  absl::StatusOr<uint64_t> FreeSpace(const std::string& path) override {
    return base_.FreeSpace(path);
  }

 private:
  class Written : public WritableFile {
   public:
    Written(std::unique_ptr<WritableFile> base, LyingFileSystem& files, std::string path)
        : base_(std::move(base)), files_(files), path_(std::move(path)) {}
    absl::Status Append(absl::string_view data) override { return base_->Append(data); }
    absl::Status Flush() override { return base_->Flush(); }
    absl::Status Sync() override { return files_.SyncFile(path_, *base_); }
    absl::Status Close() override { return base_->Close(); }
    uint64_t size() const override { return base_->size(); }

   private:
    std::unique_ptr<WritableFile> base_;
    LyingFileSystem& files_;
    const std::string path_;
  };

  class Overwritten : public ReadWriteFile {
   public:
    Overwritten(std::unique_ptr<ReadWriteFile> base, LyingFileSystem& files, std::string path)
        : base_(std::move(base)), files_(files), path_(std::move(path)) {}
    absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const override {
      return base_->ReadAt(offset, buffer);
    }
    absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
      return base_->WriteAt(offset, data);
    }
    absl::Status Allocate(uint64_t size_bytes) override { return base_->Allocate(size_bytes); }
    absl::Status Sync() override { return files_.SyncFile(path_, *base_); }
    absl::StatusOr<uint64_t> Size() const override { return base_->Size(); }
    absl::Status Close() override { return base_->Close(); }

   private:
    std::unique_ptr<ReadWriteFile> base_;
    LyingFileSystem& files_;
    const std::string path_;
  };

  template <typename File>
  absl::Status SyncFile(const std::string& path, File& file) {
    return forget_(absl::StrCat("Sync ", path)) ? absl::OkStatus() : file.Sync();
  }

  FileSystem& base_;
  const Forget forget_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_TESTS_CRASH_LYING_FILE_SYSTEM_H_
