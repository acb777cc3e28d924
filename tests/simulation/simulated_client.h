#ifndef CVTRAIN_TESTS_SIMULATION_SIMULATED_CLIENT_H_
#define CVTRAIN_TESTS_SIMULATION_SIMULATED_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/random.h"
#include "coordinator/engine/command.h"
#include "coordinator/engine/page_token.h"
#include "cvtrain/v1/checkpoint.pb.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "cvtrain/v1/worker.pb.h"
#include "tests/simulation/context.h"
#include "tests/simulation/network.h"
#include "tests/simulation/simulated_coordinator.h"

namespace cvtrain::simulation {

// A user who submits, cancels, reads, imports weights and deletes them, repeats what was not
// answered with the same request id until it is, and now and then what was: it must get the same
// answer (D2). A changed body under a used id must be refused. A read must not be older than
// anything that anybody was told before it began (S4).
class SimulatedClient {
 public:
  SimulatedClient(Context& context, Network& network, SimulatedCoordinator& coordinator, int node,
                  int slots_max);

  void Start();

 private:
  // A mutation, as long as it is remembered.
  struct Request {
    std::string id;
    std::string what;         // method
    std::string fingerprint;  // of method, caller and body
    std::function<coordinator::Decision(const coordinator::ClusterState&, absl::Time)> decide;
    bool frees = false;
    int tries = 0;
    absl::Time sent;       // latest time of the coordinator then
    bool unknown = false;  // a try was not answered
    // The first answer; not OK until there is one.
    absl::Status status = absl::UnknownError("not answered");
    std::string resource;
    absl::Time time;     // of the state in that answer
    int64_t starts = 0;  // of the coordinator
  };

  void Act();
  void Submit();
  void Cancel();
  void Cordon();
  void Import();
  void Delete();
  void Read();
  void Repeat();
  v1::ExperimentSpec DrawSpec();
  template <typename Message>
  Request NewRequest(const std::string& method, Message message,
                     coordinator::Decision (*decide)(const coordinator::ClusterState&,
                                                     const Message&, absl::Time),
                     bool frees);
  void Send(Request request);
  void OnAnswer(Request request, absl::StatusOr<SimulatedCoordinator::ClientAnswer> answer);
  void Remember(Request request);
  coordinator::Command MakeCommand(const Request& request) const;

  Context& context_;
  Network& network_;
  SimulatedCoordinator& coordinator_;
  const int node_;
  const int slots_max_;
  const coordinator::Caller caller_;
  const coordinator::PageTokens tokens_;
  SeededRandom ids_;
  int64_t submitted_ = 0;
  bool waiting_ = false;
  std::vector<Request> answered_;         // the newest few
  std::vector<std::string> experiments_;  // names of its own
  std::vector<std::string> weights_;      // names of what it imported
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_SIMULATED_CLIENT_H_
