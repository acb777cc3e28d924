#include "common/faulty_file_system.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};

absl::Status DeviceError(absl::string_view operation) {
  return Unavailable(Reason::kStorageFailed, absl::StrCat(operation, ": Input/output error"));
}

absl::Status DiskFull(absl::string_view operation) {
  return ResourceExhausted(Reason::kDiskFull, absl::StrCat(operation, ": No space left on device"));
}

}  // namespace

class FaultyFileSystem::Plan {
 public:
  // What one operation is to do: nothing and fail, half or all and fail, or all.
  struct Verdict {
    std::optional<Fault> fault;
    bool power_off = false;
  };

  Verdict Next(const std::string& operation, uint64_t write_bytes) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    trace_.push_back(operation);
    const uint64_t number = trace_.size();
    if (number >= power_off_at_) return {.fault = Fault::kDeviceError, .power_off = true};
    if (number == fail_at_ || (sticky_ && number > fail_at_)) return {.fault = fault_};
    if (matches_ && matches_(operation)) return {.fault = match_fault_};
    if (write_bytes > quota_) return {.fault = Fault::kDiskFull};
    if (quota_ != kNever) quota_ -= write_bytes;
    return {};
  }

  // Runs one operation, or what its fault leaves of it. `half` is what a short write does.
  template <typename Result, typename Whole, typename Half>
  Result Run(const std::string& operation, uint64_t write_bytes, Whole whole, Half half) {
    const Verdict verdict = Next(operation, write_bytes);
    if (!verdict.fault.has_value()) return whole();
    switch (*verdict.fault) {
      case Fault::kDeviceError:
        return DeviceError(operation);
      case Fault::kDiskFull:
        return DiskFull(operation);
      case Fault::kShortWrite:
        half();
        return DeviceError(operation);
      case Fault::kErrorAfter: {
        Result done = whole();
        if (!done.ok()) return done;
        return DeviceError(operation);
      }
    }
    return DeviceError(operation);
  }

  template <typename Result, typename Whole>
  Result Run(const std::string& operation, Whole whole) {
    return Run<Result>(operation, 0, std::move(whole), [] {});
  }

  void FailOperation(uint64_t number, Fault fault, bool sticky) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    fail_at_ = number;
    fault_ = fault;
    sticky_ = sticky;
  }
  void FailMatching(std::function<bool(absl::string_view)> matches, Fault fault)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    matches_ = std::move(matches);
    match_fault_ = fault;
  }
  void Clear() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    fail_at_ = kNever;
    sticky_ = false;
    matches_ = nullptr;
    power_off_at_ = kNever;
  }
  void SetQuota(uint64_t size_bytes) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    quota_ = size_bytes;
  }
  void PowerOffAt(uint64_t number) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    power_off_at_ = number;
  }
  std::vector<std::string> Trace() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return trace_;
  }

 private:
  mutable absl::Mutex mu_;
  std::vector<std::string> trace_ ABSL_GUARDED_BY(mu_);
  uint64_t fail_at_ ABSL_GUARDED_BY(mu_) = kNever;
  Fault fault_ ABSL_GUARDED_BY(mu_) = Fault::kDeviceError;
  bool sticky_ ABSL_GUARDED_BY(mu_) = false;
  std::function<bool(absl::string_view)> matches_ ABSL_GUARDED_BY(mu_);
  Fault match_fault_ ABSL_GUARDED_BY(mu_) = Fault::kDeviceError;
  uint64_t quota_ ABSL_GUARDED_BY(mu_) = kNever;
  uint64_t power_off_at_ ABSL_GUARDED_BY(mu_) = kNever;
};

namespace {

using Plan = FaultyFileSystem::Plan;

class FaultyWritableFile : public WritableFile {
 public:
  FaultyWritableFile(std::unique_ptr<WritableFile> base, std::string path,
                     std::shared_ptr<Plan> plan)
      : base_(std::move(base)), path_(std::move(path)), plan_(std::move(plan)) {}

  absl::Status Append(absl::string_view data) override {
    return plan_->Run<absl::Status>(
        "Append " + path_, data.size(), [&] { return base_->Append(data); },
        [&] {
          base_->Append(data.substr(0, data.size() / 2)).IgnoreError();  // fails anyway
        });
  }
  absl::Status Flush() override {
    return plan_->Run<absl::Status>("Flush " + path_, [&] { return base_->Flush(); });
  }
  absl::Status Sync() override {
    return plan_->Run<absl::Status>("Sync " + path_, [&] { return base_->Sync(); });
  }
  absl::Status Close() override {
    return plan_->Run<absl::Status>("Close " + path_, [&] { return base_->Close(); });
  }
  uint64_t size() const override { return base_->size(); }

 private:
  const std::unique_ptr<WritableFile> base_;
  const std::string path_;
  const std::shared_ptr<Plan> plan_;
};

class FaultyRandomAccessFile : public RandomAccessFile {
 public:
  FaultyRandomAccessFile(std::unique_ptr<RandomAccessFile> base, std::string path,
                         std::shared_ptr<Plan> plan)
      : base_(std::move(base)), path_(std::move(path)), plan_(std::move(plan)) {}

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const override {
    return plan_->Run<absl::StatusOr<size_t>>("Read " + path_,
                                              [&] { return base_->Read(offset, buffer); });
  }
  absl::StatusOr<uint64_t> Size() const override {
    return plan_->Run<absl::StatusOr<uint64_t>>("Size " + path_, [&] { return base_->Size(); });
  }
  int descriptor() const override { return base_->descriptor(); }

 private:
  const std::unique_ptr<RandomAccessFile> base_;
  const std::string path_;
  const std::shared_ptr<Plan> plan_;
};

class FaultyReadWriteFile : public ReadWriteFile {
 public:
  FaultyReadWriteFile(std::unique_ptr<ReadWriteFile> base, std::string path,
                      std::shared_ptr<Plan> plan)
      : base_(std::move(base)), path_(std::move(path)), plan_(std::move(plan)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const override {
    return plan_->Run<absl::StatusOr<size_t>>("ReadAt " + path_,
                                              [&] { return base_->ReadAt(offset, buffer); });
  }
  absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
    return plan_->Run<absl::Status>(
        "WriteAt " + path_, data.size(), [&] { return base_->WriteAt(offset, data); },
        [&] {
          base_->WriteAt(offset, data.substr(0, data.size() / 2)).IgnoreError();  // fails anyway
        });
  }
  absl::Status Allocate(uint64_t size_bytes) override {
    return plan_->Run<absl::Status>("Allocate " + path_,
                                    [&] { return base_->Allocate(size_bytes); });
  }
  absl::Status Sync() override {
    return plan_->Run<absl::Status>("Sync " + path_, [&] { return base_->Sync(); });
  }
  absl::StatusOr<uint64_t> Size() const override {
    return plan_->Run<absl::StatusOr<uint64_t>>("Size " + path_, [&] { return base_->Size(); });
  }
  absl::Status Close() override {
    return plan_->Run<absl::Status>("Close " + path_, [&] { return base_->Close(); });
  }

 private:
  const std::unique_ptr<ReadWriteFile> base_;
  const std::string path_;
  const std::shared_ptr<Plan> plan_;
};

}  // namespace

FaultyFileSystem::FaultyFileSystem(FileSystem& base)
    : base_(base), memory_(nullptr), plan_(std::make_shared<Plan>()) {}
FaultyFileSystem::FaultyFileSystem(InMemoryFileSystem& base)
    : base_(base), memory_(&base), plan_(std::make_shared<Plan>()) {}
FaultyFileSystem::~FaultyFileSystem() = default;

void FaultyFileSystem::FailOperation(uint64_t number, Fault fault, bool sticky) {
  plan_->FailOperation(number, fault, sticky);
}
void FaultyFileSystem::FailMatching(std::function<bool(absl::string_view)> matches, Fault fault) {
  plan_->FailMatching(std::move(matches), fault);
}
void FaultyFileSystem::ClearFaults() { plan_->Clear(); }
void FaultyFileSystem::SetQuota(uint64_t size_bytes) { plan_->SetQuota(size_bytes); }
void FaultyFileSystem::PowerOffAt(uint64_t number) { plan_->PowerOffAt(number); }

void FaultyFileSystem::Crash(InMemoryFileSystem::Unsynced unsynced) {
  CVT_CHECK(memory_ != nullptr) << "only an InMemoryFileSystem can crash";
  plan_->Clear();
  memory_->Crash(unsynced);
}

uint64_t FaultyFileSystem::operations() const { return plan_->Trace().size(); }
std::vector<std::string> FaultyFileSystem::Trace() const { return plan_->Trace(); }

absl::StatusOr<std::unique_ptr<WritableFile>> FaultyFileSystem::NewWritableFile(
    const std::string& path, const WritableFileOptions& options) {
  using Result = absl::StatusOr<std::unique_ptr<WritableFile>>;
  return plan_->Run<Result>("NewWritableFile " + path, [&]() -> Result {
    CVT_ASSIGN_OR_RETURN(auto file, base_.NewWritableFile(path, options));
    return std::make_unique<FaultyWritableFile>(std::move(file), path, plan_);
  });
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> FaultyFileSystem::NewRandomAccessFile(
    const std::string& path) {
  using Result = absl::StatusOr<std::unique_ptr<RandomAccessFile>>;
  return plan_->Run<Result>("NewRandomAccessFile " + path, [&]() -> Result {
    CVT_ASSIGN_OR_RETURN(auto file, base_.NewRandomAccessFile(path));
    return std::make_unique<FaultyRandomAccessFile>(std::move(file), path, plan_);
  });
}

absl::StatusOr<std::unique_ptr<ReadWriteFile>> FaultyFileSystem::NewReadWriteFile(
    const std::string& path) {
  using Result = absl::StatusOr<std::unique_ptr<ReadWriteFile>>;
  return plan_->Run<Result>("NewReadWriteFile " + path, [&]() -> Result {
    CVT_ASSIGN_OR_RETURN(auto file, base_.NewReadWriteFile(path));
    return std::make_unique<FaultyReadWriteFile>(std::move(file), path, plan_);
  });
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> FaultyFileSystem::OpenBeneath(
    const std::string& root, absl::string_view name) {
  using Result = absl::StatusOr<std::unique_ptr<RandomAccessFile>>;
  const std::string path = JoinPath(root, name);
  return plan_->Run<Result>("OpenBeneath " + path, [&]() -> Result {
    CVT_ASSIGN_OR_RETURN(auto file, base_.OpenBeneath(root, name));
    return std::make_unique<FaultyRandomAccessFile>(std::move(file), path, plan_);
  });
}

absl::Status FaultyFileSystem::CreateDir(const std::string& path, uint32_t permissions) {
  return plan_->Run<absl::Status>("CreateDir " + path,
                                  [&] { return base_.CreateDir(path, permissions); });
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::ListDir(const std::string& path) {
  return plan_->Run<absl::StatusOr<std::vector<std::string>>>("ListDir " + path,
                                                              [&] { return base_.ListDir(path); });
}

absl::StatusOr<FileInfo> FaultyFileSystem::Stat(const std::string& path) {
  return plan_->Run<absl::StatusOr<FileInfo>>("Stat " + path, [&] { return base_.Stat(path); });
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  return plan_->Run<absl::Status>("Remove " + path, [&] { return base_.Remove(path); });
}

absl::Status FaultyFileSystem::RemoveAll(const std::string& path) {
  return plan_->Run<absl::Status>("RemoveAll " + path, [&] { return base_.RemoveAll(path); });
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  return plan_->Run<absl::Status>(absl::StrCat("Rename ", from, " ", to),
                                  [&] { return base_.Rename(from, to); });
}

absl::Status FaultyFileSystem::SyncDir(const std::string& path) {
  return plan_->Run<absl::Status>("SyncDir " + path, [&] { return base_.SyncDir(path); });
}

absl::StatusOr<std::unique_ptr<FileLock>> FaultyFileSystem::LockFile(const std::string& path) {
  return plan_->Run<absl::StatusOr<std::unique_ptr<FileLock>>>(
      "LockFile " + path, [&] { return base_.LockFile(path); });
}

absl::StatusOr<uint64_t> FaultyFileSystem::FreeSpace(const std::string& path) {
  return plan_->Run<absl::StatusOr<uint64_t>>("FreeSpace " + path,
                                              [&] { return base_.FreeSpace(path); });
}

}  // namespace cvtrain
