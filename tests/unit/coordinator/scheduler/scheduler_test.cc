#include "coordinator/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "tests/support/seed.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kCpu = 1;
constexpr int kGpu = 2;

WorkerSlots Worker(const std::string& name, int32_t free, int32_t total = 0, int kind = kCpu) {
  WorkerSlots worker{WorkerName(name), kind, std::vector<int32_t>(static_cast<size_t>(free)),
                     std::max(free, total)};
  std::iota(worker.free.begin(), worker.free.end(), 0);
  return worker;
}

QueuedTrials Queued(int64_t experiment, int32_t slots, std::vector<int64_t> trials = {1}) {
  QueuedTrials queued;
  queued.experiment = ExperimentName(experiment);
  queued.slots = slots;
  queued.running_max = 100;
  queued.trials = std::move(trials);
  return queued;
}

// "1.1: a0 a1"
std::vector<std::string> Placed(const std::vector<QueuedTrials>& queue,
                                const std::vector<WorkerSlots>& workers) {
  std::vector<std::string> placed;
  for (const TrialPlacement& placement : PlaceTrials(queue, workers)) {
    std::string text =
        absl::StrCat(placement.trial.experiment().number(), ".", placement.trial.number(), ":");
    for (const RankSlot& rank : placement.ranks) {
      absl::StrAppend(&text, " ", rank.worker.id(), rank.slot);
    }
    placed.push_back(text);
  }
  return placed;
}

WorkerSlots Sized(WorkerSlots worker, int64_t memory_bytes) {
  worker.memory_bytes = memory_bytes;
  return worker;
}

QueuedTrials Needing(QueuedTrials queued, int64_t memory_bytes) {
  queued.memory_bytes = memory_bytes;
  return queued;
}

TEST(PlaceTrialsTest, GivesSlotsThatAreLargeEnough) {
  const std::vector<WorkerSlots> workers = {Sized(Worker("a", 2), 1000),
                                            Sized(Worker("b", 2), 5000)};
  EXPECT_THAT(Placed({Needing(Queued(1, 1), 1000)}, workers), ElementsAre("1.1: a0"));
  EXPECT_THAT(Placed({Needing(Queued(1, 1), 1001)}, workers), ElementsAre("1.1: b0"));
  EXPECT_THAT(Placed({Needing(Queued(1, 2), 1001)}, workers), ElementsAre("1.1: b0 b1"));
  // Who does not fit anywhere keeps nobody waiting.
  EXPECT_THAT(
      Placed({Needing(Queued(1, 3), 1001), Needing(Queued(2, 1), 5001), Queued(3, 3)}, workers),
      ElementsAre("3.1: a0 a1 b0"));
  // Who waits for large slots keeps them, and no others.
  EXPECT_THAT(
      Placed({Needing(Queued(1, 1), 5000), Needing(Queued(2, 1), 1000), Needing(Queued(3, 2), 1)},
             {Sized(Worker("a", 1), 1000), Sized(Worker("b", 0, 1), 5000)}),
      ElementsAre("2.1: a0"));
  // Of a worker that does not say, anything may be.
  EXPECT_THAT(Placed({Needing(Queued(1, 1), 5001)}, {Worker("a", 1)}), ElementsAre("1.1: a0"));
}

TEST(ExplainWaitTest, SaysThatSlotsAreTooSmall) {
  const std::vector<WorkerSlots> workers = {Sized(Worker("a", 2), 1 << 20),
                                            Sized(Worker("b", 0, 1), 4 << 20)};
  const std::vector<QueuedTrials> queue = {Needing(Queued(1, 1), 2 << 20),
                                           Needing(Queued(2, 2), 2 << 20),
                                           Needing(Queued(3, 1), 8 << 20)};
  const auto explain = [&](int64_t experiment) {
    return ExplainWait(queue, workers, TrialName(ExperimentName(experiment), 1));
  };
  EXPECT_EQ(explain(1), "waiting for 1 slot of 2 MiB: 0 of 1 free");
  EXPECT_EQ(explain(2), "waiting for 2 slots of 2 MiB: all workers together have 1");
  EXPECT_EQ(explain(3),
            "waiting for 1 slot of 8 MiB: all workers together have 0; a smaller model or "
            "size needs less");
}

TEST(PlaceTrialsTest, GivesAllSlotsOrNone) {
  EXPECT_THAT(Placed({Queued(1, 2)}, {Worker("a", 1, 2)}), IsEmpty());
  EXPECT_THAT(Placed({Queued(1, 2)}, {Worker("a", 2)}), ElementsAre("1.1: a0 a1"));
}

TEST(PlaceTrialsTest, ServesInOrderOfTheQueue) {
  EXPECT_THAT(Placed({Queued(2, 1, {4, 7}), Queued(1, 1)}, {Worker("a", 2)}),
              ElementsAre("2.4: a0", "2.7: a1"));
}

TEST(PlaceTrialsTest, LetsNothingOvertakeATrialThatWaitsForSlots) {
  EXPECT_THAT(Placed({Queued(1, 2), Queued(2, 1)}, {Worker("a", 1, 2)}), IsEmpty());
}

TEST(PlaceTrialsTest, PassesOverATrialThatAllWorkersTogetherCannotHold) {
  EXPECT_THAT(Placed({Queued(1, 3), Queued(2, 1)}, {Worker("a", 1, 2)}), ElementsAre("2.1: a0"));
}

TEST(PlaceTrialsTest, PassesOverAnExperimentThatRunsAsManyAsItMay) {
  QueuedTrials limited = Queued(1, 1, {1, 2, 3});
  limited.running_max = 2;
  limited.running = 1;
  EXPECT_THAT(Placed({limited, Queued(2, 1)}, {Worker("a", 4)}), ElementsAre("1.1: a0", "2.1: a1"));
}

TEST(PlaceTrialsTest, TakesTheSmallestHoleThatFits) {
  EXPECT_THAT(Placed({Queued(1, 2)}, {Worker("a", 4), Worker("b", 2), Worker("c", 3)}),
              ElementsAre("1.1: b0 b1"));
}

TEST(PlaceTrialsTest, SpreadsOverTheFewestWorkers) {
  EXPECT_THAT(Placed({Queued(1, 5)}, {Worker("a", 2), Worker("b", 4), Worker("c", 1)}),
              ElementsAre("1.1: b0 b1 b2 b3 c0"));
}

TEST(PlaceTrialsTest, MixesNoKindsAndPrefersGpus) {
  EXPECT_THAT(Placed({Queued(1, 2)}, {Worker("a", 1, 1, kCpu), Worker("b", 1, 1, kGpu)}),
              IsEmpty());
  EXPECT_THAT(Placed({Queued(1, 1)}, {Worker("a", 1, 1, kCpu), Worker("b", 1, 1, kGpu)}),
              ElementsAre("1.1: b0"));
  EXPECT_THAT(Placed({Queued(1, 2)}, {Worker("a", 2, 2, kCpu), Worker("b", 1, 1, kGpu)}),
              ElementsAre("1.1: a0 a1"));
}

TEST(ExplainWaitTest, SaysWhatIsMissing) {
  const std::vector<WorkerSlots> workers = {Worker("a", 1, 2)};
  const TrialName trial(ExperimentName(1), 1);
  EXPECT_EQ(ExplainWait({}, workers, trial), "");
  EXPECT_EQ(ExplainWait({Queued(1, 1)}, {}, trial), "waiting for 1 slot: no worker is ready");
  EXPECT_EQ(ExplainWait({Queued(1, 2)}, workers, trial), "waiting for 2 slots: 1 of 2 free");
  EXPECT_EQ(ExplainWait({Queued(1, 8)}, workers, trial),
            "waiting for 8 slots: all workers together have 2");
  QueuedTrials limited = Queued(1, 1);
  limited.running = limited.running_max = 2;
  EXPECT_EQ(ExplainWait({limited}, workers, trial),
            "waiting: its experiment runs 2 of at most 2 trials");
  EXPECT_EQ(ExplainWait({Queued(3, 2), Queued(1, 1)}, workers, trial),
            "waiting behind trial/3.1, which needs 2 slots: 1 of 2 free");
}

// Whatever the queue and the workers: slots that exist, once each, and all of a gang's.
TEST(PlaceTrialsTest, NeverGivesASlotTwice) {
  KeyedStream stream("test/v1", {TestSeed()});
  for (int round = 0; round < 500; ++round) {
    std::vector<WorkerSlots> workers;
    std::set<std::pair<std::string, int32_t>> free;
    for (uint64_t i = 0; i < 1 + stream.UniformInt(5); ++i) {
      const int32_t slots = static_cast<int32_t>(stream.UniformInt(5));
      workers.push_back(
          Worker(absl::StrCat("w", i), slots, 4, stream.Bernoulli(0.3) ? kGpu : kCpu));
      for (int32_t slot = 0; slot < slots; ++slot) free.insert({absl::StrCat("w", i), slot});
    }
    std::vector<QueuedTrials> queue;
    for (int64_t i = 1; i < 6; ++i) {
      queue.push_back(Queued(i, 1 + static_cast<int32_t>(stream.UniformInt(6)), {1, 2, 3}));
      queue.back().running_max = static_cast<int32_t>(stream.UniformInt(4));
    }
    for (const TrialPlacement& placement : PlaceTrials(queue, workers)) {
      const QueuedTrials& queued =
          queue[static_cast<size_t>(placement.trial.experiment().number() - 1)];
      EXPECT_THAT(placement.ranks, SizeIs(static_cast<size_t>(queued.slots)));
      for (const RankSlot& rank : placement.ranks) {
        EXPECT_EQ(free.erase({rank.worker.id(), rank.slot}), 1u);
      }
    }
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
