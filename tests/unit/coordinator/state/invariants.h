#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_INVARIANTS_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_INVARIANTS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {

// What must hold after every event; S1 and S2 of the promises. Remembers the state of each trial to
// judge transitions.
class InvariantChecker {
 public:
  void Check(const ClusterState& state) {
    std::map<std::pair<std::string, int32_t>, AttemptName> given;
    for (const auto& [number, experiment] : state.experiments()) {
      CheckExperiment(state, experiment);
      for (const auto& [trial_number, trial] : experiment.trials) {
        CheckTrial(experiment, trial);
        GiveSlots(experiment, trial, given);
      }
    }
    // The index of busy slots says the same as the attempts.
    size_t busy = 0;
    for (const auto& [name, worker] : state.workers()) {
      for (const auto& [slot, attempt] : worker.busy) {
        const auto found = given.find({name.ToString(), slot});
        ASSERT_NE(found, given.end()) << name.ToString() << " slot " << slot;
        EXPECT_EQ(found->second, attempt);
        EXPECT_FALSE(worker.record.lost());
        ++busy;
      }
    }
    EXPECT_EQ(busy, given.size());
    CheckCheckpoints(state);
  }

 private:
  // Each was made by the trial that has it, or imported; what an experiment begins with is there.
  static void CheckCheckpoints(const ClusterState& state) {
    size_t made = 0;
    for (const auto& [number, experiment] : state.experiments()) {
      for (const auto& [trial_number, trial] : experiment.trials) {
        made += trial.checkpoints.size();
        for (const CheckpointName& name : trial.checkpoints) {
          const auto attempt = AttemptName::Parse(state.checkpoints().at(name).attempt());
          EXPECT_EQ(attempt->trial(), trial.name) << name.ToString();
        }
      }
      const v1::Recipe& recipe = experiment.record.spec().recipe();
      if (recipe.has_init_from() && state.active().contains(number)) {
        EXPECT_TRUE(
            state.checkpoints().contains(*CheckpointName::Parse(recipe.init_from().checkpoint())))
            << experiment.name.ToString();
      }
    }
    for (const CheckpointName& name : state.imported()) {
      EXPECT_EQ(state.checkpoints().at(name).attempt(), "") << name.ToString();
    }
    EXPECT_EQ(made + state.imported().size(), state.checkpoints().size());
  }

  static bool IsAllowed(v1::Trial::State from, v1::Trial::State to) {
    if (from == to) return true;
    switch (from) {
      case v1::Trial::STATE_UNSPECIFIED:  // did not exist
        return to == v1::Trial::STATE_QUEUED || to == v1::Trial::STATE_FAILED;
      case v1::Trial::STATE_QUEUED:
        return to == v1::Trial::STATE_RUNNING || to == v1::Trial::STATE_CANCELLED;
      case v1::Trial::STATE_RUNNING:
        return to != v1::Trial::STATE_PAUSED;
      default:
        return false;  // ended
    }
  }

  void CheckTrial(const ClusterState::Experiment& experiment, const ClusterState::Trial& trial) {
    const storage::v1::TrialRecord& record = trial.record;
    const std::string name = trial.name.ToString();
    v1::Trial::State& before = states_[trial.name];
    EXPECT_TRUE(IsAllowed(before, record.state()))
        << name << " went from " << before << " to " << record.state();
    before = record.state();
    EXPECT_EQ(record.state() == v1::Trial::STATE_RUNNING, OpenAttempt(record) != nullptr) << name;
    EXPECT_EQ(HasEnded(record.state()), record.has_end_time()) << name;
    EXPECT_EQ(experiment.queued.contains(trial.name.number()),
              record.state() == v1::Trial::STATE_QUEUED)
        << name;
    int64_t generation = 0;
    for (int i = 0; i < record.attempts_size(); ++i) {
      const storage::v1::AttemptRecord& attempt = record.attempts(i);
      EXPECT_GT(attempt.lease_generation(), generation) << name;
      generation = attempt.lease_generation();
      if (i + 1 < record.attempts_size()) {
        EXPECT_TRUE(HasEnded(attempt)) << name;
      }
      // All of its slots or none.
      EXPECT_EQ(attempt.ranks_size(), experiment.record.spec().resources().slots()) << name;
    }
    int64_t step = -1;
    for (const storage::v1::LineageEntry& entry : record.lineage()) {
      EXPECT_GT(entry.from_step(), step) << name;
      step = entry.from_step();
    }
  }

  static void GiveSlots(const ClusterState::Experiment&, const ClusterState::Trial& trial,
                        std::map<std::pair<std::string, int32_t>, AttemptName>& given) {
    const storage::v1::AttemptRecord* open = OpenAttempt(trial.record);
    if (open == nullptr) return;
    for (const storage::v1::RankPlacement& rank : open->ranks()) {
      if (FindPart(*open, rank.worker())->ended()) continue;
      const bool is_new =
          given.emplace(std::make_pair(rank.worker(), rank.slot()), NameOf(trial.record, *open))
              .second;
      EXPECT_TRUE(is_new) << rank.worker() << " slot " << rank.slot() << " is given twice";
    }
  }

  static void CheckExperiment(const ClusterState& state,
                              const ClusterState::Experiment& experiment) {
    std::map<int, int32_t> counts;
    size_t ranked = 0;
    bool all_ended = true;
    for (const auto& [number, trial] : experiment.trials) {
      ++counts[trial.record.state()];
      all_ended = all_ended && HasEnded(trial.record.state());
      const bool counts_for_best = trial.objective && !trial.record.discarded() &&
                                   trial.record.pruned_at_epoch() == 0 &&
                                   trial.record.state() != v1::Trial::STATE_FAILED &&
                                   trial.record.state() != v1::Trial::STATE_CANCELLED;
      ranked += counts_for_best ? 1 : 0;
    }
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(experiment.trials_by_state[static_cast<size_t>(i)], counts[i]);
    }
    EXPECT_EQ(experiment.ranking.size(), ranked);
    const bool active = experiment.record.state() == v1::Experiment::STATE_ACTIVE;
    EXPECT_EQ(active, !(all_ended && experiment.record.search_done()))
        << experiment.name.ToString();
    EXPECT_EQ(state.active().contains(experiment.name.number()), active);
    EXPECT_EQ(
        experiment.queued.empty(),
        !state.queue().contains({-experiment.record.spec().priority(), experiment.name.number()}));
    EXPECT_LE(experiment.trials_by_state[v1::Trial::STATE_RUNNING],
              std::max(1, experiment.record.spec().search().max_parallel_trials()));
  }

  std::map<TrialName, v1::Trial::State> states_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_INVARIANTS_H_
