#ifndef CVTRAIN_TESTS_CRASH_KILL_ACTORS_H_
#define CVTRAIN_TESTS_CRASH_KILL_ACTORS_H_

#include <memory>
#include <set>
#include <string>

#include "common/random.h"
#include "common/thread.h"
#include "tests/crash/kill_oracle.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace cvtrain {

// Submits small experiments, one after the other, until `stop` or until the coordinator is gone.
// What was not answered the last time comes first, with the same request id.
void RunSubmitter(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, Random& random,
                  const StopToken& stop);

// Imports small checkpoints, and deletes the oldest of many, until `stop` or until the coordinator
// is gone. What was not answered the last time comes first, with the same request id.
void RunImporter(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, Random& random,
                 const StopToken& stop);

// A worker that trains nothing: it keeps its session and leases as an agent does, and for each
// attempt reports points, lines and checkpoints, each repeated until it is answered, then the end.
// Its memory survives the coordinator; Run() is called again after each restart. Thread-compatible.
class FakeWorker {
 public:
  FakeWorker(KillOracle& oracle, Random& random);
  ~FakeWorker();

  // Until `stop` or until the coordinator is gone.
  void Run(const std::shared_ptr<grpc::Channel>& channel, const StopToken& stop);

 private:
  class Session;
  struct Work;

  KillOracle& oracle_;
  Random& random_;
  const std::string instance_;
  const std::string stream_;
  std::string cluster_id_;
  std::map<std::string, std::unique_ptr<Work>> work_;  // by attempt
};

// Compares a coordinator with the oracle, while no actor runs. Everything if `all`, else
// experiments and the trials in `touched`. Violations go into the oracle.
void CheckCoordinator(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, bool all,
                      const std::set<std::string>& touched);

}  // namespace cvtrain

#endif  // CVTRAIN_TESTS_CRASH_KILL_ACTORS_H_
