#ifndef CVTRAIN_TESTS_INTEGRATION_WORKER_AGENT_FAKE_COORDINATOR_H_
#define CVTRAIN_TESTS_INTEGRATION_WORKER_AGENT_FAKE_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::testing {

// What a coordinator knows of one attempt of a worker.
struct AttemptLog {
  // Facts in order of sequence; a known one is skipped, a gap fails the test.
  std::vector<session::v1::Fact> facts;
  // Points of `loss` in order of arrival, each batch once.
  std::vector<int64_t> steps;
  std::vector<std::string> lines;
  // Steps of its checkpoints, each uploaded whole and with its digest.
  std::vector<int64_t> checkpoints;
  // What had arrived when RanksEnded came: nothing may follow it.
  size_t steps_at_end = 0;
  size_t checkpoints_at_end = 0;

  const session::v1::RanksEnded* ended() const {
    return !facts.empty() && facts.back().has_ended() ? &facts.back().ended() : nullptr;
  }
};

// A coordinator in the test's process that serves SessionService on a Unix socket: it grants
// what the test says, remembers what it is told, and can be away. What it knows outlives
// Stop(). Thread-safe.
class FakeCoordinator {
 public:
  explicit FakeCoordinator(std::string socket_path);
  ~FakeCoordinator();

  void Start();
  // Breaks every connection; the socket is gone.
  void Stop();

  // --- What it does.
  void Assign(const session::v1::Assign& assign);
  void StopAttempt(const std::string& attempt, session::v1::StopAttempt::Mode mode,
                   v1::Cause cause);
  // Reports of this attempt get ABORTED from now on.
  void Fence(const std::string& attempt);
  void AddShard(const std::string& content);
  // The next download of any shard sends a wrong byte, with a CRC that agrees.
  void DamageNextShard();
  // Every download of a checkpoint fails with DATA_LOSS from now on.
  void DamageCheckpoints();

  // --- What it has heard.
  // Waits until `done` is true of the attempt; false after `timeout`.
  bool WaitFor(const std::string& attempt, const std::function<bool(const AttemptLog&)>& done,
               absl::Duration timeout = absl::Seconds(30));
  bool WaitForHellos(int64_t count, absl::Duration timeout = absl::Seconds(30));
  AttemptLog Log(const std::string& attempt);
  std::vector<session::v1::Hello> hellos();
  // UUID, digest and size of the newest checkpoint.
  session::v1::ResumePoint NewestCheckpoint();
  int64_t shard_fetches();
  int64_t checkpoint_downloads();

  struct State;  // shared by the service and this; defined in the .cc

 private:
  class Service;
  struct Server;

  const std::string socket_path_;
  const std::unique_ptr<State> state_;
  std::unique_ptr<Server> server_;
};

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_INTEGRATION_WORKER_AGENT_FAKE_COORDINATOR_H_
