#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/call/verb.h"
#include "common/limits.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kRecipe[] =
    "api: cvtrain/v1\nkind: Experiment\nname: plain\n"
    "recipe: {task: synthetic, synthetic: {steps: 10, step_time_ms: 1}}\n";

class SubmitTest : public ::testing::Test {
 protected:
  SubmitTest() {
    fake_.input = kRecipe;
    coordinator_.experiments.OnCreateExperiment = [this](const auto& request, auto* response) {
      created_ = request;
      response->mutable_experiment()->set_name("experiments/12");
      return absl::OkStatus();
    };
    coordinator_.experiments.OnGetExperiment = [](const auto& request, auto* response) {
      response->mutable_experiment()->set_name(request.name());
      response->mutable_experiment()->set_state(v1::Experiment::STATE_FAILED);
      return absl::OkStatus();
    };
  }

  absl::StatusOr<ExitCode> Submit(Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return RunSubmit(fake_.cli(), arguments);
  }
  std::string out() const { return fake_.out.str(); }

  FakeCoordinator coordinator_;
  FakeCli fake_;
  v1::CreateExperimentRequest created_;
};

TEST_F(SubmitTest, ReadsStandardInput) {
  EXPECT_THAT(Submit({"-"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "experiment/12 created\n");
  EXPECT_EQ(created_.spec().name(), "plain");
}

TEST_F(SubmitTest, TakesNameAndProjectAsTheyAre) {
  EXPECT_THAT(Submit({"-", "--name", "a #b"}).status().message(), HasSubstr("a #b"));
  EXPECT_THAT(Submit({"-", "--name", "it's"}).status().message(), HasSubstr("it's"));
  EXPECT_THAT(Submit({"-", "--name", "7", "--project", "true"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(created_.spec().name(), "7");
  EXPECT_EQ(created_.spec().project(), "true");
}

TEST_F(SubmitTest, RefusesARequestIdThatIsNoUuid) {
  const absl::Status status = Submit({"-", "--request-id", "again"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
}

TEST_F(SubmitTest, SaysOfAFileThatItIsTooLargeOnlyIfItIs) {
  CVT_ASSERT_OK(fake_.files.CreateDir("/folder"));
  EXPECT_THAT(Submit({"/folder"}).status().message(), Not(HasSubstr("256 KiB")));
  EXPECT_THAT(Submit({"/missing.yaml"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("FILE_NOT_FOUND")));
  CVT_ASSERT_OK(WriteFileAtomic(fake_.files, "/folder/large.yaml",
                                std::string(limits::kRecipeSizeBytesMax + 2, '#')));
  EXPECT_THAT(Submit({"/folder/large.yaml"}).status().message(), HasSubstr("256 KiB"));
}

TEST_F(SubmitTest, WaitsOnTheSameConnectionAndExitsAsTheJobDid) {
  EXPECT_THAT(Submit({"-", "--wait"}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_EQ(out(), "experiment/12 created\nexp/12 FAILED\n");
}

TEST_F(SubmitTest, PrintsNothingButTheIdWhenQuiet) {
  EXPECT_THAT(Submit({"-", "--wait", "-q"}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_EQ(out(), "exp/12\n");
}

TEST_F(SubmitTest, PrintsNothingButJsonWhenAskedForIt) {
  EXPECT_THAT(Submit({"-", "--wait", "-o", "json"}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_THAT(out(), AllOf(::testing::StartsWith("{"), ::testing::EndsWith("}\n")));
}

TEST_F(SubmitTest, WaitsNoLongerThanItsTimeout) {
  coordinator_.experiments.OnGetExperiment = [](const auto&, auto* response) {
    response->mutable_experiment()->set_state(v1::Experiment::STATE_ACTIVE);
    return absl::OkStatus();
  };
  EXPECT_THAT(Submit({"-", "--wait", "--timeout", "10s"}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, Reason("DEADLINE")));
}

TEST_F(SubmitTest, PrintsTheCommandThatRepeatsASubmissionOfUnknownOutcome) {
  coordinator_.experiments.OnCreateExperiment = [this](const auto& request, auto*) {
    created_ = request;
    return Away();
  };
  EXPECT_THAT(Submit({"-"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  EXPECT_THAT(fake_.err.str(), AllOf(HasSubstr("cvctl submit - --server "),
                                     HasSubstr("--request-id " + created_.request_id() + "`")));
}

TEST_F(SubmitTest, CountsOnceHoweverOftenItIsTried) {
  int calls = 0;
  std::string first_id;
  coordinator_.experiments.OnCreateExperiment = [&](const auto& request, auto* response) {
    if (++calls == 1) {
      first_id = request.request_id();
      return Away();
    }
    EXPECT_EQ(request.request_id(), first_id);
    response->mutable_experiment()->set_name("experiments/12");
    return absl::OkStatus();
  };
  EXPECT_THAT(Submit({"-", "-q"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(calls, 2);
}

TEST_F(SubmitTest, FollowsToTheEnd) {
  coordinator_.trials.OnListTrials = [](const auto&, auto*) { return absl::OkStatus(); };
  EXPECT_THAT(Submit({"-", "-f"}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_THAT(out(), ::testing::EndsWith("exp/12 FAILED\n"));
}

TEST_F(SubmitTest, DryRunStoresNothing) {
  coordinator_.experiments.OnPreviewExperiment = [](const auto& request, auto* response) {
    *response->mutable_spec() = request.spec();
    return absl::OkStatus();
  };
  EXPECT_THAT(Submit({"-", "--dry-run"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("name: plain"), HasSubstr("Nothing was submitted.")));
  EXPECT_EQ(created_.request_id(), "");
}

}  // namespace
}  // namespace cvtrain::client
