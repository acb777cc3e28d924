#ifndef CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_
#define CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_

#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/storage/v1/event.pb.h"

namespace cvtrain::coordinator {

// Works out the consequences of an event that is being decided, on copies of the trials that it
// touches: what each cause means for its trial (retry budgets), how the search reacts, whether the
// experiment ends.
//
//   Conclusion conclusion(state, now);
//   CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord* trial, conclusion.Edit(name));
//   ... apply the event's fact to *trial ...
//   conclusion.Settle();
//   *event.mutable_consequences() = conclusion.Take();
//
// Not responsible for the event's fact itself. Thread-compatible; `state` must outlive it and not
// change.
class Conclusion {
 public:
  Conclusion(const ClusterState& state, absl::Time now) : state_(state), now_(now) {}

  // A copy to change; the same one every time. Returns NOT_FOUND (TRIAL_NOT_FOUND).
  absl::StatusOr<storage::v1::TrialRecord*> Edit(const TrialName& name);

  // Ends `trial` at the wish of a user or of its search: a queued one now, a running one when its
  // workers have stopped. `reason` is for people.
  void RequestEnd(storage::v1::TrialRecord& trial, v1::Cause cause, bool at_once,
                  const std::string& reason);

  // Concludes for every trial that was edited, then for their experiments. `cancelled` names an
  // experiment that the event itself cancels.
  void Settle(const ExperimentName& cancelled = {});

  storage::v1::Consequences Take() { return std::move(consequences_); }

 private:
  const storage::v1::TrialRecord& Record(const ClusterState::Trial& trial) const;
  void SettleAttempt(storage::v1::TrialRecord& trial);
  void SettleExperiment(const ClusterState::Experiment& experiment, bool cancelled);
  bool AdvanceSearch(const ClusterState::Experiment& experiment);
  void Move(storage::v1::TrialRecord& trial, v1::Trial::State to, const std::string& reason,
            storage::v1::RetryBudget budget);

  const ClusterState& state_;
  const absl::Time now_;
  std::map<TrialName, storage::v1::TrialRecord> edited_;
  storage::v1::Consequences consequences_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_
