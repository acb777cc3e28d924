#ifndef CVTRAIN_TESTS_SIMULATION_CHECKER_H_
#define CVTRAIN_TESTS_SIMULATION_CHECKER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ids.h"
#include "coordinator/engine/journal.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/storage/v1/event.pb.h"
#include "tests/simulation/context.h"

namespace cvtrain::simulation {

// Follows the durable journal, event by event, with a state of its own, and judges each revision:
//
//   S1  revisions are dense, time does not go back, each trial moves along docs/states.md
//   S2  a slot is in one allocation at most, an allocation has all of its slots
//   S3  what is reported belongs to an open part of the attempt with this generation
//   S5  what the engine recovers is what following the events from the first one gives
//   D1, D6  what was durable once stays, byte for byte
//   and retry budgets, the order of facts, and what an end of an experiment follows from
//
// It shares Apply() with the product, but none of what is decided. Thread-compatible.
class Checker {
 public:
  explicit Checker(Context& context) : context_(context) {}

  // Takes in records that are durable now; they may begin with known ones.
  void Follow(const std::vector<coordinator::JournalRecord>& records);

  // A coordinator has recovered with `state`, from a journal with these records.
  void Recovered(const std::vector<coordinator::JournalRecord>& records,
                 const coordinator::ClusterState& state);

  // Compares the state as a whole with its indices, and with `live`, which is durable.
  void CheckAll(const coordinator::ClusterState& live);

  // Durable and judged.
  int64_t revision() const { return state_.revision(); }
  const coordinator::ClusterState& state() const { return state_; }
  // Every checkpoint that was ever listed.
  bool WasListed(const std::string& checkpoint) const { return listed_.contains(checkpoint); }

 private:
  void Judge(const storage::v1::Event& event);
  void Before(const storage::v1::Event& event);
  void After(const storage::v1::Event& event);
  void BeforeAllocation(const storage::v1::AttemptAllocated& event);
  void BeforeFacts(const storage::v1::FactsReported& event);
  void BeforeCheckpoint(const storage::v1::CheckpointCommitted& event);
  void CheckTrial(const coordinator::ClusterState::Experiment& experiment,
                  const coordinator::ClusterState::Trial& trial);
  void CheckExperiment(const coordinator::ClusterState::Experiment& experiment);
  void CheckSlots();
  void Count(const storage::v1::Event& event);
  void CountAllocation(const storage::v1::AttemptAllocated& event);

  Context& context_;
  coordinator::ClusterState state_;
  int64_t fingerprint_revision_ = -1;
  std::string fingerprint_;       // of the state after that revision
  std::vector<uint64_t> hashes_;  // of the record of each revision, from 1
  std::map<TrialName, v1::Trial::State> trials_;
  std::set<std::string> listed_;
  std::set<std::string> instances_;  // of workers that were known
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_CHECKER_H_
