#ifndef CVTRAIN_TESTS_SIMULATION_SIMULATED_WORKER_H_
#define CVTRAIN_TESTS_SIMULATION_SIMULATED_WORKER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/memory_file_system.h"
#include "common/random.h"
#include "tests/simulation/context.h"
#include "tests/simulation/network.h"
#include "tests/simulation/simulated_coordinator.h"
#include "worker/agent/session/session.h"
#include "worker/agent/spool/spool.h"
#include "worker/agent/supervise/mailbox.h"
#include "worker/agent/supervise/report_sender.h"

namespace cvtrain::simulation {

// One machine with a worker. Real are the session with its lease and back-off, the report sender
// and the spool on a disk in memory; they are stepped as worker/agent/supervise/agent.cc does it,
// with its two threads taking turns at each input. That file itself is not here: it owns threads,
// processes and sockets. So what it does around them is modelled: trainers are synthetic, transfers
// of checkpoints follow transfers.cc (from memory, else by way of the spool), the cache is empty.
class SimulatedWorker {
 public:
  SimulatedWorker(Context& context, Network& network, SimulatedCoordinator& coordinator, int node,
                  int slots);
  ~SimulatedWorker();

  void Start();
  enum class End { kKilled, kPower, kWiped };
  void Crash(End end);
  // SIGTERM; it ends by itself, and comes back.
  void Stop();
  void StartFaults();
  // Faults stop: the machine runs, its process too.
  void Heal();

  bool up() const { return process_ != nullptr; }
  int slots() const { return slots_; }
  // The step at which ranks of this attempt ("experiments/1/trials/1/attempts/1") are here, and how
  // often they have been told something; "" if it does not run here.
  std::string StepOf(const std::string& attempt) const;
  // Nothing is held, running or waiting to be sent.
  bool idle() const;

 private:
  class Process;

  void Every(Nanos mean, std::function<void()> fault);
  worker::Session::Now Now() const;
  // The moment at which this machine's steady clock shows `steady`.
  Nanos MomentOf(absl::Duration steady) const;

  Context& context_;
  Network& network_;
  SimulatedCoordinator& coordinator_;
  const int node_;
  const int slots_;
  const std::string name_;

  // Of the machine.
  double drift_ = 0;
  absl::Duration wall_step_;
  std::unique_ptr<InMemoryFileSystem> files_;
  std::string instance_;
  std::string cluster_id_;
  int64_t revision_ = 0;
  int64_t starts_ = 0;
  bool disk_full_ = false;

  std::unique_ptr<Process> process_;
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_SIMULATED_WORKER_H_
