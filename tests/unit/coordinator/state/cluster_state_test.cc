#include "coordinator/state/cluster_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "coordinator/state/conclude.h"
#include "coordinator/state/requests.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/invariants.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TestSeed;

const auto kDamaged = [] {
  return StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED"));
};

ClusterState Replay(const std::vector<storage::v1::Event>& events) {
  ClusterState state;
  for (const storage::v1::Event& event : events) CVT_CHECK_OK(state.Apply(event));
  return state;
}

ClusterState Restore(const ClusterState& state) {
  storage::v1::Snapshot snapshot;
  CVT_CHECK(snapshot.ParseFromString(state.ToSnapshot().SerializeAsString()));
  absl::StatusOr<ClusterState> restored = ClusterState::FromSnapshot(std::move(snapshot));
  CVT_CHECK_OK(restored.status());
  return *std::move(restored);
}

TEST(ClusterStateTest, RefusesAnEventThatIsNotTheNext) {
  StateDriver driver;
  driver.Register("w1", 1);
  ClusterState state;
  storage::v1::Event event = driver.events[0];
  event.set_revision(2);
  EXPECT_THAT(state.Apply(event), kDamaged());
  event.set_revision(1);
  EXPECT_THAT(state.Apply(event), IsOk());
  EXPECT_THAT(state.Apply(event), kDamaged());
}

TEST(ClusterStateTest, RefusesEventsThatNameWhatDoesNotExist) {
  const auto apply = [](const std::string& text) {
    ClusterState state;
    storage::v1::Event event = cvtrain::testing::ParseTextProto<storage::v1::Event>(text);
    event.set_revision(1);
    return state.Apply(event);
  };
  EXPECT_THAT(apply(""), kDamaged());
  EXPECT_THAT(apply("experiment_cancelled { experiment: 'experiments/1' }"), kDamaged());
  EXPECT_THAT(apply("experiment_created { name: 'experiments/2' }"), kDamaged());
  EXPECT_THAT(apply("worker_lost { worker: 'workers/w1' }"), kDamaged());
  EXPECT_THAT(apply("worker_lost { worker: '../w1' }"), kDamaged());
  EXPECT_THAT(apply("attempt_allocated { attempt: 'experiments/1/trials/1/attempts/1' }"),
              kDamaged());
  EXPECT_THAT(apply("attempt_allocated { attempt: 'experiments/1/trials/1/attempts/1' "
                    "ranks { worker: 'workers/w1' } }"),
              kDamaged());
  EXPECT_THAT(apply("facts_reported { attempt: 'experiments/1/trials/1/attempts/1' }"), kDamaged());
  EXPECT_THAT(apply("checkpoint_committed { name: 'checkpoints/"
                    "00000000-0000-4000-8000-000000000001' "
                    "attempt: 'experiments/1/trials/1/attempts/1' }"),
              kDamaged());
  EXPECT_THAT(apply("checkpoint_imported { name: 'checkpoints/1' label: 'a' }"), kDamaged());
  EXPECT_THAT(apply("checkpoint_deleted { name: 'checkpoints/"
                    "00000000-0000-4000-8000-000000000001' }"),
              kDamaged());
  EXPECT_THAT(apply("dataset_committed { version { name: 'datasets/a/versions/2' } }"), kDamaged());
  EXPECT_THAT(apply("search_advanced {} consequences { trials { "
                    "trial: 'experiments/1/trials/1' } }"),
              kDamaged());
}

TEST(ClusterStateTest, RefusesASlotThatIsGivenTwice) {
  StateDriver driver;
  driver.Register("w1", 1);
  ASSERT_THAT(driver.Create(SyntheticSpec("sweep", LinearSearch(2, 2))), IsOk());
  ASSERT_THAT(driver.Allocate(1, 1, {{"w1", 0}}), IsOk());
  storage::v1::Event event = driver.events.back();
  event.set_revision(event.revision() + 1);
  event.mutable_attempt_allocated()->set_attempt("experiments/1/trials/2/attempts/1");
  EXPECT_THAT(driver.state.Apply(event), kDamaged());
}

TEST(ClusterStateTest, RefusesATrialThatEndsTwice) {
  StateDriver driver;
  ASSERT_THAT(driver.Create(SyntheticSpec("plain")), IsOk());
  ASSERT_THAT(driver.CancelTrial(1, 1), IsOk());
  storage::v1::Event event = driver.events.back();
  event.set_revision(event.revision() + 1);
  EXPECT_THAT(driver.state.Apply(event), kDamaged());
}

TEST(ClusterStateTest, RefusesToDeleteWhatIsNotThere) {
  StateDriver driver;
  ASSERT_THAT(driver.Import(1), IsOk());
  storage::v1::Event twice = driver.events.back();
  twice.set_revision(twice.revision() + 1);
  EXPECT_THAT(Replay(driver.events).Apply(twice), kDamaged());

  driver.Register("w1", 1);
  ASSERT_THAT(driver.Create(SyntheticSpec("plain")), IsOk());
  const std::vector<storage::v1::Event> before = driver.events;
  ASSERT_THAT(driver.CancelExperiment(1), IsOk());
  storage::v1::Event end = driver.events.back();
  storage::v1::ExperimentEnd& ended = *end.mutable_consequences()->mutable_experiments(0);
  ended.add_deleted("checkpoints/" + StateDriver::Checkpoint(1));
  EXPECT_THAT(Replay(before).Apply(end), kDamaged()) << "no trial made it";
  ended.set_deleted(0, "checkpoints/" + StateDriver::Checkpoint(2));
  EXPECT_THAT(Replay(before).Apply(end), kDamaged());
}

TEST(ClusterStateTest, RefusesASnapshotThatContradictsItself) {
  StateDriver driver;
  driver.Register("w1", 1);
  ASSERT_THAT(driver.Create(SyntheticSpec("plain")), IsOk());
  ASSERT_THAT(driver.Allocate(1, 1, {{"w1", 0}}), IsOk());
  ASSERT_THAT(driver.Save(1, 1, "w1", 1, 1), IsOk());
  const storage::v1::Snapshot good = driver.state.ToSnapshot();
  EXPECT_THAT(ClusterState::FromSnapshot(good), IsOk());
  storage::v1::Snapshot bad = good;
  bad.clear_experiments();
  EXPECT_THAT(ClusterState::FromSnapshot(bad), kDamaged());
  bad = good;
  bad.clear_workers();
  EXPECT_THAT(ClusterState::FromSnapshot(bad), kDamaged());
  bad = good;
  bad.clear_trials();
  EXPECT_THAT(ClusterState::FromSnapshot(bad), kDamaged());
  bad = good;
  bad.mutable_checkpoints(0)->clear_attempt();
  EXPECT_FALSE(ClusterState::FromSnapshot(bad).ok()) << "neither made nor imported";
}

TEST(ClusterStateTest, ASnapshotHoldsWhatWasImported) {
  StateDriver driver;
  ASSERT_THAT(driver.Import(2), IsOk());
  ASSERT_THAT(driver.Import(1), IsOk());
  const ClusterState restored = Restore(driver.state);
  EXPECT_EQ(restored.imported(), driver.state.imported());
  EXPECT_EQ(restored.Fingerprint(), driver.state.Fingerprint());
}

// --- Requests ---

storage::v1::RequestRecord Request(const std::string& id, int64_t revision, absl::Time time) {
  storage::v1::RequestRecord record;
  record.set_id(id);
  record.set_revision(revision);
  *record.mutable_time() = ToTimestamp(time);
  return record;
}

TEST(RememberedRequestsTest, ForgetsAfterADay) {
  RememberedRequests requests;
  const absl::Time start = absl::FromUnixSeconds(1'000'000);
  ASSERT_THAT(requests.Add(Request("a", 1, start)), IsOk());
  ASSERT_THAT(requests.Add(Request("b", 2, start + absl::Hours(1))), IsOk());
  EXPECT_THAT(requests.Add(Request("a", 3, start)), kDamaged());
  requests.Forget(start + absl::Hours(24));
  EXPECT_EQ(requests.Find("a"), nullptr);
  ASSERT_NE(requests.Find("b"), nullptr);
  EXPECT_EQ(requests.Find("b")->revision(), 2);
}

TEST(RememberedRequestsTest, RefusesMoreThanItMayHold) {
  RememberedRequests requests(2);
  const absl::Time start = absl::FromUnixSeconds(1'000'000);
  ASSERT_THAT(requests.Add(Request("a", 1, start)), IsOk());
  EXPECT_THAT(requests.CheckRoom(start), IsOk());
  ASSERT_THAT(requests.Add(Request("b", 2, start)), IsOk());
  EXPECT_THAT(requests.CheckRoom(start),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_THAT(requests.CheckRoom(start + absl::Hours(24)), IsOk());
}

// --- Random histories ---

// Does things at random that the decisions allow, and some that they must refuse.
class RandomHistory {
 public:
  explicit RandomHistory(uint64_t seed) : stream_("history/v1", {seed}) {}

  StateDriver driver;

  void Step() {
    driver.now += absl::Seconds(static_cast<double>(stream_.UniformInt(5)));
    switch (stream_.UniformInt(15)) {
      case 0:
        return Submit();
      case 1:
        return driver.Register(Worker(), 1 + static_cast<int>(stream_.UniformInt(4)));
      case 2:
        return Try(driver.Lose(Worker()));
      case 3:
        return Cancel();
      case 4:
        return Try(stream_.Bernoulli(0.6) ? driver.Import(++checkpoints_)
                                          : driver.Delete(AnyCheckpoint()));
      case 5:
        return MakeWay();
      case 6:
        return Operate();
      default:
        return stream_.Bernoulli(0.3) ? Place() : Report();
    }
  }

 private:
  // Refusals are fine; what they leave behind is checked by the caller.
  static void Try(const absl::StatusOr<std::string>& result) {
    EXPECT_NE(result.status().code(), absl::StatusCode::kDataLoss) << result.status();
    EXPECT_NE(result.status().code(), absl::StatusCode::kInternal) << result.status();
  }

  std::string Worker() { return absl::StrCat("w", stream_.UniformInt(4)); }

  void Submit() {
    if (driver.state.active().size() > 6) return;
    const std::string name = absl::StrCat("e", driver.state.experiments().size());
    std::string more = absl::StrCat("resources { slots: ", 1 + stream_.UniformInt(3),
                                    " } priority: ", stream_.UniformInt(3), " ");
    const uint64_t kind = stream_.UniformInt(4);
    if (kind == 1) more += LinearSearch(6, 2, 1);
    if (kind == 2) more += LinearSearch(5, 3);
    if (kind == 3) {
      more +=
          "search { random { trials: 7 parameters { parameter: 'recipe.synthetic.final_metric' "
          "uniform { min: 1 max: 9 } } } objective { metric: 'val/top1' mode: MODE_MIN } "
          "max_parallel_trials: 4 }";
    }
    v1::ExperimentSpec spec = SyntheticSpec(name, more);
    const CheckpointName initial =
        *CheckpointName::Parse("checkpoints/" + StateDriver::Checkpoint(AnyCheckpoint()));
    if (driver.state.checkpoints().contains(initial)) {
      spec.mutable_recipe()->mutable_init_from()->set_checkpoint(initial.ToString());
    }
    EXPECT_THAT(driver.Create(spec), IsOk());
  }

  // The number of one that is or was there, of the last ones most likely.
  int AnyCheckpoint() {
    return std::max(1, checkpoints_ - static_cast<int>(stream_.UniformInt(12)));
  }

  void Cancel() {
    if (driver.state.experiments().empty() || stream_.Bernoulli(0.7)) return;
    const int64_t experiment =
        1 + static_cast<int64_t>(stream_.UniformInt(driver.state.experiments().size()));
    if (stream_.Bernoulli(0.3)) return Try(driver.CancelExperiment(experiment));
    Try(driver.CancelTrial(experiment, 1 + static_cast<int64_t>(stream_.UniformInt(5)),
                           stream_.Bernoulli(0.5)));
  }

  // Asks a running trial to make way.
  void MakeWay() {
    for (const auto& [number, experiment] : driver.state.experiments()) {
      for (const auto& [trial_number, trial] : experiment.trials) {
        if (trial.record.attempts().empty() || stream_.Bernoulli(0.7)) continue;
        return Try(driver.Preempt(number, trial_number));
      }
    }
  }

  // What operators do to workers, and users to experiments that wait.
  void Operate() {
    v1::UncordonWorkerRequest uncordon;
    uncordon.set_name("workers/" + Worker());
    v1::ReleaseExperimentRequest release;
    release.set_name("experiments/1");
    switch (stream_.UniformInt(5)) {
      case 0:
        return Try(driver.Cordon(Worker(), stream_.Bernoulli(0.5)));
      case 1:
        return Try(driver.Commit(DecideUncordonWorker(driver.state, uncordon, driver.now)));
      case 2:
        return Try(driver.Remove(Worker()));
      case 3:
        return Try(driver.Hold(1));
      default:
        return Try(driver.Commit(DecideReleaseExperiment(driver.state, release, driver.now)));
    }
  }

  // First come, first served.
  void Place() {
    const auto queue = driver.state.queue();
    for (const auto& [priority, number] : queue) {
      const ClusterState::Experiment& experiment = driver.state.experiments().at(number);
      const v1::ExperimentSpec spec = experiment.record.spec();
      int32_t room = RunningTrialsMax(spec) - experiment.trials_by_state[v1::Trial::STATE_RUNNING];
      const std::vector<int64_t> queued(experiment.queued.begin(), experiment.queued.end());
      for (const int64_t trial : queued) {
        TrialPlacement placement{TrialName(ExperimentName(number), trial), FreeSlots()};
        const auto slots = static_cast<size_t>(spec.resources().slots());
        if (room-- <= 0 || placement.ranks.size() < slots) return;
        placement.ranks.resize(slots);
        EXPECT_THAT(driver.Commit(DecideAllocate(driver.state, placement, driver.now)), IsOk());
      }
    }
  }

  std::vector<RankSlot> FreeSlots() const {
    std::vector<RankSlot> slots;
    for (const auto& [name, worker] : driver.state.workers()) {
      if (worker.record.lost()) continue;
      for (const v1::Slot& slot : worker.record.slots()) {
        if (!worker.busy.contains(slot.index())) slots.push_back({name, slot.index()});
      }
    }
    return slots;
  }

  // Something that the worker of an unfinished part says.
  void Report() {
    std::vector<std::pair<TrialName, std::string>> parts;
    for (const auto& [number, experiment] : driver.state.experiments()) {
      for (const auto& [trial_number, trial] : experiment.trials) {
        const storage::v1::AttemptRecord* open = OpenAttempt(trial.record);
        if (open == nullptr) continue;
        for (const storage::v1::AttemptPart& part : open->parts()) {
          if (!part.ended()) parts.push_back({trial.name, WorkerName::Parse(part.worker())->id()});
        }
      }
    }
    if (parts.empty()) return;
    const auto& [trial, worker] = parts[stream_.UniformInt(parts.size())];
    const int64_t experiment = trial.experiment().number();
    const int64_t step = static_cast<int64_t>(stream_.UniformInt(100));
    switch (stream_.UniformInt(4)) {
      case 0:
        return driver.Evaluate(experiment, trial.number(), worker, step,
                               static_cast<double>(stream_.UniformInt(100)));
      case 1:
        return Try(driver.Save(experiment, trial.number(), worker, ++checkpoints_, step));
      case 2:
        return driver.Start(experiment, trial.number(), worker, step);
      default: {
        static constexpr const char* kCauses[] = {
            "FINISHED",  "FINISHED",  "FINISHED", "DIVERGED", "INTERNAL",
            "PREEMPTED", "CANCELLED", "PRUNED",   "DATA",     "OUT_OF_MEMORY"};
        return driver.End(experiment, trial.number(), worker, kCauses[stream_.UniformInt(10)]);
      }
    }
  }

  KeyedStream stream_;
  int checkpoints_ = 0;
};

TEST(RandomHistoryTest, KeepsTheInvariantsAndOneFingerprint) {
  const uint64_t seed = TestSeed();
  for (uint64_t round = 0; round < 20; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    RandomHistory history(seed + round);
    InvariantChecker checker;
    ClusterState restored;  // goes through a snapshot now and then
    size_t applied = 0;
    for (int step = 0; step < 400; ++step) {
      history.Step();
      checker.Check(history.driver.state);
      ASSERT_FALSE(::testing::Test::HasFailure()) << "step " << step;
      for (; applied < history.driver.events.size(); ++applied) {
        ASSERT_THAT(restored.Apply(history.driver.events[applied]), IsOk());
      }
      if (step % 50 == 0) restored = Restore(restored);
    }
    EXPECT_GT(applied, 100u);
    const std::string fingerprint = history.driver.state.Fingerprint();
    EXPECT_EQ(Replay(history.driver.events).Fingerprint(), fingerprint);
    EXPECT_EQ(restored.Fingerprint(), fingerprint);
    checker.Check(restored);
  }
}

TEST(RandomHistoryTest, IsTheSameForTheSameSeed) {
  const uint64_t seed = TestSeed();
  std::string fingerprints[2];
  for (std::string& fingerprint : fingerprints) {
    RandomHistory history(seed);
    for (int step = 0; step < 300; ++step) history.Step();
    fingerprint = history.driver.state.Fingerprint();
  }
  EXPECT_EQ(fingerprints[0], fingerprints[1]);
}

}  // namespace
}  // namespace cvtrain::coordinator
