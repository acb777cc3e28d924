#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_STORAGE_STORAGE_DISK_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_STORAGE_STORAGE_DISK_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/random.h"
#include "coordinator/storage/database.h"
#include "tests/support/fake_clock.h"

namespace cvtrain::coordinator {

// A disk in memory that can fail and lose power, and a database on it.
class StorageDisk {
 public:
  static constexpr char kDirectory[] = "/state";

  StorageDisk() {
    options_.directory = kDirectory;
    options_.cache_bytes = 1 << 20;
    options_.metrics_buffer_bytes = 1 << 20;
  }

  absl::Status Open() {
    database_.reset();
    absl::StatusOr<std::unique_ptr<Database>> database =
        Database::Open(options_, faulty_, clock_, random_);
    if (database.ok()) {
      database_ = *std::move(database);
    }
    return database.status();
  }
  void Close() { database_.reset(); }
  // The machine loses power: closes nothing in order, keeps what `unsynced` says.
  void Crash(InMemoryFileSystem::Unsynced unsynced = InMemoryFileSystem::Unsynced::kDrop) {
    faulty_.PowerOffAt(faulty_.operations() + 1);
    database_.reset();
    faulty_.Crash(unsynced);
  }

  Database& database() { return *database_; }
  DatabaseOptions& options() { return options_; }
  InMemoryFileSystem& files() { return files_; }
  FaultyFileSystem& faulty() { return faulty_; }
  testing::FakeClock& clock() { return clock_; }

  // Turns one bit of a file.
  absl::Status FlipBit(const std::string& path, uint64_t offset, int bit = 0) {
    auto file = files_.NewReadWriteFile(path);
    if (!file.ok()) {
      return file.status();
    }
    char byte = 0;
    auto count = (*file)->ReadAt(offset, absl::MakeSpan(&byte, 1));
    if (!count.ok()) {
      return count.status();
    }
    byte = static_cast<char>(byte ^ (1 << bit));
    absl::Status status = (*file)->WriteAt(offset, absl::string_view(&byte, 1));
    status.Update((*file)->Sync());
    return status;
  }

 private:
  testing::FakeClock clock_;
  SeededRandom random_{7};
  InMemoryFileSystem files_{clock_};
  FaultyFileSystem faulty_{files_};
  DatabaseOptions options_;
  std::unique_ptr<Database> database_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_STORAGE_STORAGE_DISK_H_
