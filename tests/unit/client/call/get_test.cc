#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "absl/synchronization/notification.h"
#include "client/call/verb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

class GetTest : public ::testing::Test {
 protected:
  absl::StatusOr<ExitCode> Get(Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return RunGet(fake_.cli(), arguments);
  }
  std::string out() const { return fake_.out.str(); }

  FakeCoordinator coordinator_;
  FakeCli fake_;
};

TEST_F(GetTest, ShowsTheWorkerThatIsNamed) {
  coordinator_.workers.OnGetWorker = [](const auto& request, auto* response) {
    response->mutable_worker()->set_name(request.name());
    return absl::OkStatus();
  };
  EXPECT_THAT(Get({"worker", "gpu-a", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "worker/gpu-a\n");
}

TEST_F(GetTest, RefusesAWorkerThatIsNotThere) {
  coordinator_.workers.OnGetWorker = [](const auto&, auto*) {
    return NotFound(cvtrain::Reason::kWorkerNotFound, "workers/nobody: no such worker");
  };
  EXPECT_THAT(Get({"worker", "nobody"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("WORKER_NOT_FOUND")));
}

TEST_F(GetTest, RefusesADatasetThatIsNotThere) {
  coordinator_.datasets.OnGetDatasetVersion = [](const auto& request, auto*) {
    EXPECT_EQ(request.name(), "datasets/nothing/versions/0");
    return NotFound(cvtrain::Reason::kDatasetNotFound, "datasets/nothing: no such data set");
  };
  EXPECT_THAT(Get({"dataset/nothing"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
}

TEST_F(GetTest, RefusesAnIdOfAnotherKind) {
  EXPECT_THAT(Get({"worker", "exp/1"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
}

// One that a trial made, and one that was imported.
absl::Status ListTwoCheckpoints(const v1::ListCheckpointsRequest& request,
                                v1::ListCheckpointsResponse* response) {
  response->add_checkpoints()->set_name(request.parent() == "imported"
                                            ? "checkpoints/1111111e-0b7a-4c66-8f0e-2f6f1c0d9a11"
                                            : "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11");
  return absl::OkStatus();
}

TEST_F(GetTest, ListsCheckpointsOfTrialsThenThoseThatWereImported) {
  coordinator_.checkpoints.OnListCheckpoints = ListTwoCheckpoints;
  EXPECT_THAT(Get({"ckpt", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "ckpt/9f3c5d1e\nckpt/1111111e\n");
}

TEST_F(GetTest, ListsCheckpointsThatWereImported) {
  coordinator_.checkpoints.OnListCheckpoints = ListTwoCheckpoints;
  EXPECT_THAT(Get({"ckpt", "imported", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "ckpt/1111111e\n");
}

TEST_F(GetTest, FindsACheckpointByItsFirstDigits) {
  coordinator_.checkpoints.OnListCheckpoints = ListTwoCheckpoints;
  coordinator_.checkpoints.OnGetCheckpoint = [](const auto& request, auto* response) {
    response->mutable_checkpoint()->set_name(request.name());
    return absl::OkStatus();
  };
  EXPECT_THAT(Get({"ckpt/9f3c", "ckpt/1111", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "ckpt/9f3c5d1e\nckpt/1111111e\n");
}

TEST_F(GetTest, ListsTheCheckpointsOfATrial) {
  coordinator_.checkpoints.OnListCheckpoints = [](const auto& request, auto*) {
    EXPECT_EQ(request.parent(), "experiments/1/trials/2");
    return absl::OkStatus();
  };
  EXPECT_THAT(Get({"ckpt", "trial/1.2"}), IsOkAndHolds(ExitCode::kDone));
}

// Answers two pages of one resource each.
template <typename Response, typename Add>
absl::Status TwoPages(const std::string& token, Response* response, const Add& add) {
  add(token.empty() ? "a" : "b");
  response->set_next_page_token(token.empty() ? "more" : "");
  return absl::OkStatus();
}

TEST_F(GetTest, ListsEveryPageOfWorkersAndDatasets) {
  coordinator_.workers.OnListWorkers = [](const auto& request, auto* response) {
    return TwoPages(request.page_token(), response, [response](const std::string& name) {
      response->add_workers()->set_name("workers/" + name);
    });
  };
  EXPECT_THAT(Get({"worker", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "worker/a\nworker/b\n");

  fake_.out.str("");
  coordinator_.datasets.OnListDatasets = [](const auto& request, auto* response) {
    return TwoPages(request.page_token(), response, [response](const std::string& name) {
      response->add_datasets()->mutable_newest()->set_name("datasets/" + name + "/versions/1");
    });
  };
  EXPECT_THAT(Get({"dataset", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "dataset/a@1\ndataset/b@1\n");
}

// Five experiments, newest first, two to a page; the even ones have ended.
class GetExperimentsTest : public GetTest {
 protected:
  GetExperimentsTest() {
    coordinator_.experiments.OnListExperiments = [](const auto& request, auto* response) {
      const int from = request.page_token().empty() ? 5 : std::stoi(request.page_token());
      for (int number = from; number > std::max(0, from - 2); --number) {
        v1::Experiment& experiment = *response->add_experiments();
        experiment.set_name(absl::StrCat("experiments/", number));
        experiment.set_state(number % 2 == 0 ? v1::Experiment::STATE_SUCCEEDED
                                             : v1::Experiment::STATE_ACTIVE);
        if (number >= 4) experiment.mutable_spec()->mutable_search()->mutable_grid();
      }
      if (from > 2) response->set_next_page_token(absl::StrCat(from - 2));
      return absl::OkStatus();
    };
  }
  std::string err() const { return fake_.err.str(); }
};

TEST_F(GetExperimentsTest, TakesAsManyPagesAsTheLimitNeeds) {
  EXPECT_THAT(Get({"exp", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "exp/5\nexp/4\nexp/3\nexp/2\nexp/1\n");
  EXPECT_EQ(err(), "");
}

TEST_F(GetExperimentsTest, SaysThatThereAreMore) {
  EXPECT_THAT(Get({"exp", "-o", "name", "--limit", "3"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "exp/5\nexp/4\nexp/3\n");
  EXPECT_THAT(err(), AllOf(HasSubstr("newest 3"), HasSubstr("--limit")));
}

TEST_F(GetExperimentsTest, CountsOnlyWhatFitsTowardsTheLimit) {
  EXPECT_THAT(Get({"exp", "--active", "-o", "name", "--limit", "3"}),
              IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "exp/5\nexp/3\nexp/1\n");
  EXPECT_EQ(err(), "");
}

TEST_F(GetExperimentsTest, ListsSweepsOnly) {
  EXPECT_THAT(Get({"sweep", "-o", "name"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "exp/5\nexp/4\n");
}

TEST_F(GetExperimentsTest, AsksForTrialsOnlyWhereTheTableNeedsThem) {
  std::set<std::string> asked;
  coordinator_.trials.OnListTrials = [&asked](const auto& request, auto*) {
    asked.insert(request.parent());
    return absl::OkStatus();
  };
  EXPECT_THAT(Get({"exp"}), IsOkAndHolds(ExitCode::kDone));
  // The sweep that has ended says all by itself.
  EXPECT_THAT(asked, Not(::testing::Contains("experiments/4")));
  EXPECT_EQ(asked.size(), 4u);
}

TEST_F(GetTest, RefusesAnExperimentWithoutSearchAsASweep) {
  coordinator_.experiments.OnGetExperiment = [](const auto& request, auto* response) {
    response->mutable_experiment()->set_name(request.name());
    return absl::OkStatus();
  };
  EXPECT_THAT(Get({"sweep/3"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("EXPERIMENT_NOT_FOUND")));
}

TEST_F(GetTest, OffersTheNearestKind) {
  const absl::Status status = Get({"trails"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  EXPECT_THAT(status.message(), HasSubstr("trial"));
}

TEST_F(GetTest, TakesACallWithoutAnAnswerForATimeOutOnlyIfOneWasAskedFor) {
  coordinator_.workers.OnListWorkers = [](const auto&, auto*) {
    return DeadlineExceeded(cvtrain::Reason::kDeadline, "no answer");
  };
  EXPECT_EQ(ExitCodeFor(Get({"worker"}).status()), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeFor(Get({"worker", "--timeout", "30s"}).status()), ExitCode::kTimeout);
}

TEST_F(GetTest, IsCancelledByCtrlCWhileACallHangs) {
  // Shared with the handler, which may wake up after this test has ended.
  const auto answered = std::make_shared<absl::Notification>();
  coordinator_.workers.OnListWorkers = [this, answered](const auto&, auto*) {
    fake_.Press();
    answered->WaitForNotification();
    return absl::OkStatus();
  };
  const absl::Status status = Get({"worker"}).status();
  answered->Notify();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_EQ(ExitCodeFor(status), ExitCode::kDetached);
}

TEST(GetWithoutACoordinatorTest, SaysThatNobodyAnswersAndHowToStartOne) {
  FakeCli fake;
  const absl::Status status =
      RunGet(fake.cli(), {"exp", "--server", "unix:/nowhere/c.sock", "--timeout", "1s"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  EXPECT_THAT(status.message(), AllOf(HasSubstr("/nowhere/c.sock"), HasSubstr("cvctl local up")));
}

}  // namespace
}  // namespace cvtrain::client
