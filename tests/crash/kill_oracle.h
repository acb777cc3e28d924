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
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/file_system.h"

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

// Weights that were imported, and perhaps deleted; each repeated with its id until it was answered.
struct SentImport {
  std::string uuid;
  std::string digest;
  std::string bytes;  // dropped when it was answered
  bool acknowledged = false;
  std::string delete_id;  // request id; empty: it was never asked for
  bool delete_acknowledged = false;
};

// One trial as its worker knows it. Points are (step, step / 2), lines are "line N", both from 0.
struct SentTrial {
  std::string attempt;
  int64_t points_sent = 0;
  int64_t points_acknowledged = 0;
  int64_t lines_sent = 0;
  int64_t lines_acknowledged = 0;
  std::set<std::string> checkpoints_sent;                       // uuids
  std::map<std::string, std::string> checkpoints_acknowledged;  // uuid -> digest
  bool end_sent = false;
  bool end_acknowledged = false;
};

// A promise that was broken, and how.
struct Violation {
  enum class Kind {
    kLost,     // something acknowledged is not there
    kDoubled,  // something is there more often than it was sent
    kOther,  // wrong bytes, an error, a lease that was taken away, a coordinator that is not there
  };
  Kind kind = Kind::kOther;
  std::string text;
};

// What was sent to the coordinator, and what it acknowledged: the truth that a killed coordinator
// is held to. Each acknowledgement is also a line in a file, synced before the oracle says that it
// knows, so that the account outlives a crash of the test. Thread-safe.
class KillOracle {
 public:
  KillOracle(FileSystem& files, const std::string& path);

  // Notes an acknowledgement by `change`, called under the lock.
  template <typename Change>
  void Acknowledge(absl::string_view what, Change change) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    Write(what);
    change();
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

  // Experiments whose trial no worker has been given.
  size_t WaitingExperiments() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return experiments.size() - trials.size();
  }

  // Notes that a worker was given `attempt` of `trial`. A second attempt is a violation: nothing in
  // this test takes an attempt away from its worker, so the coordinator dropped its lease.
  void Assigned(const std::string& trial, const std::string& attempt) ABSL_LOCKS_EXCLUDED(mu_);

  // Notes that the coordinator told a worker, by `how`, that its lease on `trial` is over. That is
  // an acknowledgement if the worker has sent the end and lost the answer; else it is a violation.
  void Dropped(const std::string& trial, absl::string_view how) ABSL_LOCKS_EXCLUDED(mu_);

  // A promise that was broken.
  void Broken(Violation::Kind kind, const std::string& text) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    violations_.push_back({kind, text});
  }
  std::vector<Violation> violations() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return violations_;
  }
  // How many violations are of this kind.
  int64_t Count(Violation::Kind kind) const ABSL_LOCKS_EXCLUDED(mu_);

  // Changed here, in Acknowledge() and in Note() only; read while no actor runs.
  std::deque<SubmittedExperiment> experiments;
  std::deque<SentImport> imports;
  std::map<std::string, SentTrial> trials;  // by resource name
  int64_t revision = 0;                     // the highest that was answered

 private:
  // Writes an acknowledgement to the file.
  void Write(absl::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::unique_ptr<WritableFile> file_ ABSL_GUARDED_BY(mu_);
  int64_t acknowledged_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Violation> violations_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain

#endif  // CVTRAIN_TESTS_CRASH_KILL_ORACLE_H_
