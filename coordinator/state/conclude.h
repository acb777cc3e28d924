#ifndef CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_
#define CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "coordinator/search/searcher.h"
#include "coordinator/state/cluster_state.h"
#include "cvtrain/storage/v1/event.pb.h"

namespace cvtrain::coordinator {

// Works out the consequences of an event that is being decided, on copies of the trials that it
// touches: what each cause means for its trial (retry budgets), how the search reacts, whether the
// experiment ends.
//
//   Conclusion conclusion(state, now);
//   CVT_ASSIGN_OR_RETURN(storage::v1::TrialRecord * trial, conclusion.Edit(name));
//   ... apply the event's fact to *trial ...
//   conclusion.Settle();
//   *event.mutable_consequences() = conclusion.Take();
//
// An experiment ends when its search is done and every trial has ended: CANCELLED if a user
// cancelled it, else SUCCEEDED if one trial did that counts, else FAILED if one failed, else
// CANCELLED.
//
// Not responsible for the event's fact itself. Thread-compatible; `state` must outlive it and not
// change.
class Conclusion {
 public:
  Conclusion(const ClusterState& state, absl::Time now) : state_(state), now_(now) {}

  // A copy to change; the same one every time. Returns NOT_FOUND (TRIAL_NOT_FOUND).
  absl::StatusOr<storage::v1::TrialRecord*> Edit(const TrialName& name);

  // Ends a trial at the wish of a user (cause cancelled) or of its search (pruned): a queued one
  // now, a running one when its workers have stopped. `reason` is for people. Returns false if
  // that has been asked for before, and nothing is new.
  bool RequestEnd(storage::v1::TrialRecord& trial, v1::Cause cause, bool at_once,
                  const std::string& reason);

  // Has the open attempt of a trial write a checkpoint and end, so that the trial waits again.
  // Returns false if it has none, or it is to stop already.
  bool RequestStop(storage::v1::TrialRecord& trial, v1::Cause cause);

  // Concludes for every trial that was edited, then for those experiments whose trials ended.
  void Settle();

  // Advances the search of an experiment and ends it if nothing is left. `experiment` need not be
  // in the state. With `cancelled`, the event itself cancels it.
  void SettleExperiment(const ClusterState::Experiment& experiment, bool cancelled = false);

  const storage::v1::Consequences& consequences() const { return consequences_; }
  storage::v1::Consequences Take() { return std::move(consequences_); }

 private:
  const storage::v1::TrialRecord& Record(const ClusterState::Trial& trial) const;
  void SettleAttempt(storage::v1::TrialRecord& trial);
  void RetryOrFail(storage::v1::TrialRecord& trial, v1::Cause cause, const std::string& what);
  void Stop(storage::v1::TrialRecord& trial, v1::Cause cause, bool now);
  void Move(storage::v1::TrialRecord& trial, v1::Trial::State to, const std::string& reason,
            storage::v1::RetryBudget budget = storage::v1::RETRY_BUDGET_UNSPECIFIED);
  // Experiments whose search has something to decide at a rung.
  void NoteRungs();
  std::vector<TrialResult> Results(const ClusterState::Experiment& experiment);
  // Fills `step` with what the search does, as often as that has results at once.
  void AdvanceSearch(const ClusterState::Experiment& experiment, std::vector<TrialResult>& results,
                     storage::v1::SearchStep& step);
  void Create(const v1::ExperimentSpec& spec, const SearchAdvance& advance,
              std::vector<TrialResult>& results, storage::v1::SearchStep& step);
  void DecideRungs(const ClusterState::Experiment& experiment, const SearchAdvance& advance,
                   std::vector<TrialResult>& results, storage::v1::SearchStep& step);
  // Takes back trials that have not begun, and ends the search once none is open.
  void EndByBudget(const ClusterState::Experiment& experiment, const std::string& bound,
                   const std::vector<TrialResult>& results, storage::v1::SearchStep& step);
  void Discard(const ClusterState::Experiment& experiment, const SearchAdvance::Discard& discard,
               storage::v1::SearchStep& step);
  // Why no other trial of a sweep will do better than those that failed: the first ones failed at
  // once, all with the same cause, on more than one worker if there is one, and none has been
  // evaluated. Empty if there is hope.
  std::string WhyHopeless(const ClusterState::Experiment& experiment) const;
  void EndExperiment(const ClusterState::Experiment& experiment, bool cancelled,
                     const storage::v1::SearchStep& step);
  // The checkpoint that `experiment` began with goes with its end, if nothing else keeps it: no
  // other experiment begins with it, and the policy of the trial that made it has let it go.
  void ReleaseInitial(const ClusterState::Experiment& experiment, storage::v1::ExperimentEnd& end);

  const ClusterState& state_;
  const absl::Time now_;
  std::map<TrialName, storage::v1::TrialRecord> edited_;
  std::deque<std::vector<double>> rungs_;  // of edited trials; results point into it
  std::set<int64_t> due_;                  // experiments with trials that ended
  std::set<int64_t> ended_;                // experiments that end by `consequences_`
  storage::v1::Consequences consequences_;
};

// Trials of an experiment that may run at the same time.
int32_t RunningTrialsMax(const v1::ExperimentSpec& spec);

// Trials of an experiment that may be open (queued or running) at the same time.
int32_t OpenTrialsMax(const v1::ExperimentSpec& spec, const Searcher& searcher);

// Whether the search could make trials now.
bool WantsTrials(const ClusterState::Experiment& experiment);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_CONCLUDE_H_
