#ifndef CVTRAIN_TESTS_CRASH_STORAGE_WORKLOAD_H_
#define CVTRAIN_TESTS_CRASH_STORAGE_WORKLOAD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/file_system.h"
#include "common/uuid.h"
#include "coordinator/storage/database.h"
#include "tests/support/fake_clock.h"

namespace cvtrain::coordinator {

// What a coordinator told others, and what it was asked: the memory of the crash tests, kept
// outside of the machine that crashes.
struct StorageOracle {
  int64_t revision_acknowledged = 0;
  int64_t revision_sent = 0;
  int64_t snapshot_acknowledged = 0;
  // Steps of the one series, each with value step / 2; batches are sent in order.
  int64_t steps_acknowledged = 0;
  int64_t steps_sent = 0;
  int64_t lines_acknowledged = 0;
  int64_t lines_sent = 0;
  std::map<Uuid, std::string> checkpoints_acknowledged;  // with digest
  std::set<Uuid> checkpoints_deleted;                    // asked for, done or not
  std::set<std::string> shards_acknowledged;             // digests
};

struct WorkloadOptions {
  // Planted bugs, see eager_doubles.h: a journal, and a committer, that say OK before the sync.
  bool eager_journal = false;
  bool eager_committer = false;
  // Called at the end, while all is open and HEAD knows all of it.
  std::function<void()> at_end = [] {};
};

// Opens every store on `files` and uses all of them, always in the same way: records and snapshots,
// metrics with repeated batches, lines, checkpoints that come and go, shards, tables being written.
// Ends at the first error. What it was told goes into `oracle`.
void RunStorageWorkload(FileSystem& files, testing::FakeClock& clock,
                        const WorkloadOptions& options, StorageOracle& oracle);

// Opens every store and compares all that is there with `oracle`: returns one line for each broken
// promise. Reads everything. The line of something acknowledged that is not there begins with
// "lost: "; that of a store that cannot be opened or read with "refused: ".
std::vector<std::string> CheckStorage(FileSystem& files, testing::FakeClock& clock,
                                      const StorageOracle& oracle);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_CRASH_STORAGE_WORKLOAD_H_
