// The loops in virtual time, on traces small enough to be worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/simulate/batch_schedule.h"
#include "client/simulate/outcome.h"
#include "client/simulate/philly.h"
#include "client/simulate/shockwave.h"
#include "client/simulate/shockwave_job.h"
#include "client/simulate/study.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Ten steps a second, whatever the batch size.
Throughputs TenSteps() {
  std::vector<std::string> entries;
  for (const int batch : {5, 10, 20, 40, 80}) {
    for (const int gpus : {1, 2, 4}) {
      entries.push_back(
          absl::StrCat("\"('LM (batch size ", batch, ")', ", gpus, ")\": {\"null\": 10}"));
    }
  }
  return *Throughputs::Parse(absl::StrCat("{\"v100\": {", absl::StrJoin(entries, ","), "}}"));
}

ShockwaveJob Static(double arrival, int64_t steps, int gpus = 1) {
  return {.line = 1,
          .model = TraceModel::kLanguageModel,
          .mode = BatchMode::kStatic,
          .batch_size = 80,
          .steps = steps,
          .gpus = gpus,
          .weight = 1,
          .arrival_seconds = arrival};
}

Outcome Simulated(const std::vector<ShockwaveJob>& jobs, const std::string& policy, int gpus) {
  const Throughputs throughputs = TenSteps();
  const auto made = coordinator::MakePolicy(policy);
  absl::StatusOr<Outcome> outcome =
      SimulateShockwave(jobs, throughputs, *made, {.gpus = gpus, .told = {}, .stop = {}});
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  return outcome.ok() ? *std::move(outcome) : Outcome();
}

// --- Batch sizes ------------------------------------------------------------------------------

ShockwaveJob Changing(TraceModel model, int batch_size, int gpus, BatchMode mode) {
  return {.line = 1,
          .model = model,
          .mode = mode,
          .batch_size = batch_size,
          .steps = 1,
          .gpus = gpus,
          .weight = 1,
          .arrival_seconds = 0};
}

TEST(BatchScheduleTest, NoiseScaleDoublesAndFallsBackInTheLastEpoch) {
  const ShockwaveJob job = Changing(TraceModel::kLanguageModel, 10, 1, BatchMode::kNoiseScale);
  std::vector<int> batches = DeclaredBatches(job, 45);
  EXPECT_EQ(batches[10], 10);
  EXPECT_EQ(batches[11], 20);
  EXPECT_EQ(batches[20], 20);
  EXPECT_EQ(batches[21], 40);
  EXPECT_EQ(batches[41], 80);
  EXPECT_EQ(batches[43], 80);
  EXPECT_EQ(batches[44], 10);
  // In the first segment it does not fall back; and one that ends before has none.
  EXPECT_EQ(DeclaredBatches(job, 20).back(), 20);
  EXPECT_THAT(DeclaredBatches(job, 11), ::testing::Each(10));
  EXPECT_EQ(NoiseScaleBatch(job, 44), 80);
}

TEST(BatchScheduleTest, AccordionGrowsOutsideOfCriticalEpochsAfterAThird) {
  const ShockwaveJob job = Changing(TraceModel::kResnet50, 32, 1, BatchMode::kAccordion);
  const std::vector<int> batches = DeclaredBatches(job, 50);
  EXPECT_EQ(batches[15], 32);
  EXPECT_EQ(batches[16], 128);
  EXPECT_EQ(batches[29], 128);
  EXPECT_EQ(batches[30], 32);
  EXPECT_EQ(batches[40], 128);
  EXPECT_THAT(DeclaredBatches(Changing(TraceModel::kTransformer, 32, 1, BatchMode::kAccordion), 50),
              ::testing::Each(32));
  const ShockwaveJob other = Changing(TraceModel::kRecommendation, 512, 1, BatchMode::kAccordion);
  EXPECT_EQ(DeclaredBatches(other, 100)[65], 512);
  EXPECT_FALSE(IsCriticalAsSimulated(other, 65));
}

// --- Jobs -------------------------------------------------------------------------------------

TEST(ShockwaveRunTest, RunsInWholeStepsAndLosesARestart) {
  const Throughputs throughputs = TenSteps();
  CVT_ASSERT_OK_AND_ASSIGN(ShockwaveRun run, ShockwaveRun::Create(Static(0, 2000), throughputs));
  EXPECT_THAT(run.declared(), DoubleNear(3 * 59675 / 80.0 / 10, 1e-6));  // three epochs of 746
  run.RunRound(120, /*restart=*/true);
  EXPECT_EQ(run.served(), 100);
  EXPECT_EQ(run.MeasuredLeft(), 100);
  EXPECT_FALSE(run.done());
  EXPECT_EQ(run.RoundLength(120), 100);
  // It ends inside the round: nothing is charged.
  run.RunRound(120, /*restart=*/true);
  EXPECT_TRUE(run.done());
  EXPECT_EQ(run.served(), 200);
  EXPECT_EQ(run.RunAlone(), 200);
}

TEST(ShockwaveRunTest, ChangesItsBatchAfterTheNextRoundAndKeepsItsEpochs) {
  ShockwaveJob job = Changing(TraceModel::kLanguageModel, 40, 1, BatchMode::kNoiseScale);
  job.steps = int64_t{20} * 1492;  // twenty epochs at batch size 40
  const Throughputs throughputs = TenSteps();
  CVT_ASSERT_OK_AND_ASSIGN(ShockwaveRun run, ShockwaveRun::Create(job, throughputs));
  // Nine epochs and a little: the doubling of epoch 11 is seen when epoch 10 has begun.
  for (int i = 0; i < 12; ++i) {
    run.Observe();
    run.RunRound(120, false);
  }
  const double before = run.MeasuredLeft();
  EXPECT_THAT(before, DoubleNear((20 * 1492 - 12 * 1200) / 10.0, 1e-6));
  run.Observe();
  run.RunRound(120, false);
  // Eleven epochs are done, rounded up; nine are left, of 746 steps.
  EXPECT_THAT(run.MeasuredLeft(), DoubleNear(9 * 746 / 10.0, 1e-6));
}

TEST(ShockwaveRunTest, RefusesAJobWithoutASpeedAndOneThatNeverEnds) {
  const Throughputs throughputs = TenSteps();
  ShockwaveJob job = Static(0, 2000, 3);
  EXPECT_THAT(ShockwaveRun::Create(job, throughputs).status().message(),
              HasSubstr("line 1: the throughputs have none of LM with batch size 80 on 3 GPUs"));
  job = Static(0, int64_t{1} << 40);
  EXPECT_THAT(ShockwaveRun::Create(job, throughputs).status().message(),
              HasSubstr("line 1: total steps: must be at most 100000 epochs"));
}

// --- Rounds -----------------------------------------------------------------------------------

TEST(SimulateShockwaveTest, ARoundEndsWithItsLastJob) {
  // The first is done after 50 s, its GPU idles until 120 s, when the third begins and loses 20 s
  // of its first full round.
  const Outcome outcome =
      Simulated({Static(0, 500), Static(0, 2400), Static(10, 1100)}, "backfill", 2);
  EXPECT_EQ(outcome.jobs[0].end, 50);
  EXPECT_EQ(outcome.jobs[1].end, 240);
  EXPECT_EQ(outcome.jobs[2].end, 230);
  const Outcome late =
      Simulated({Static(0, 2400), Static(0, 500), Static(10, 2200)}, "backfill", 2);
  // 100 s in the first of its rounds, 120 s in the second.
  EXPECT_EQ(late.jobs[2].end, 360);
}

TEST(SimulateShockwaveTest, ARoundInWhichAllAreDoneEndsEarly) {
  const Outcome outcome = Simulated({Static(0, 500), Static(10, 500)}, "backfill", 1);
  EXPECT_EQ(outcome.jobs[0].end, 50);
  EXPECT_EQ(outcome.jobs[1].end, 100);
}

TEST(SimulateShockwaveTest, JumpsOverTimesWithoutJobs) {
  const Outcome outcome = Simulated({Static(0, 100), Static(5000, 100)}, "cvtrain", 1);
  EXPECT_EQ(outcome.jobs[0].end, 10);
  EXPECT_EQ(outcome.jobs[1].end, 5010);
}

TEST(SimulateShockwaveTest, RefusesAJobWiderThanTheCluster) {
  const auto policy = coordinator::MakePolicy("fifo");
  const absl::Status status = SimulateShockwave({Static(0, 100, 4)}, TenSteps(), *policy,
                                                {.gpus = 2, .told = {}, .stop = {}})
                                  .status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
  EXPECT_THAT(status.message(), HasSubstr("line 1, gpus: must be at most 2"));
}

TEST(SimulateShockwaveTest, EndsWhenAsked) {
  StopSource stop;
  stop.request_stop();
  const auto policy = coordinator::MakePolicy("fifo");
  EXPECT_THAT(SimulateShockwave({Static(0, 100)}, TenSteps(), *policy,
                                {.gpus = 2, .told = {}, .stop = stop.get_token()}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

// --- Rigid jobs -------------------------------------------------------------------------------

PhillyJob Rigid(double submitted, double duration, int gpus) {
  PhillyJob job;
  job.line = 2;
  job.submitted = absl::UnixEpoch() + absl::Seconds(submitted);
  job.duration_seconds = duration;
  job.gpus = gpus;
  return job;
}

std::vector<double> Ends(const std::vector<PhillyJob>& jobs, const std::string& policy, int gpus) {
  const auto made = coordinator::MakePolicy(policy);
  const auto outcome = SimulatePhilly(jobs, *made, {.gpus = gpus, .told = {}, .stop = {}});
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  std::vector<double> ends;
  for (const JobOutcome& job : outcome->jobs) ends.push_back(job.end);
  return ends;
}

TEST(SimulatePhillyTest, StrictOrGreedyOrShortest) {
  const std::vector<PhillyJob> jobs = {Rigid(0, 100, 4), Rigid(1, 20, 8), Rigid(2, 150, 2),
                                       Rigid(3, 40, 2)};
  EXPECT_THAT(Ends(jobs, "fifo", 8), ElementsAre(100, 120, 270, 160));
  EXPECT_THAT(Ends(jobs, "backfill", 8), ElementsAre(100, 172, 152, 43));
  // With a reservation the long one may not pass the wide one, the short one may.
  EXPECT_THAT(Ends(jobs, "cvtrain", 8), ElementsAre(100, 120, 270, 43));
}

TEST(SimulatePhillyTest, AJobOfUpToEightIsOnOneNode) {
  const std::vector<PhillyJob> jobs = {Rigid(0, 100, 5), Rigid(0, 100, 5), Rigid(1, 10, 6)};
  EXPECT_THAT(Ends(jobs, "backfill", 16), ElementsAre(100, 100, 110));
}

TEST(SimulatePhillyTest, AsksAgainWhenNothingElseHappens) {
  // Shares of the time are given out anew after 1,000 s, when nobody runs any more.
  const std::vector<PhillyJob> jobs = {Rigid(0, 10, 8), Rigid(5, 10, 8), Rigid(100, 10, 8)};
  EXPECT_THAT(Ends(jobs, "max_min", 8), ElementsAre(10, 20, 1070));
}

TEST(SimulatePhillyTest, RefusesWhatItCannotPlay) {
  const auto policy = coordinator::MakePolicy("fifo");
  const auto run = [&](int gpus, Told told) {
    return SimulatePhilly({Rigid(0, 10, 16)}, *policy,
                          {.gpus = gpus, .told = {.told = told}, .stop = {}})
        .status();
  };
  EXPECT_THAT(run(8, Told::kDeclared).message(), HasSubstr("line 2, num_gpus: must be at most 8"));
  EXPECT_THAT(run(20, Told::kDeclared).message(), HasSubstr("--gpus: must be a multiple of 8"));
  EXPECT_THAT(run(16, Told::kMeasured).message(), HasSubstr("--know measured"));
  EXPECT_TRUE(run(16, Told::kWrong).ok());
}

// --- What comes out ---------------------------------------------------------------------------

TEST(SummarizeTest, CountsWhatShockwavePublishes) {
  Outcome outcome;
  outcome.jobs = {{.arrival = 0, .end = 100, .served = 60, .alone = 50},
                  {.arrival = 50, .end = 350, .served = 200, .alone = 100},
                  {.arrival = 0, .end = 10, .served = 10, .alone = 10}};
  // Three jobs for two GPUs: a share of 1.5.
  const OutcomeSummary summary = Summarize(outcome, 2);
  EXPECT_EQ(summary.makespan, 350);
  EXPECT_THAT(summary.completion_mean, DoubleNear(410 / 3.0, 1e-9));
  EXPECT_THAT(summary.queueing_mean, DoubleNear(140 / 3.0, 1e-9));
  EXPECT_THAT(summary.ratio_worst, DoubleNear(2, 1e-9));
  EXPECT_EQ(summary.unfair, 2);
  // Fewer jobs than GPUs owe each all of it.
  EXPECT_THAT(Summarize(outcome, 30).ratio_worst, DoubleNear(3, 1e-9));
}

TEST(ToldFactorTest, IsOneUnlessWrongAndElseLogNormal) {
  EXPECT_EQ(ToldFactor({.told = Told::kDeclared, .sigma = 0.25, .seed = 1}, 3), 1);
  double sum = 0, squares = 0;
  constexpr int kJobs = 4000;
  for (size_t i = 0; i < kJobs; ++i) {
    const double log = std::log(ToldFactor({.told = Told::kWrong, .sigma = 0.25, .seed = 1}, i));
    sum += log;
    squares += log * log;
  }
  EXPECT_THAT(sum / kJobs, DoubleNear(0, 0.02));
  EXPECT_THAT(std::sqrt(squares / kJobs), DoubleNear(0.25, 0.01));
}

Trace SmallTrace() {
  std::vector<ShockwaveJob> jobs;
  for (int i = 0; i < 20; ++i) jobs.push_back(Static(10 * i, 2000 + 500 * i));
  return ShockwaveTrace{jobs, TenSteps()};
}

TEST(RunStudyTest, TheSameSeedGivesTheSame) {
  StudyOptions options;
  options.policies = {"cvtrain", "max_min"};
  options.gpus = 4;
  options.told = Told::kWrong;
  options.runs = 3;
  CVT_ASSERT_OK_AND_ASSIGN(const auto first, RunStudy(SmallTrace(), options));
  CVT_ASSERT_OK_AND_ASSIGN(const auto again, RunStudy(SmallTrace(), options));
  EXPECT_EQ(StudyJson(first, options), StudyJson(again, options));
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_THAT(first[0].runs, SizeIs(3));
  options.seed = 100;
  CVT_ASSERT_OK_AND_ASSIGN(const auto other, RunStudy(SmallTrace(), options));
  EXPECT_NE(StudyJson(first, options), StudyJson(other, options));
}

TEST(RunStudyTest, WithoutChanceItRunsOnce) {
  StudyOptions options;
  options.policies = {"cvtrain"};
  CVT_ASSERT_OK_AND_ASSIGN(const auto rows, RunStudy(SmallTrace(), options));
  EXPECT_THAT(rows[0].runs, SizeIs(1));
  EXPECT_EQ(StudyCells(rows[0], options).size(), StudyHeaders().size());
}

TEST(RunStudyTest, ASubsetHasFewerJobsAndGpusAndArrivalsStay) {
  StudyOptions options;
  options.policies = {"fifo"};
  options.gpus = 10;
  options.variation = Variation::kSubset;
  options.runs = 2;
  CVT_ASSERT_OK_AND_ASSIGN(const auto subset, RunStudy(SmallTrace(), options));
  EXPECT_EQ(subset[0].runs[0].jobs, 14);
  EXPECT_EQ(subset[0].runs[0].gpus, 7);
  options.variation = Variation::kArrivals;
  CVT_ASSERT_OK_AND_ASSIGN(const auto dealt, RunStudy(SmallTrace(), options));
  EXPECT_EQ(dealt[0].runs[0].jobs, 20);
  EXPECT_NE(dealt[0].runs[0].summary.completion_mean, dealt[0].runs[1].summary.completion_mean);
}

TEST(RunStudyTest, OffersTheNearestPolicy) {
  StudyOptions options;
  options.policies = {"cvtrian"};
  const absl::Status status = RunStudy(SmallTrace(), options).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("UNKNOWN_NAME")));
  EXPECT_THAT(status.message(), HasSubstr("did you mean cvtrain"));
}

}  // namespace
}  // namespace cvtrain::client
