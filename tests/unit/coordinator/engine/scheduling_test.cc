#include "coordinator/engine/scheduling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "coordinator/engine/queue_views.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/fake_cluster.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kTrial1[] = "experiments/1/trials/1";
constexpr char kSecondAttempt[] = "experiments/2/trials/1/attempts/1";

// A synthetic trial of so many seconds.
v1::ExperimentSpec Takes(const std::string& name, int seconds, const std::string& more = "") {
  v1::ExperimentSpec spec = SyntheticSpec(name, more);
  spec.mutable_recipe()->mutable_synthetic()->set_steps(seconds);
  spec.mutable_recipe()->mutable_synthetic()->set_step_time_ms(1'000);
  return spec;
}

class SchedulingTest : public ::testing::Test {
 protected:
  // Submits, and begins what is placed at once on `worker`.
  void Run(FakeWorker& worker, const v1::ExperimentSpec& spec) {
    const absl::StatusOr<Answer> answer = cluster_.Submit(spec);
    ASSERT_THAT(answer, IsOk());
    const std::string attempt = absl::StrCat(answer->resource, "/trials/1/attempts/1");
    ASSERT_TRUE(worker.held.contains(attempt)) << attempt;
    ASSERT_THAT(cluster_.Begin(worker, attempt), IsOk());
  }

  bool IsStopping(const FakeWorker& worker, const std::string& attempt) const {
    return worker.held.at(attempt).stop.has_value();
  }

  v1::ListQueueResponse Queue(bool running = false) {
    v1::ListQueueRequest request;
    request.set_running(running);
    const auto response =
        cluster_.Look([&](const View& view) { return ListQueue(view, tokens_, "ann", request); });
    CVT_CHECK_OK(response.status());
    return *response;
  }
  std::vector<std::string> QueuedTrials() {
    std::vector<std::string> trials;
    const v1::ListQueueResponse queue = Queue();
    for (const v1::QueueEntry& entry : queue.entries()) trials.push_back(entry.trial());
    return trials;
  }
  v1::ExplainTrialResponse Explain(const std::string& trial) {
    v1::ExplainTrialRequest request;
    request.set_name(trial);
    const auto response =
        cluster_.Look([&](const View& view) { return ExplainTrial(view, request); });
    CVT_CHECK_OK(response.status());
    return *response;
  }
  // Seconds from now.
  double Until(const google::protobuf::Timestamp& time) {
    return absl::ToDoubleSeconds(FromTimestamp(time) - cluster_.Now().wall);
  }

  template <typename Request, typename Decide>
  absl::StatusOr<Answer> Ask(const Request& request, Decide decide) {
    auto answer =
        cluster_.Post("", "", [request, decide](const ClusterState& state, absl::Time now) {
          return decide(state, request, now);
        });
    cluster_.Turn();
    return **answer;
  }
  absl::StatusOr<Answer> Cordon(const std::string& worker, bool drain) {
    v1::CordonWorkerRequest request;
    request.set_name("workers/" + worker);
    request.set_drain(drain);
    request.set_reason("new disks");
    return Ask(request, DecideCordonWorker);
  }

  FakeCluster cluster_;
  const PageTokens tokens_{"secret"};
};

TEST_F(SchedulingTest, ALongTrialMakesWayForAShortOne) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("long", 10'000));
  ASSERT_THAT(cluster_.Submit(Takes("short", 10)), IsOk());
  cluster_.Advance(absl::Seconds(50));
  EXPECT_FALSE(IsStopping(worker, kAttempt1)) << "it has not run for a minute";
  cluster_.Advance(absl::Seconds(20));
  ASSERT_TRUE(IsStopping(worker, kAttempt1));
  EXPECT_EQ(worker.held.at(kAttempt1).stop->cause(), v1::CAUSE_PREEMPTED);
  EXPECT_EQ(worker.held.at(kAttempt1).stop->mode(), session::v1::StopAttempt::MODE_CHECKPOINT);
  EXPECT_EQ(Queue().entries(0).reason(), v1::WAIT_REASON_STOPPING);

  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 1, 60), IsOk());
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "PREEMPTED"), IsOk());
  EXPECT_TRUE(worker.held.contains(kSecondAttempt));
  EXPECT_EQ(cluster_.StateOf(1, 1), v1::Trial::STATE_QUEUED);
  // It costs nobody's budget, and goes on where it was.
  EXPECT_EQ(cluster_.Trial(1, 1).record.retries().ByteSizeLong(), 0u);
  ASSERT_THAT(cluster_.End(worker, kSecondAttempt, "FINISHED"), IsOk());
  EXPECT_EQ(worker.held.at("experiments/1/trials/1/attempts/2").assign.resume().step(), 60);
}

TEST_F(SchedulingTest, OnlyAsManyMakeWayAsAreNeeded) {
  FakeWorker& worker = cluster_.AddWorker("w1", 2);
  Run(worker, Takes("one", 10'000));
  Run(worker, Takes("two", 20'000));
  cluster_.Advance(absl::Seconds(70));
  ASSERT_THAT(cluster_.Submit(Takes("short", 10)), IsOk());
  // While one stops, turns go on: nobody else is stopped for the same trial.
  cluster_.Advance(absl::Seconds(20));
  EXPECT_NE(IsStopping(worker, kAttempt1), IsStopping(worker, kSecondAttempt));
}

TEST_F(SchedulingTest, WhoIsNearlyDoneIsLeftAlone) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("one", 72));
  cluster_.Advance(absl::Seconds(70));
  ASSERT_THAT(cluster_.Submit(Takes("urgent", 1, "priority: 100")), IsOk());
  cluster_.Advance(absl::Seconds(2));
  EXPECT_FALSE(IsStopping(worker, kAttempt1));
}

TEST_F(SchedulingTest, AHigherPriorityComesFirstHoweverLongItIs) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("low", 300, "priority: 10"));
  cluster_.Advance(absl::Seconds(70));
  ASSERT_THAT(cluster_.Submit(Takes("high", 50'000, "priority: 90")), IsOk());
  EXPECT_TRUE(IsStopping(worker, kAttempt1));
}

TEST_F(SchedulingTest, AGangStartsWhenAllOfItsSlotsAreFree) {
  FakeWorker& one = cluster_.AddWorker("w1", 1);
  FakeWorker& two = cluster_.AddWorker("w2", 1);
  Run(one, Takes("a", 10'000));
  Run(two, Takes("b", 10'000));
  cluster_.Advance(absl::Seconds(70));
  ASSERT_THAT(cluster_.Submit(Takes("gang", 10, "resources { slots: 2 } priority: 90")), IsOk());
  ASSERT_TRUE(IsStopping(one, kAttempt1));
  ASSERT_TRUE(IsStopping(two, kSecondAttempt));
  ASSERT_THAT(cluster_.End(one, kAttempt1, "PREEMPTED"), IsOk());
  // The free slot is kept: the trial that made way does not take it back.
  cluster_.Advance(absl::Seconds(5));
  EXPECT_THAT(one.held, IsEmpty());
  ASSERT_THAT(cluster_.End(two, kSecondAttempt, "PREEMPTED"), IsOk());
  EXPECT_TRUE(one.held.contains("experiments/3/trials/1/attempts/1"));
  EXPECT_TRUE(two.held.contains("experiments/3/trials/1/attempts/1"));
}

TEST_F(SchedulingTest, ALimitOfRunningTrialsCountsThoseThatStop) {
  FakeWorker& worker = cluster_.AddWorker("w1", 2);
  ASSERT_THAT(cluster_.Submit(Takes("sweep", 1'000, LinearSearch(3, 1))), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  ASSERT_THAT(cluster_.CancelTrial(kTrial1), IsOk());
  cluster_.Advance(absl::Seconds(3));
  EXPECT_EQ(cluster_.StateOf(1, 2), v1::Trial::STATE_QUEUED);
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "CANCELLED"), IsOk());
  EXPECT_EQ(cluster_.StateOf(1, 2), v1::Trial::STATE_RUNNING);
}

TEST_F(SchedulingTest, ACordonedWorkerGetsNothingNew) {
  FakeWorker& worker = cluster_.AddWorker("w1", 2);
  Run(worker, Takes("a", 10'000));
  ASSERT_THAT(Cordon("w1", /*drain=*/false), IsOk());
  ASSERT_THAT(cluster_.Submit(Takes("b", 10)), IsOk());
  cluster_.Advance(absl::Seconds(90));
  EXPECT_FALSE(IsStopping(worker, kAttempt1)) << "its slot would be of no use to anyone";
  EXPECT_EQ(cluster_.StateOf(2, 1), v1::Trial::STATE_QUEUED);
  EXPECT_THAT(Queue().entries(0).message(), HasSubstr("no worker is ready"));
  // A restart of either does not change it.
  cluster_.Crash();
  cluster_.Restart(worker);
  cluster_.Advance(absl::Seconds(2));
  EXPECT_EQ(cluster_.StateOf(2, 1), v1::Trial::STATE_QUEUED);
  v1::UncordonWorkerRequest request;
  request.set_name("workers/w1");
  ASSERT_THAT(Ask(request, DecideUncordonWorker), IsOk());
  EXPECT_EQ(cluster_.StateOf(2, 1), v1::Trial::STATE_RUNNING);
}

TEST_F(SchedulingTest, DrainingMovesWhatAWorkerRuns) {
  FakeWorker& one = cluster_.AddWorker("w1", 1);
  Run(one, Takes("a", 10'000));
  FakeWorker& two = cluster_.AddWorker("w2", 1);
  ASSERT_THAT(Cordon("w1", /*drain=*/true), IsOk());
  ASSERT_TRUE(IsStopping(one, kAttempt1));
  ASSERT_THAT(cluster_.End(one, kAttempt1, "PREEMPTED"), IsOk());
  EXPECT_TRUE(two.held.contains("experiments/1/trials/1/attempts/2"));
  // Asking again changes nothing.
  const int64_t revision = cluster_.engine->revision();
  ASSERT_THAT(Cordon("w1", /*drain=*/true), IsOk());
  EXPECT_EQ(cluster_.engine->revision(), revision);
}

TEST_F(SchedulingTest, AWorkerWhereTrialsFailIsSetAsideIfOthersDoWell) {
  FakeWorker& bad = cluster_.AddWorker("bad", 1);
  for (int i = 1; i <= 3; ++i) {
    Run(bad, Takes(absl::StrCat("e", i), 1'000));
    if (i == 3) cluster_.AddWorker("good", 1);
    const std::string attempt = absl::StrCat("experiments/", i, "/trials/1/attempts/1");
    ASSERT_THAT(
        cluster_.Report(bad, attempt, {"ended { cause: CAUSE_INTERNAL message: 'a crash' }"}),
        IsOk());
    if (i < 3) {
      EXPECT_FALSE(cluster_.engine->state().workers().at(WorkerName("bad")).record.cordoned());
      ASSERT_THAT(cluster_.CancelTrial(absl::StrCat("experiments/", i, "/trials/1"), true), IsOk());
      // It may have been tried again at once.
      for (const auto& [again, held] : std::map(bad.held)) {
        ASSERT_THAT(cluster_.Report(bad, again, {"ended { cause: CAUSE_WORKER_LOST }"}), IsOk());
      }
    }
  }
  const storage::v1::WorkerRecord& record =
      cluster_.engine->state().workers().at(WorkerName("bad")).record;
  EXPECT_TRUE(record.cordoned());
  EXPECT_THAT(record.cordon_reason(), HasSubstr("3 trials in a row failed here"));
  EXPECT_THAT(record.cordon_reason(), HasSubstr("internal: a crash"));
  EXPECT_EQ(cluster_.StateOf(3, 1), v1::Trial::STATE_RUNNING) << "on the other one";
  v1::UncordonWorkerRequest request;
  request.set_name("workers/bad");
  ASSERT_THAT(Ask(request, DecideUncordonWorker), IsOk());
  EXPECT_FALSE(record.cordoned());
  EXPECT_THAT(record.failures(), IsEmpty());
}

TEST_F(SchedulingTest, ARecipeThatCrashesEverywhereSetsNobodyAside) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  for (int i = 1; i <= 4; ++i) {
    Run(worker, Takes(absl::StrCat("e", i), 1'000, "retry { infrastructure_max: 0 }"));
    const std::string attempt = absl::StrCat("experiments/", i, "/trials/1/attempts/1");
    ASSERT_THAT(cluster_.End(worker, attempt, "INTERNAL"), IsOk());
  }
  EXPECT_FALSE(cluster_.engine->state().workers().at(WorkerName("w1")).record.cordoned());
}

TEST_F(SchedulingTest, OnlyALostWorkerCanBeForgotten) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  v1::RemoveWorkerRequest request;
  request.set_name("workers/w1");
  EXPECT_THAT(Ask(request, DecideRemoveWorker),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE")));
  cluster_.Disconnect(worker);
  cluster_.Advance(absl::Minutes(10));
  ASSERT_THAT(Ask(request, DecideRemoveWorker), IsOk());
  EXPECT_THAT(cluster_.engine->state().workers(), IsEmpty());
}

TEST_F(SchedulingTest, WhatIsHeldWaitsUntilItIsReleased) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Submit(Takes("a", 10, "hold: true")), IsOk());
  cluster_.Advance(absl::Seconds(5));
  EXPECT_THAT(worker.held, IsEmpty());
  EXPECT_EQ(Queue().entries(0).reason(), v1::WAIT_REASON_HELD);
  EXPECT_THAT(Queue().entries(0).message(), HasSubstr("cvctl release exp/1"));
  v1::ReleaseExperimentRequest request;
  request.set_name("experiments/1");
  ASSERT_THAT(Ask(request, DecideReleaseExperiment), IsOk());
  EXPECT_TRUE(worker.held.contains(kAttempt1));
}

TEST_F(SchedulingTest, WhatBeginsLaterWaitsUntilThen) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  const std::string begin = absl::FormatTime(
      absl::RFC3339_sec, cluster_.Now().wall + absl::Seconds(30), absl::UTCTimeZone());
  ASSERT_THAT(cluster_.Submit(Takes("a", 10, absl::StrCat("begin_after: '", begin, "'"))), IsOk());
  cluster_.Advance(absl::Seconds(20));
  EXPECT_THAT(worker.held, IsEmpty());
  EXPECT_EQ(Queue().entries(0).reason(), v1::WAIT_REASON_BEGIN);
  cluster_.Advance(absl::Seconds(15));
  EXPECT_TRUE(worker.held.contains(kAttempt1));
}

TEST_F(SchedulingTest, WhatComesAfterAnotherWaitsForItsEnd) {
  FakeWorker& worker = cluster_.AddWorker("w1", 3);
  Run(worker, Takes("first", 10));
  ASSERT_THAT(cluster_.Submit(Takes("if-ok", 10, "after: 'exp/1:ok'")), IsOk());
  ASSERT_THAT(cluster_.Submit(Takes("if-failed", 10, "after: 'trial/1.1:failed'")), IsOk());
  cluster_.Advance(absl::Seconds(5));
  EXPECT_THAT(worker.held, SizeIs(1));
  EXPECT_EQ(Queue().entries(0).reason(), v1::WAIT_REASON_DEPENDENCY);
  EXPECT_EQ(Queue().entries(0).message(), "waiting for the end of exp/1");
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  EXPECT_TRUE(worker.held.contains(kSecondAttempt));
  EXPECT_EQ(cluster_.StateOf(3, 1), v1::Trial::STATE_QUEUED);
  EXPECT_THAT(Queue().entries(0).message(), HasSubstr("to fail, and it succeeded"));
}

TEST_F(SchedulingTest, WhatComesAfterNothingIsRefused) {
  EXPECT_THAT(cluster_.Submit(Takes("a", 10, "after: 'exp/1'")),
              StatusIs(absl::StatusCode::kNotFound, Reason("EXPERIMENT_NOT_FOUND")));
  EXPECT_THAT(cluster_.Submit(Takes("a", 10, "after: 'worker/w1'")),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  EXPECT_THAT(cluster_.Submit(Takes("a", 10, "after: 'exp/1:maybe'")),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  EXPECT_THAT(cluster_.Submit(Takes("a", 10, "begin_after: 'tomorrow'")),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  EXPECT_THAT(cluster_.engine->state().experiments(), IsEmpty());
}

TEST_F(SchedulingTest, ListsTheQueueInTheOrderInWhichItIsServed) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("runs", 100, "priority: 100"));
  ASSERT_THAT(cluster_.Submit(Takes("long", 1'000)), IsOk());
  ASSERT_THAT(cluster_.Submit(Takes("short", 50)), IsOk());
  ASSERT_THAT(cluster_.Submit(Takes("wide", 10, "resources { slots: 8 }")), IsOk());
  EXPECT_THAT(QueuedTrials(), ElementsAre("experiments/3/trials/1", "experiments/4/trials/1",
                                          "experiments/2/trials/1"));
  const v1::ListQueueResponse queue = Queue(/*running=*/true);
  EXPECT_EQ(queue.waiting_total(), 3);
  ASSERT_THAT(queue.entries(), SizeIs(4));
  EXPECT_EQ(queue.entries(0).trial(), kTrial1);
  EXPECT_NEAR(Until(queue.entries(0).predicted_end()), 100, 2);
  EXPECT_EQ(queue.entries(1).reason(), v1::WAIT_REASON_SLOTS);
  EXPECT_EQ(queue.entries(1).message(), "waiting for 1 slot: 0 of 1 free");
  EXPECT_NEAR(Until(queue.entries(1).predicted_start()), 100, 2);
  EXPECT_EQ(queue.entries(2).reason(), v1::WAIT_REASON_TOO_LARGE);
  EXPECT_FALSE(queue.entries(2).has_predicted_start());
  EXPECT_EQ(queue.entries(3).reason(), v1::WAIT_REASON_ORDER);
  EXPECT_EQ(queue.entries(3).message(), "waiting behind trial/3.1");
  EXPECT_NEAR(Until(queue.entries(3).predicted_start()), 150, 2);
  EXPECT_NEAR(Until(queue.entries(3).predicted_end()), 1'150, 2);
}

TEST_F(SchedulingTest, PagesThroughTheQueue) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(cluster_.Submit(Takes(absl::StrCat("e", i), 10)), IsOk());
  }
  v1::ListQueueRequest request;
  request.set_page_size(2);
  std::vector<std::string> trials;
  do {
    const auto page =
        cluster_.Look([&](const View& view) { return ListQueue(view, tokens_, "ann", request); });
    ASSERT_THAT(page, IsOk());
    for (const v1::QueueEntry& entry : page->entries()) trials.push_back(entry.trial());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(trials, QueuedTrials());
  EXPECT_THAT(trials, SizeIs(5));
  request.set_page_token("forged");
  EXPECT_THAT(
      cluster_.Look([&](const View& view) { return ListQueue(view, tokens_, "ann", request); }),
      StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_PAGE_TOKEN")));
}

TEST_F(SchedulingTest, ExplainsOneThatWaits) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("runs", 100));
  ASSERT_THAT(cluster_.Submit(Takes("waits", 200)), IsOk());
  cluster_.Advance(absl::Seconds(30));
  const v1::ExplainTrialResponse why = Explain("experiments/2/trials/1");
  EXPECT_EQ(why.entry().reason(), v1::WAIT_REASON_SLOTS);
  EXPECT_EQ(why.ahead_total(), 1);
  EXPECT_EQ(why.ahead(0).trial(), kTrial1);
  EXPECT_NEAR(Until(why.entry().predicted_start()), 70, 3);
  // What was said first was right so far.
  EXPECT_NEAR(Until(why.first_prediction().start()), 70, 3);
  ASSERT_THAT(why.what_if(), SizeIs(2));
  EXPECT_THAT(why.what_if(0).change(), HasSubstr("one more worker"));
  EXPECT_NEAR(Until(why.what_if(0).predicted_start()), 0, 1);
  // The one that runs could be stopped for it when it has run for a minute.
  EXPECT_THAT(why.what_if(1).change(), HasSubstr("highest priority"));
  EXPECT_NEAR(Until(why.what_if(1).predicted_start()), 30, 3);
}

TEST_F(SchedulingTest, ExplainsOneThatRuns) {
  FakeWorker& worker = cluster_.AddWorker("w1", 2);
  Run(worker, Takes("runs", 1'000, "resources { slots: 2 }"));
  const v1::ExplainTrialResponse why = Explain(kTrial1);
  EXPECT_EQ(why.entry().state(), v1::Trial::STATE_RUNNING);
  ASSERT_THAT(why.placements(), SizeIs(2));
  EXPECT_EQ(why.placements(1).worker(), "workers/w1");
  EXPECT_THAT(why.placement_reason(), HasSubstr("neighbours"));
  EXPECT_NEAR(Until(why.preemptible_time()), 60, 2);
  EXPECT_GE(why.preemption_cost().seconds(), 3);
}

TEST_F(SchedulingTest, ExplainsALimitOfItsExperiment) {
  FakeWorker& worker = cluster_.AddWorker("w1", 2);
  ASSERT_THAT(cluster_.Submit(Takes("sweep", 1'000, LinearSearch(3, 1))), IsOk());
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  const v1::ExplainTrialResponse why = Explain("experiments/1/trials/2");
  EXPECT_EQ(why.entry().reason(), v1::WAIT_REASON_GROUP_LIMIT);
  ASSERT_THAT(why.what_if(), SizeIs(1));
  EXPECT_NEAR(Until(why.what_if(0).predicted_start()), 0, 1);
}

TEST_F(SchedulingTest, PredictsTheQueueWithOtherWorkers) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("runs", 1'000, "priority: 100"));
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(cluster_.Submit(Takes(absl::StrCat("e", i), 1'000)), IsOk());
  }
  v1::PredictQueueRequest request;
  request.set_workers(4);
  const auto predict = [&] {
    return cluster_.Look([&](const View& view) { return PredictQueue(view, request); });
  };
  const auto with = predict();
  ASSERT_THAT(with, IsOk());
  EXPECT_NEAR(Until(with->end_now()), 5'000, 5);
  EXPECT_NEAR(Until(with->end_then()), 1'000, 5);
  EXPECT_THAT(QueuedTrials(), SizeIs(4)) << "nothing has changed";

  request.set_workers(0);
  request.add_without_workers("workers/w1");
  const auto without = predict();
  ASSERT_THAT(without, IsOk());
  EXPECT_FALSE(without->has_end_then());
  request.add_without_workers("workers/nobody");
  EXPECT_THAT(predict(), StatusIs(absl::StatusCode::kNotFound, Reason("WORKER_NOT_FOUND")));
  request.clear_without_workers();
  request.set_workers(10'001);
  EXPECT_THAT(predict(), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(SchedulingTest, AForecastIsCorrectedByWhatTheJournalHas) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Run(worker, Takes("runs", 100));
  cluster_.Advance(absl::Seconds(40));
  // By now only 10 of 100 steps are done.
  const std::string time = absl::StrCat(absl::ToUnixSeconds(cluster_.Now().wall));
  session::v1::ReportFactsRequest request;
  request.set_worker(worker.name);
  request.set_attempt(kAttempt1);
  request.set_lease_generation(worker.held.at(kAttempt1).assign.lease_generation());
  *request.add_facts() = cvtrain::testing::ParseTextProto<session::v1::Fact>(
      absl::StrCat("sequence: ", ++worker.held.at(kAttempt1).sequence, " time { seconds: ", time,
                   " } evaluation { step: 10 time { seconds: ", time, " } }"));
  ASSERT_THAT(cluster_.Send(worker, request), IsOk());
  EXPECT_NEAR(static_cast<double>(Queue(true).entries(0).left().seconds()), 90, 2);
}

}  // namespace
}  // namespace cvtrain::coordinator
