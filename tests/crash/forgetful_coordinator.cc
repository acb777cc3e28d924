// A coordinator with a planted bug: it answers before it writes. What it appends to the log of its
// database waits in its own memory, and a sync says OK at once; kill -9 takes that memory with it.
// HEAD is not written either, or the next start would refuse, and nothing would be compared.
// kill_coordinator --expect-loss must notice.
//
//   forgetful_coordinator --listen unix:/path --state-dir DIR

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "common/clock.h"
#include "common/flags.h"
#include "common/random.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "coordinator/service/server.h"
#include "tests/crash/lying_file_system.h"

namespace cvtrain::coordinator {
namespace {

// Keeps what is appended to logs of the database until it has 64 KiB, or the file is closed, and
// what is written to HEAD for good.
class ForgetfulFileSystem : public LyingFileSystem {
 public:
  explicit ForgetfulFileSystem(FileSystem& base)
      : LyingFileSystem(base, [](const std::string&) { return false; }) {}

  absl::StatusOr<std::unique_ptr<WritableFile>> NewWritableFile(
      const std::string& path, const WritableFileOptions& options) override {
    auto file = LyingFileSystem::NewWritableFile(path, options);
    if (!file.ok() || !absl::EndsWith(path, ".log")) {
      return file;
    }
    return std::make_unique<Delayed>(*std::move(file));
  }
  absl::StatusOr<std::unique_ptr<ReadWriteFile>> NewReadWriteFile(
      const std::string& path) override {
    auto file = LyingFileSystem::NewReadWriteFile(path);
    if (!file.ok() || BaseName(path) != "HEAD") {
      return file;
    }
    return std::make_unique<NeverWritten>(*std::move(file));
  }

 private:
  class Delayed : public WritableFile {
   public:
    explicit Delayed(std::unique_ptr<WritableFile> base) : base_(std::move(base)) {}
    absl::Status Append(absl::string_view data) override {
      waiting_.append(data.data(), data.size());
      return waiting_.size() < (64 << 10) ? absl::OkStatus() : Write();
    }
    absl::Status Flush() override { return absl::OkStatus(); }
    absl::Status Sync() override { return absl::OkStatus(); }
    absl::Status Close() override {
      absl::Status status = Write();
      status.Update(base_->Close());
      return status;
    }
    uint64_t size() const override { return base_->size() + waiting_.size(); }

   private:
    absl::Status Write() {
      absl::Status status = base_->Append(std::exchange(waiting_, ""));
      status.Update(base_->Flush());
      return status;
    }

    std::unique_ptr<WritableFile> base_;
    std::string waiting_;
  };

  // HEAD is read when it is opened, and only written after that.
  class NeverWritten : public ReadWriteFile {
   public:
    explicit NeverWritten(std::unique_ptr<ReadWriteFile> base) : base_(std::move(base)) {}
    absl::StatusOr<size_t> ReadAt(uint64_t offset, absl::Span<char> buffer) const override {
      return base_->ReadAt(offset, buffer);
    }
    absl::Status WriteAt(uint64_t, absl::string_view) override { return absl::OkStatus(); }
    absl::Status Allocate(uint64_t size_bytes) override { return base_->Allocate(size_bytes); }
    absl::Status Sync() override { return absl::OkStatus(); }
    absl::StatusOr<uint64_t> Size() const override { return base_->Size(); }
    absl::Status Close() override { return base_->Close(); }

   private:
    std::unique_ptr<ReadWriteFile> base_;
  };
};

absl::Status Run(const ServerOptions& options) {
  ForgetfulFileSystem files(PosixFileSystem());
  const auto server = Server::Start(options, files, RealClock(), SystemRandom(), NullTelemetry(),
                                    [](const absl::Status&) { std::_Exit(74); });
  if (!server.ok()) {
    return server.status();
  }
  WaitForStop({}, absl::InfiniteDuration());  // killed before
  return absl::OkStatus();
}

}  // namespace
}  // namespace cvtrain::coordinator

int main(int argc, char** argv) {
  cvtrain::coordinator::ServerOptions options;
  cvtrain::FlagSet flags("forgetful_coordinator --listen ADDRESS --state-dir DIR",
                         "A planted bug.");
  flags.String("listen", 0, &options.listen, "ADDRESS", "unix:/path");
  flags.String("state-dir", 0, &options.state_dir, "DIR", "state directory");
  absl::Status status = flags.Parse(argc, argv).status();
  if (status.ok()) {
    status = cvtrain::coordinator::Run(options);
  }
  std::cerr << status << "\n";
  return absl::IsDataLoss(status) ? 65 : 74;
}
