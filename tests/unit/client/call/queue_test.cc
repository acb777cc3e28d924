// queue, explain, hold, release, worker cordon and drain, simulate --live, and flags of submit that
// say when to start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/call/verb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class QueueTest : public ::testing::Test {
 protected:
  absl::StatusOr<ExitCode> Run(VerbFunction verb, Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return verb(fake_.cli(), arguments);
  }
  std::string out() const { return fake_.out.str(); }
  int64_t now() { return absl::ToUnixSeconds(fake_.cli().clock.WallNow()); }

  // A trial that starts in a minute.
  v1::QueueEntry Waiting(const std::string& trial) {
    return ParseTextProto<v1::QueueEntry>(
        absl::StrCat("trial: '", trial,
                     "' label: 'sweep' project: 'default' creator: 'ann' priority: 50 slots: 2 "
                     "state: STATE_QUEUED reason: WAIT_REASON_RESERVATION rule: RANK_RULE_TAIL "
                     "message: 'waiting: free slots are kept for trial/1.1' left { seconds: 90 } "
                     "forecast_basis: 'measured in trial/1.1' predicted_start { seconds: ",
                     now() + 60, " } predicted_end { seconds: ", now() + 150, " }"));
  }

  FakeCoordinator coordinator_;
  FakeCli fake_;
};

TEST_F(QueueTest, ListsWhatWaitsWithReasonAndTimes) {
  coordinator_.queue.OnListQueue = [this](const auto& request, auto* response) {
    EXPECT_FALSE(request.running());
    *response->add_entries() = Waiting("experiments/3/trials/2");
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunQueue, {}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("trial/3.2"), HasSubstr("0/2"), HasSubstr("in 1m "),
                           HasSubstr("in 2m30s"), HasSubstr("RESERVATION")));
  EXPECT_THAT(out(), Not(HasSubstr("free slots are kept")));
  EXPECT_THAT(Run(RunQueue, {"-o", "wide"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("free slots are kept"), HasSubstr("tail")));
}

TEST_F(QueueTest, FollowsPagesUpToItsLimit) {
  coordinator_.queue.OnListQueue = [this](const auto& request, auto* response) {
    const int page = request.page_token().empty() ? 0 : 1;
    for (int i = 0; i < 2; ++i) {
      *response->add_entries() = Waiting(absl::StrCat("experiments/1/trials/", 2 * page + i + 1));
    }
    if (page == 0) response->set_next_page_token("more");
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunQueue, {"-o", "name", "--limit", "3"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "trial/1.1\ntrial/1.2\ntrial/1.3\n");
}

TEST_F(QueueTest, ExplainsOneTrial) {
  coordinator_.queue.OnExplainTrial = [this](const auto& request, auto* response) {
    EXPECT_EQ(request.name(), "experiments/3/trials/2");
    *response->mutable_entry() = Waiting(request.name());
    *response->add_ahead() = Waiting("experiments/1/trials/1");
    response->set_ahead_total(7);
    response->mutable_first_prediction()->mutable_time()->set_seconds(now() - 100);
    response->mutable_first_prediction()->mutable_start()->set_seconds(now() + 30);
    v1::WhatIf& what_if = *response->add_what_if();
    what_if.set_change("with one more worker of 2 slots");
    what_if.mutable_predicted_start()->set_seconds(now());
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunExplain, {"trial/3.2"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("RESERVATION"), HasSubstr("free slots are kept"),
                           HasSubstr("30s later than first said"), HasSubstr("7, the nearest"),
                           HasSubstr("with one more worker"), HasSubstr("now")));
  EXPECT_THAT(Run(RunExplain, {"exp/3"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
}

TEST_F(QueueTest, HoldsAndReleases) {
  std::vector<std::string> calls;
  coordinator_.experiments.OnHoldExperiment = [&](const auto& request, auto*) {
    calls.push_back("hold " + request.name());
    return absl::OkStatus();
  };
  coordinator_.experiments.OnReleaseExperiment = [&](const auto& request, auto*) {
    calls.push_back("release " + request.name());
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunHold, {"exp/1", "2"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(Run(RunRelease, {"sweep/1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(calls,
              ElementsAre("hold experiments/1", "hold experiments/2", "release experiments/1"));
  EXPECT_EQ(out(), "exp/1 held\nexp/2 held\nexp/1 released\n");
}

TEST_F(QueueTest, CordonsDrainsAndForgetsWorkers) {
  std::vector<v1::CordonWorkerRequest> cordons;
  coordinator_.workers.OnCordonWorker = [&](const auto& request, auto*) {
    cordons.push_back(request);
    return absl::OkStatus();
  };
  coordinator_.workers.OnUncordonWorker = [](const auto&, auto*) { return absl::OkStatus(); };
  coordinator_.workers.OnRemoveWorker = [](const auto&, auto*) {
    return FailedPrecondition(cvtrain::Reason::kWrongState, "workers/w1: is not lost");
  };
  EXPECT_THAT(Run(RunWorker, {"cordon", "w1", "--reason", "new disks"}),
              IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(Run(RunWorker, {"drain", "worker/w1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(Run(RunWorker, {"uncordon", "w1"}), IsOkAndHolds(ExitCode::kDone));
  ASSERT_EQ(cordons.size(), 2u);
  EXPECT_EQ(cordons[0].reason(), "new disks");
  EXPECT_FALSE(cordons[0].drain());
  EXPECT_TRUE(cordons[1].drain());
  EXPECT_EQ(out(), "worker/w1 cordoned\nworker/w1 draining\nworker/w1 uncordoned\n");
  EXPECT_THAT(Run(RunWorker, {"rm", "w1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE")));
}

TEST_F(QueueTest, AsksWhatIfOfTheLiveQueue) {
  coordinator_.queue.OnPredictQueue = [this](const auto& request, auto* response) {
    EXPECT_EQ(request.workers(), 4);
    EXPECT_THAT(request.without_workers(), ElementsAre("workers/w1"));
    *response->add_now() = Waiting("experiments/3/trials/2");
    *response->add_then() = Waiting("experiments/3/trials/2");
    response->mutable_end_now()->set_seconds(now() + 600);
    response->mutable_end_then()->set_seconds(now() + 300);
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunSimulate, {"--live", "--workers", "+4", "--without", "w1"}),
              IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("trial/3.2"), HasSubstr("All done in 10m; then in 5m.")));
  EXPECT_THAT(Run(RunSimulate, {"--live", "--trace", "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
}

}  // namespace
}  // namespace cvtrain::client
