#ifndef CVTRAIN_TESTS_CRASH_KILL_ORACLE_H_
#define CVTRAIN_TESTS_CRASH_KILL_ORACLE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"
#include "common/status_macros.h"

namespace cvtrain {

// One experiment that was submitted; repeated with the same request id until it was answered.
struct SubmittedExperiment {
  std::string request_id;
  std::string label;
  std::string name;  // as answered; empty until then
};

// A checkpoint that was uploaded; repeated with the same id until it was answered.
struct SentCheckpoint {
  std::string uuid;
  std::string digest;
  std::string bytes;  // dropped when it was answered
};

// One trial as its worker knows it. Points are (step, step / 2), lines are "line N", both from 0.
struct SentTrial {
  std::string attempt;
  int64_t lease_generation = 0;
  int64_t points_sent = 0;
  int64_t points_acknowledged = 0;
  int64_t lines_sent = 0;
  int64_t lines_acknowledged = 0;
  std::map<std::string, std::string> checkpoints_acknowledged;  // uuid -> digest
  bool end_acknowledged = false;
  bool lease_lost = false;
};

// What was sent to the coordinator, and what it acknowledged: the truth that a killed coordinator
// is held to. Each acknowledgement is also a line in a file, synced before the oracle says that it
// knows, so that the account outlives a crash of the test. Thread-safe.
class KillOracle {
 public:
  KillOracle(FileSystem& files, const std::string& path) {
    auto file = files.NewWritableFile(path, {});
    CVT_CHECK_OK(file.status());
    file_ = *std::move(file);
  }

  // Notes an acknowledgement by `change`, called under the lock.
  template <typename Change>
  void Acknowledge(absl::string_view what, Change change) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    CVT_CHECK_OK(file_->Append(absl::StrCat(what, "\n")));
    CVT_CHECK_OK(file_->Sync());
    change();
    ++acknowledged_;
  }
  // Notes what is being sent.
  template <typename Change>
  void Note(Change change) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    change();
  }
  int64_t acknowledged() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return acknowledged_;
  }

  // A promise that was broken.
  void Violation(const std::string& text) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    violations_.push_back(text);
  }
  std::vector<std::string> violations() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return violations_;
  }

  // Changed in Acknowledge() and Note() only; read while no actor runs.
  std::deque<SubmittedExperiment> experiments;
  std::map<std::string, SentTrial> trials;  // by resource name
  int64_t revision = 0;                     // the highest that was answered

 private:
  mutable absl::Mutex mu_;
  std::unique_ptr<WritableFile> file_ ABSL_GUARDED_BY(mu_);
  int64_t acknowledged_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain

#endif  // CVTRAIN_TESTS_CRASH_KILL_ORACLE_H_
