#ifndef CVTRAIN_TESTS_SIMULATION_WORLD_H_
#define CVTRAIN_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/checker.h"
#include "tests/simulation/context.h"
#include "tests/simulation/network.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/simulated_client.h"
#include "tests/simulation/simulated_coordinator.h"
#include "tests/simulation/simulated_worker.h"
#include "tests/simulation/tally.h"

namespace cvtrain::simulation {

struct RunResult {
  uint64_t seed = 0;
  uint64_t trace_hash = 0;
  double cluster_days = 0;  // of the phase with faults
  int64_t revisions = 0;
  int64_t events = 0;  // of the queue
  Tally tally;
  // Promises that were broken, with what was seen; empty for a good run.
  std::vector<std::string> violations;
};

// A whole cluster in one thread, in virtual time: a function of its scenario.
//
// First comes the phase with faults and load, in which the checker judges each revision. Then
// faults stop, everything that was down comes back, and liveness is judged (R5): in each window of
// ten lease periods (and of one report of a trainer, which is coarse here) every running trial gets
// on, and slots do not idle while a trial waits. At last all has ended, and nobody holds anything.
//
// Thread-compatible; several may run at once in threads of their own.
class World {
 public:
  explicit World(const Scenario& scenario);

  RunResult Run();

 private:
  void RunUntil(Nanos end);
  void Settle();
  // One line for each running trial, which changes if it gets on.
  std::vector<std::string> Standing() const;
  void UncordonAll();
  void CancelAll();
  void CheckIdle();

  Context context_;
  Checker checker_;
  SimulatedCoordinator coordinator_;
  Network network_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
};

// Runs the scenario of `seed`, with `bug` planted.
RunResult RunSeed(uint64_t seed, Bug bug = Bug::kNone, bool print = false);

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_WORLD_H_
