#include "coordinator/scheduler/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/random.h"
#include "coordinator/scheduler/reasons.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/scheduler/plan_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::string NameOf(int64_t id) { return absl::StrCat("trial/", id, ".1"); }

// "3 SLOTS" for each that waits, in order.
std::vector<std::string> Queue(const std::vector<PlanJob>& jobs, const Plan& plan) {
  std::vector<std::string> queue;
  for (const WaitingJob& one : plan.waiting) {
    queue.push_back(
        absl::StrCat(jobs[static_cast<size_t>(one.job)].id, " ", WaitReasonName(one.reason)));
  }
  return queue;
}

TEST(MakePlanTest, AGangGetsAllOfItsSlotsOrNone) {
  EXPECT_EQ(Planned("fifo", {Waits(1, 3, 60)}, Workers({1, 1})), "");
  EXPECT_EQ(Planned("fifo", {Waits(1, 3, 60)}, Workers({1, 2})), "1@w1x2+w0");
}

TEST(MakePlanTest, TheFullestWorkerThatHoldsAGangTakesIt) {
  EXPECT_EQ(Planned("fifo", {Waits(1, 2, 60)}, Workers({4, 2, 3})), "1@w1x2");
  EXPECT_EQ(Planned("fifo", {Waits(1, 2, 60)}, Workers({3, 3})), "1@w0x2");
}

TEST(MakePlanTest, APackedGangIsOnOneWorkerIfItFitsOne) {
  const std::vector<PlanJob> jobs = {Runs(1, {{0, 3}}, 60), Runs(2, {{1, 2}}, 60)};
  std::vector<PlanJob> with = jobs;
  with.push_back(Waits(3, 3, 60));
  EXPECT_EQ(Planned("backfill", with, Workers({4, 4})), "3@w1x2+w0");
  with.back() = Packed(with.back());
  EXPECT_EQ(Planned("backfill", with, Workers({4, 4})), "");
}

TEST(MakePlanTest, ALargerPackedGangHasWholeWorkersAndOneMore) {
  EXPECT_EQ(Planned("fifo", {Packed(Waits(1, 20, 60))}, Workers({8, 8, 8})), "1@w0x8+w1x8+w2x4");
  EXPECT_EQ(Planned("fifo", {Runs(1, {{1, 1}}, 60), Packed(Waits(2, 20, 60))}, Workers({8, 8, 8})),
            "2@w0x8+w2x8+w1x4");
  EXPECT_EQ(Planned("fifo", {Runs(1, {{1, 1}}, 60), Packed(Waits(2, 24, 60))}, Workers({8, 8, 8})),
            "");
}

TEST(MakePlanTest, AGangNeverMixesKindsAndTakesTheHigherOne) {
  std::vector<PlanWorker> workers = Workers({2, 2});
  workers[1].kind = 1;
  EXPECT_EQ(Planned("fifo", {Waits(1, 1, 60)}, workers), "1@w1");
  const std::vector<PlanJob> jobs = {Waits(1, 3, 60)};
  const Plan plan = PlanOf("fifo", jobs, workers);
  EXPECT_THAT(Queue(jobs, plan), ElementsAre("1 TOO_LARGE"));
}

TEST(MakePlanTest, SlotsAreLargeEnough) {
  std::vector<PlanWorker> workers = Workers({1, 1});
  workers[0].memory_bytes = 1000;
  workers[1].memory_bytes = 5000;
  std::vector<PlanJob> jobs = {Waits(1, 1, 60)};
  jobs[0].stages[0].memory_bytes = 1001;
  EXPECT_EQ(Planned("fifo", jobs, workers), "1@w1");
  jobs[0].stages[0].memory_bytes = 5001;
  EXPECT_THAT(Queue(jobs, PlanOf("fifo", jobs, workers)), ElementsAre("1 TOO_LARGE"));
}

TEST(MakePlanTest, NobodyComesToAClosedWorkerOrIsStoppedThereForAnyone) {
  std::vector<PlanWorker> workers = Workers({2, 2});
  workers[1].open = false;
  const std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{1, 1}}, 900)), Runs(2, {{0, 2}}, 100),
                                     Waits(3, 1, 10), Waits(4, 3, 10)};
  EXPECT_EQ(Planned("cvtrain", jobs, workers), "");
  const Plan plan = PlanOf("cvtrain", jobs, workers);
  // Three slots are too many: those of the closed worker do not count. One is free in 100 seconds,
  // not in those of the job that has to leave a worker which nobody may use.
  EXPECT_THAT(PredictStarts({Second(1000), jobs, workers}, plan),
              UnorderedElementsAre(Second(1100), absl::InfiniteFuture()));
}

TEST(MakePlanTest, PriorityComesBeforeThePolicy) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 60), Waits(2, 1, 60)};
  jobs[1].priority = 1;
  for (const char* policy : {"fifo", "backfill", "shortest", "cvtrain"}) {
    EXPECT_EQ(Planned(policy, jobs, Workers({1})), "2@w0") << policy;
  }
}

TEST(MakePlanTest, StrictlyNobodyPasses) {
  const std::vector<PlanJob> jobs = {Runs(1, {{0, 1}}, 60), Waits(2, 2, 60), Waits(3, 1, 60)};
  EXPECT_EQ(Planned("fifo", jobs, Workers({2})), "");
  EXPECT_EQ(Planned("backfill", jobs, Workers({2})), "3@w0");
  // Who can never run keeps nobody waiting.
  EXPECT_EQ(Planned("fifo", {Waits(1, 3, 60), Waits(2, 1, 60)}, Workers({2})), "2@w0");
}

TEST(MakePlanTest, AnExperimentRunsAsManyAsItMay) {
  std::vector<PlanJob> jobs = {Runs(1, {{0, 1}}, 60), Waits(2, 1, 60), Waits(3, 1, 60)};
  for (PlanJob& job : jobs) job.group = 7;
  for (PlanJob& job : jobs) job.group_running_max = 2;
  const Plan plan = PlanOf("fifo", jobs, Workers({4}));
  EXPECT_EQ(Summary(jobs, plan), "2@w0");
  EXPECT_THAT(Queue(jobs, plan), ElementsAre("3 GROUP_LIMIT"));
}

// --- Reservations ---------------------------------------------------------------------------

// Two slots, of which one is taken for 100 s; a gang of two comes first.
std::vector<PlanJob> Blocked() { return {Runs(1, {{0, 1}}, 100), Waits(2, 2, 50)}; }

TEST(ReservationTest, IsForTheFirstThatDoesNotFitWhenThoseWhoRunEnd) {
  const std::vector<PlanJob> jobs = Blocked();
  const Plan plan = PlanOf("cvtrain", jobs, Workers({2}));
  ASSERT_TRUE(plan.reservation.has_value());
  EXPECT_EQ(plan.reservation->job, 1);
  EXPECT_EQ(plan.reservation->at, Second(1100));
  EXPECT_THAT(plan.reservation->shares, ElementsAre(SlotShare{0, 2}));
}

TEST(ReservationTest, IsPassedOnlyByWhoIsDoneBefore) {
  std::vector<PlanJob> jobs = Blocked();
  jobs[1].priority = 1;
  jobs.push_back(Waits(3, 1, 100));
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({2})), "3@w0");
  jobs.back().stages[0].left = absl::Seconds(101);
  const Plan plan = PlanOf("cvtrain", jobs, Workers({2}));
  EXPECT_EQ(Summary(jobs, plan), "");
  EXPECT_THAT(Queue(jobs, plan), ElementsAre("2 SLOTS", "3 RESERVATION"));
}

TEST(ReservationTest, IsPassedByWhoMayBeStoppedForIt) {
  std::vector<PlanJob> jobs = Blocked();
  jobs[1].priority = 1;
  jobs.push_back(Waits(3, 1, 1000));
  jobs.back().preemptible_after = absl::Seconds(100);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({2})), "3@w0");
  jobs.back().preemptible_after = absl::Seconds(101);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({2})), "");
}

TEST(ReservationTest, IsPassedOnSlotsThatAreNotPartOfIt) {
  // It takes all of the second worker as soon as one of its slots comes back; the first is beside.
  std::vector<PlanJob> jobs = {Runs(1, {{1, 1}}, 100), Packed(Waits(2, 4, 50)), Waits(3, 1, 1000),
                               Waits(4, 1, 1000)};
  jobs[1].priority = 1;
  const Plan plan = PlanOf("cvtrain", jobs, Workers({1, 4}));
  EXPECT_EQ(Summary(jobs, plan), "3@w0");
  EXPECT_THAT(Queue(jobs, plan), ElementsAre("2 SLOTS", "4 RESERVATION"));
}

TEST(ReservationTest, ComesEarlierIfWhoRanksBelowMayBeStopped) {
  std::vector<PlanJob> jobs = Blocked();
  jobs[1].priority = 1;
  jobs[0] = Preemptible(jobs[0], 1040);
  const Plan plan = PlanOf("cvtrain", jobs, Workers({2}));
  ASSERT_TRUE(plan.reservation.has_value());
  EXPECT_EQ(plan.reservation->at, Second(1040));
}

// Rigid jobs with right forecasts, played to their end: whoever has a reservation begins no later.
TEST(ReservationTest, IsNeverPutOffByWhoPassedIt) {
  KeyedStream stream("reservation-test", {TestSeed()});
  for (int round = 0; round < 30; ++round) {
    const std::vector<PlanWorker> workers = Workers({4, 4, 4});
    std::vector<PlanJob> jobs;
    for (int64_t id = 1; id <= 25; ++id) {
      jobs.push_back(Waits(id, 1 + static_cast<int32_t>(stream.UniformInt(12)),
                           1 + static_cast<double>(stream.UniformInt(100))));
      jobs.back().packed = stream.Bernoulli(0.5);
      jobs.back().arrival = Second(0);
      // The order stays as it is while time passes.
      jobs.back().priority = 100 - static_cast<int32_t>(id);
    }
    const std::unique_ptr<Policy> policy = MakePolicy("cvtrain");
    absl::Time now = Second(0);
    std::map<int64_t, absl::Time> promised;  // by id, the first promise
    while (!jobs.empty()) {
      const Plan plan = MakePlan(*policy, {now, jobs, workers});
      if (plan.reservation.has_value()) {
        promised.try_emplace(jobs[static_cast<size_t>(plan.reservation->job)].id,
                             plan.reservation->at);
      }
      for (const StartedJob& one : plan.started) {
        PlanJob& job = jobs[static_cast<size_t>(one.job)];
        job.shares = one.shares;
        const auto promise = promised.find(job.id);
        if (promise == promised.end()) continue;
        EXPECT_LE(now, promise->second) << "job " << job.id;
      }
      absl::Duration step = absl::InfiniteDuration();
      for (const PlanJob& job : jobs) {
        if (job.runs()) step = std::min(step, job.left());
      }
      ASSERT_LT(step, absl::InfiniteDuration()) << "nobody runs";
      now += step;
      for (PlanJob& job : jobs) {
        if (job.runs()) job.stages[0].left -= step;
      }
      jobs.erase(std::remove_if(jobs.begin(), jobs.end(),
                                [](const PlanJob& job) {
                                  return job.runs() && job.left() <= absl::ZeroDuration();
                                }),
                 jobs.end());
    }
    EXPECT_FALSE(promised.empty());
  }
}

// --- Preemption -----------------------------------------------------------------------------

TEST(PreemptionTest, TakesTheLastInTheOrderAndNoMoreThanItNeeds) {
  std::vector<PlanJob> jobs;
  for (int64_t id = 1; id <= 4; ++id) {
    jobs.push_back(
        Preemptible(Runs(id, {{static_cast<int32_t>(id - 1), 1}}, 100 * static_cast<double>(id))));
  }
  jobs.push_back(Waits(5, 2, 10));
  EXPECT_EQ(Planned("shortest", jobs, Workers({1, 1, 1, 1})), "-3>5 -4>5 5@w2+w3");
  // One slot is free: one victim is enough.
  EXPECT_EQ(Planned("shortest", jobs, Workers({1, 1, 1, 1, 1})), "-4>5 5@w3+w4");
}

TEST(PreemptionTest, SparesVictimsWhoseSlotsDoNotHelp) {
  // The last in the order is on a worker that could not hold the gang anyway.
  std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 2}}, 200)),
                               Preemptible(Runs(2, {{1, 1}}, 300)), Packed(Waits(3, 2, 10))};
  EXPECT_EQ(Planned("shortest", jobs, Workers({2, 1})), "-1>3 3@w0x2");
}

TEST(PreemptionTest, PrefersTheLowerOfTwoVictimsOnOneWorker) {
  std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 200)),
                               Preemptible(Runs(2, {{0, 1}}, 300)),
                               Preemptible(Runs(3, {{1, 1}}, 400)), Packed(Waits(4, 1, 10))};
  EXPECT_EQ(Planned("shortest", jobs, Workers({2, 1})), "-3>4 4@w1");
  jobs[2] = Runs(3, {{1, 1}}, 400);
  EXPECT_EQ(Planned("shortest", jobs, Workers({2, 1})), "-2>4 4@w0");
}

TEST(PreemptionTest, TakesNobodyIfEvenAllVictimsAreTooFew) {
  const std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 200)), Runs(2, {{1, 1}}, 300),
                                     Waits(3, 2, 10)};
  EXPECT_EQ(Planned("shortest", jobs, Workers({1, 1})), "");
}

TEST(PreemptionTest, FindsTheRestOfAWideGangOnAnyWorker) {
  // Two whole workers of eight are free; four more slots come back on one of seven.
  const std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{2, 4}}, 200)), Runs(2, {{2, 3}}, 300),
                                     Packed(Waits(3, 20, 10))};
  EXPECT_EQ(Planned("shortest", jobs, Workers({8, 8, 7})), "-1>3 3@w0x8+w1x8+w2x4");
}

TEST(PreemptionTest, OnlyAtAMomentThatAllowsIt) {
  std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 200), 1001), Waits(2, 1, 10)};
  EXPECT_EQ(Planned("shortest", jobs, Workers({1}), 1000), "");
  EXPECT_EQ(Planned("shortest", jobs, Workers({1}), 1001), "-1>2 2@w0");
}

TEST(PreemptionTest, NobodyMakesWayForWhoRanksBelow) {
  const std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 100)), Waits(2, 1, 100.5)};
  EXPECT_EQ(Planned("shortest", jobs, Workers({1})), "");
}

TEST(PreemptionTest, AVictimMayMove) {
  // The gang needs the worker on which the small job runs; the other worker is free for that.
  const std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 200)), Packed(Waits(2, 2, 10))};
  EXPECT_EQ(Planned("shortest", jobs, Workers({2, 1})), "-1>2 2@w0x2 1@w1");
}

// --- Determinism and words --------------------------------------------------------------------

TEST(MakePlanTest, TheOrderInWhichJobsAreListedMeansNothing) {
  KeyedStream stream("plan-order-test", {TestSeed()});
  std::vector<PlanJob> jobs;
  for (int64_t id = 1; id <= 60; ++id) {
    jobs.push_back(Waits(id, 1 + static_cast<int32_t>(stream.UniformInt(4)),
                         100.0 * static_cast<double>(1 + stream.UniformInt(3))));
    jobs.back().arrival = Second(0);
  }
  const std::vector<PlanWorker> workers = Workers({4, 4, 8, 2});
  for (const PolicyInfo& policy : Policies()) {
    const std::string expected = Planned(policy.name, jobs, workers);
    EXPECT_NE(expected, "");
    for (int i = 0; i < 5; ++i) {
      stream.Shuffle(jobs);
      EXPECT_EQ(Planned(policy.name, jobs, workers), expected) << policy.name;
    }
  }
}

TEST(MakePlanTest, WithoutAQueueItDecidesTheSame) {
  KeyedStream stream("plan-queue-test", {TestSeed()});
  for (const PolicyInfo& policy : Policies()) {
    std::vector<PlanJob> jobs;
    int32_t worker = 0;
    for (int64_t id = 1; id <= 80; ++id) {
      const double seconds = 1 + static_cast<double>(stream.UniformInt(5000));
      if (worker < 12) {
        jobs.push_back(Preemptible(Runs(id, {{worker, 1 + worker % 3}}, seconds)));
        ++worker;
      } else {
        jobs.push_back(Waits(id, 1 + static_cast<int32_t>(stream.UniformInt(6)), seconds));
      }
    }
    const std::vector<PlanWorker> workers = Workers(std::vector<int32_t>(12, 4));
    const std::unique_ptr<Policy> with = MakePolicy(policy.name);
    const std::unique_ptr<Policy> without = MakePolicy(policy.name);
    const PlanInput input{Second(100), jobs, workers};
    const Plan queued = MakePlan(*with, input);
    EXPECT_EQ(Summary(jobs, queued), Summary(jobs, MakePlan(*without, input, {.queue = false})));
    // Everyone runs, begins or waits.
    EXPECT_EQ(queued.waiting.size() + queued.started.size() + 12 - queued.preempted.size(), 80u);
  }
}

TEST(WaitTextTest, SaysWhatKeepsAJob) {
  std::vector<PlanJob> jobs = {Runs(1, {{0, 1}}, 100), Waits(2, 2, 50), Waits(3, 1, 500),
                               Waits(4, 9, 10)};
  jobs[1].priority = 1;
  const std::vector<PlanWorker> workers = Workers({2});
  const PlanInput input{Second(1000), jobs, workers};
  const Plan plan = PlanOf("cvtrain", jobs, workers);
  std::vector<std::string> texts;
  for (const WaitingJob& one : plan.waiting) texts.push_back(WaitText(input, plan, one, NameOf));
  EXPECT_THAT(texts, ElementsAre("waiting for 2 slots: 1 of 2 free",
                                 "waiting for 9 slots: all workers together have 2",
                                 "waiting: free slots are kept for trial/2.1"));
  const Plan strict = PlanOf("fifo", jobs, workers);
  ASSERT_EQ(strict.waiting.size(), 3u);
  EXPECT_EQ(WaitText(input, strict, strict.waiting[1], NameOf), "waiting behind trial/2.1");
}

TEST(WaitTextTest, EveryReasonAndRuleHasAName) {
  for (int i = 0; i <= static_cast<int>(WaitReason::kShareTaken); ++i) {
    EXPECT_NE(WaitReasonName(static_cast<WaitReason>(i)), "");
  }
  for (int i = 0; i <= static_cast<int>(RankRule::kProbe); ++i) {
    EXPECT_NE(RankRuleName(static_cast<RankRule>(i)), "");
  }
}

TEST(PredictStartsTest, EachStartsWhenEnoughIsFreeBehindTheOneBefore) {
  const std::vector<PlanJob> jobs = {Runs(1, {{0, 1}}, 100), Runs(2, {{0, 1}}, 30), Waits(3, 2, 50),
                                     Waits(4, 1, 10), Waits(5, 3, 1)};
  const std::vector<PlanWorker> workers = Workers({2});
  const Plan plan = PlanOf("fifo", jobs, workers);
  EXPECT_THAT(PredictStarts({Second(1000), jobs, workers}, plan),
              ElementsAre(Second(1100), Second(1150), absl::InfiniteFuture()));
}

}  // namespace
}  // namespace cvtrain::coordinator
