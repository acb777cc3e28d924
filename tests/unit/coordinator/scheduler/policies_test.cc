#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "common/random.h"
#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/water_filling.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/scheduler/plan_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::TestSeed;
using ::testing::DoubleNear;
using ::testing::ElementsAre;

std::vector<Rank> RanksOf(const std::string& policy, const std::vector<PlanJob>& jobs,
                          const std::vector<PlanWorker>& workers, double now) {
  std::vector<Rank> ranks(jobs.size());
  MakePolicy(policy)->RankJobs({Second(now), jobs, workers}, absl::MakeSpan(ranks));
  return ranks;
}

TEST(PoliciesTest, AreKnownByName) {
  for (const PolicyInfo& policy : Policies()) EXPECT_NE(MakePolicy(policy.name), nullptr);
  EXPECT_EQ(MakePolicy("lottery"), nullptr);
}

TEST(FillWaterTest, GivesEachTheSameUnlessItCanUseLess) {
  EXPECT_THAT(FillWater({{1, 4}, {1, 1}, {1, 8}}, 9), ElementsAre(4, 1, 4));
  EXPECT_THAT(FillWater({{1, 1}, {1, 2}}, 9), ElementsAre(1, 2));
  EXPECT_THAT(FillWater({{1, 9}, {2, 9}}, 9),
              ElementsAre(DoubleNear(3, 1e-9), DoubleNear(6, 1e-9)));
  EXPECT_THAT(FillWater({}, 9), ElementsAre());
}

// What makes a division max-min fair: who has less than someone else for its weight is full.
TEST(FillWaterTest, NobodyWhoCouldUseMoreHasLessThanAnother) {
  KeyedStream stream("fill-water-test", {TestSeed()});
  for (int round = 0; round < 50; ++round) {
    std::vector<Claim> claims;
    double wanted = 0;
    for (int i = 0; i < 20; ++i) {
      claims.push_back({0.1 + stream.Uniform01(), 8 * stream.Uniform01()});
      wanted += claims.back().most;
    }
    const double amount = 100 * stream.Uniform01();
    const std::vector<double> parts = FillWater(claims, amount);
    EXPECT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0), std::min(amount, wanted), 1e-6);
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LE(parts[i], claims[i].most + 1e-9);
      if (parts[i] > claims[i].most - 1e-9) continue;
      for (size_t k = 0; k < parts.size(); ++k) {
        EXPECT_GE(parts[i] / claims[i].weight, parts[k] / claims[k].weight - 1e-6);
      }
    }
  }
}

TEST(MaxMinTest, WhoHasHadLeastOfItsShareComesFirst) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 1e5), Waits(2, 1, 1e5)};
  const std::vector<PlanWorker> workers = Workers({1});
  const std::unique_ptr<Policy> policy = MakePolicy("max_min");
  std::string order;
  for (double now = 0; now < 960; now += 120) {
    const Plan plan = MakePlan(*policy, {Second(now), jobs, workers});
    ASSERT_EQ(plan.started.size(), 1u);
    PlanJob& job = jobs[static_cast<size_t>(plan.started[0].job)];
    job.served += absl::Seconds(120);
    absl::StrAppend(&order, job.id);
  }
  EXPECT_EQ(order, "12121212");
}

TEST(MaxMinTest, WhoComesLaterWaitsUntilSharesAreGivenOutAgain) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 1e5)};
  const std::vector<PlanWorker> workers = Workers({2});
  const std::unique_ptr<Policy> policy = MakePolicy("max_min");
  const auto eligible = [&](double now) {
    std::vector<Rank> ranks(jobs.size());
    policy->RankJobs({Second(now), jobs, workers}, absl::MakeSpan(ranks));
    return ranks.back().eligible;
  };
  EXPECT_TRUE(eligible(0));
  jobs.push_back(Waits(2, 1, 1e5));
  EXPECT_TRUE(eligible(120)) << "the first time comes at once";
  jobs.push_back(Waits(3, 1, 1e5));
  EXPECT_FALSE(eligible(240));
  EXPECT_FALSE(eligible(1080));
  EXPECT_TRUE(eligible(1200));
}

// --- Ours -------------------------------------------------------------------------------------

TEST(CvtrainTest, TheShorterOneComesFirst) {
  EXPECT_EQ(
      Planned("cvtrain", {Waits(1, 1, 500), Waits(2, 1, 400), Waits(3, 1, 9000)}, Workers({1})),
      "2@w0");
}

TEST(CvtrainTest, WhatWouldMakeATailComesFirst) {
  // Two slots and 16,000 s of work: the long one has to begin at once, or all end late.
  std::vector<PlanJob> jobs = {Waits(1, 1, 8000)};
  for (int64_t id = 2; id <= 9; ++id) jobs.push_back(Waits(id, 1, 1000));
  const std::vector<Rank> ranks = RanksOf("cvtrain", jobs, Workers({1, 1}), 10);
  EXPECT_EQ(ranks[0].rule, RankRule::kTail);
  EXPECT_LT(ranks[0].key, ranks[1].key);
  EXPECT_EQ(ranks[1].rule, RankRule::kShortest);
  // With twice the work it has time, and the short ones go first.
  for (int64_t id = 10; id <= 30; ++id) jobs.push_back(Waits(id, 1, 1000));
  const std::vector<Rank> later = RanksOf("cvtrain", jobs, Workers({1, 1}), 10);
  EXPECT_GT(later[0].key, later[1].key);
}

TEST(CvtrainTest, AVeryShortJobPassesEvenAnUrgentOne) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 9000), Waits(2, 1, 100)};
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "2@w0");
}

// Short jobs keep coming, and would for ever: the long one still begins before an equal share
// would have run it.
TEST(CvtrainTest, NobodyStarves) {
  const std::vector<PlanWorker> workers = Workers({1});
  const std::unique_ptr<Policy> policy = MakePolicy("cvtrain");
  PlanJob wide = Waits(1, 1, 3000);
  wide.arrival = Second(0);
  double begun = -1;
  for (double now = 0; now < 20'000 && begun < 0; now += 200) {
    std::vector<PlanJob> jobs = {wide};
    for (int64_t k = 0; k < 3; ++k) {
      jobs.push_back(Waits(2 + k, 1, 600));
      jobs.back().arrival = Second(now - 10);
    }
    // So that the horizon is far: nobody's being late makes a tail.
    jobs.push_back(Waits(9, 1, 60'000));
    jobs.back().arrival = Second(now - 10);
    const Plan plan = MakePlan(*policy, {Second(now), jobs, workers});
    ASSERT_EQ(plan.started.size(), 1u);
    if (plan.started[0].job == 0) begun = now;
  }
  // Five ask for one slot: an equal share ends it after 15,000 s, so it has to begin before 12,000.
  EXPECT_GE(begun, 0);
  EXPECT_LE(begun, 12'000);
}

TEST(CvtrainTest, TwiceTheWeightIsOwedTwiceTheShare) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 3000), Waits(2, 1, 3000)};
  for (PlanJob& job : jobs) job.arrival = Second(0);
  for (int64_t id = 3; id <= 8; ++id) jobs.push_back(Waits(id, 1, 9000));
  jobs[1].weight = 4;
  const std::vector<Rank> ranks = RanksOf("cvtrain", jobs, Workers({1}), 4000);
  EXPECT_LT(ranks[1].key, ranks[0].key);
  EXPECT_EQ(ranks[1].rule, RankRule::kFairness);
}

TEST(CvtrainTest, AChangeOfPlacesMustBeWorthItsCost) {
  std::vector<PlanJob> jobs = {Preemptible(Runs(1, {{0, 1}}, 2000), 0, /*cost=*/20),
                               Waits(2, 1, 1500)};
  // So that neither is urgent.
  for (int64_t id = 3; id <= 12; ++id) jobs.push_back(Waits(id, 1, 9000));
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "");
  jobs[0].restart_cost = absl::Seconds(5);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "-1>2 2@w0");
}

TEST(CvtrainTest, AForecastThatMayBeWrongIsTriedFirst) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 5000), Waits(2, 1, 1000)};
  for (int64_t id = 3; id <= 12; ++id) jobs.push_back(Waits(id, 1, 9000));
  jobs[0].forecast_error = 0.25;
  EXPECT_EQ(RanksOf("cvtrain", jobs, Workers({1}), 1000)[0].rule, RankRule::kProbe);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "1@w0");
  jobs[0].served = jobs[0].served_forecast = absl::Seconds(120);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "2@w0");
}

TEST(CvtrainTest, WhatRanCorrectsTheForecastOfWhatIsLeft) {
  std::vector<PlanJob> jobs = {Waits(1, 1, 1000), Waits(2, 1, 1500)};
  for (int64_t id = 3; id <= 12; ++id) jobs.push_back(Waits(id, 1, 9000));
  // It took twice as long as forecast: 2,000 s are left rather than 1,000.
  jobs[0].served = absl::Seconds(2000);
  jobs[0].served_forecast = absl::Seconds(1000);
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "1@w0") << "a forecast taken as it is";
  jobs[0].forecast_error = 0.25;
  EXPECT_EQ(Planned("cvtrain", jobs, Workers({1})), "2@w0");
}

}  // namespace
}  // namespace cvtrain::coordinator
