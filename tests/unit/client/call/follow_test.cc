// What waits and follows: wait, watch, logs -f.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "client/call/verb.h"
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

class FollowTest : public ::testing::Test {
 protected:
  FollowTest() {
    coordinator_.trials.OnListTrials = [](const auto&, auto*) { return absl::OkStatus(); };
    coordinator_.experiments.OnGetExperiment = [this](const auto& request, auto* response) {
      const int look = ++looks_;
      if (look >= away_from_ && look < back_at_) return Away();
      response->mutable_experiment()->set_name(request.name());
      response->mutable_experiment()->set_state(look >= ends_at_ ? end_
                                                                 : v1::Experiment::STATE_ACTIVE);
      return absl::OkStatus();
    };
  }

  absl::StatusOr<ExitCode> Run(VerbFunction verb, Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return verb(fake_.cli(), arguments);
  }
  std::string out() const { return fake_.out.str(); }
  std::string err() const { return fake_.err.str(); }

  FakeCoordinator coordinator_;
  FakeCli fake_;
  // Looks at the experiment, counting from 1: it ends at one, and nobody answers in between.
  std::atomic<int> looks_ = 0;
  int ends_at_ = 1'000'000;
  int away_from_ = 1'000'000;
  int back_at_ = 1'000'000;
  v1::Experiment::State end_ = v1::Experiment::STATE_SUCCEEDED;
};

TEST_F(FollowTest, WaitEndsWithTheExperiment) {
  ends_at_ = 4;
  EXPECT_THAT(Run(RunWait, {"exp/1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "exp/1 SUCCEEDED\n");
}

TEST_F(FollowTest, WaitExitsAsTheExperimentDid) {
  ends_at_ = 2;
  end_ = v1::Experiment::STATE_FAILED;
  EXPECT_THAT(Run(RunWait, {"exp/1"}), IsOkAndHolds(ExitCode::kFailed));
}

TEST_F(FollowTest, WaitFailsIfNobodyAnswersAtFirst) {
  away_from_ = 1;
  EXPECT_THAT(Run(RunWait, {"exp/1"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
}

TEST_F(FollowTest, WaitOutlastsAnOutageAndSaysSoOnce) {
  away_from_ = 3;
  back_at_ = 200;  // more tries than one call makes
  ends_at_ = 201;
  EXPECT_THAT(Run(RunWait, {"exp/1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(err(), AllOf(HasSubstr("waiting for the coordinator"),
                           ::testing::Not(::testing::ContainsRegex("waiting(.|\n)*waiting"))));
}

TEST_F(FollowTest, WaitTakesTheDeadlineOfACallForAnOutage) {
  coordinator_.trials.OnGetTrial = [this](const auto&, auto* response) {
    response->mutable_trial()->set_state(v1::Trial::STATE_RUNNING);
    if (++looks_ == 2) return DeadlineExceeded(cvtrain::Reason::kDeadline, "slow");
    if (looks_ == 3) response->mutable_trial()->set_state(v1::Trial::STATE_SUCCEEDED);
    return absl::OkStatus();
  };
  EXPECT_THAT(Run(RunWait, {"trial/1.1"}), IsOkAndHolds(ExitCode::kDone));
}

TEST_F(FollowTest, WaitEndsWhenItsTimeIsOver) {
  const absl::Status status = Run(RunWait, {"exp/1", "--timeout", "5s"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded, Reason("DEADLINE")));
  EXPECT_EQ(ExitCodeFor(status), ExitCode::kTimeout);
  EXPECT_THAT(status.message(), HasSubstr("exp/1 ACTIVE"));
}

TEST_F(FollowTest, WaitDetachesAtCtrlCAndSaysHowToComeBack) {
  fake_.on_sleep = [this](int sleeps) {
    if (sleeps == 2) fake_.Press();
  };
  EXPECT_THAT(Run(RunWait, {"exp/1"}), IsOkAndHolds(ExitCode::kDetached));
  EXPECT_THAT(err(), HasSubstr("`cvctl wait exp/1` comes back"));
}

TEST_F(FollowTest, WaitRefusesWhatIsNotThereBeforeItWaits) {
  coordinator_.trials.OnGetTrial = [](const auto&, auto*) {
    return NotFound(cvtrain::Reason::kTrialNotFound, "no such trial");
  };
  EXPECT_THAT(Run(RunWait, {"exp/1", "trial/9.9"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("TRIAL_NOT_FOUND")));
  EXPECT_EQ(fake_.sleeps, 0);
}

TEST_F(FollowTest, WatchEndsWithTheRanking) {
  ends_at_ = 3;
  EXPECT_THAT(Run(RunWatch, {"exp/1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("RANK"), HasSubstr("exp/1 SUCCEEDED\n")));
}

TEST_F(FollowTest, WatchFailsIfNobodyAnswersAtFirst) {
  away_from_ = 1;
  EXPECT_THAT(Run(RunWatch, {"exp/1"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
}

TEST_F(FollowTest, WatchOutlastsAnOutage) {
  away_from_ = 3;
  back_at_ = 200;
  ends_at_ = 201;
  EXPECT_THAT(Run(RunWatch, {"exp/1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), HasSubstr("trials go on, waiting for the coordinator"));
}

TEST_F(FollowTest, WatchDetachesAtCtrlCAndSaysHowToComeBack) {
  fake_.on_sleep = [this](int) { fake_.Press(); };
  EXPECT_THAT(Run(RunWatch, {"exp/1"}), IsOkAndHolds(ExitCode::kDetached));
  EXPECT_THAT(err(), HasSubstr("`cvctl watch exp/1` comes back"));
}

// A trial that writes one line at each look and ends at the fourth.
class LogsTest : public FollowTest {
 protected:
  LogsTest() {
    coordinator_.logs.OnListLogLines = [this](const auto& request, auto* response) {
      const int call = ++calls_;
      if (call >= away_from_ && call < back_at_) return Away();
      const int line = request.page_token().empty() ? 1 : std::stoi(request.page_token());
      response->add_lines()->set_text(absl::StrCat("line ", line, "\x1b"));
      response->set_next_page_token(absl::StrCat(line + 1));
      response->set_at_end(true);
      return absl::OkStatus();
    };
    coordinator_.trials.OnGetTrial = [this](const auto&, auto* response) {
      response->mutable_trial()->set_state(++looks_ >= ends_at_ ? v1::Trial::STATE_SUCCEEDED
                                                                : v1::Trial::STATE_RUNNING);
      return absl::OkStatus();
    };
  }
  std::atomic<int> calls_ = 0;
};

TEST_F(LogsTest, PrintsEscapedLines) {
  EXPECT_THAT(Run(RunLogs, {"trial/1.1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "#0 rank 0  line 1\\x1b\n");
}

TEST_F(LogsTest, FollowsUntilTheTrialEndsAndLooksOnceMore) {
  ends_at_ = 2;
  EXPECT_THAT(Run(RunLogs, {"-f", "trial/1.1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), HasSubstr("line 3"));
}

TEST_F(LogsTest, OutlastsAnOutageWithoutLosingItsPlace) {
  ends_at_ = 3;
  away_from_ = 2;
  back_at_ = 200;
  EXPECT_THAT(Run(RunLogs, {"-f", "trial/1.1"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(),
            "#0 rank 0  line 1\\x1b\n#0 rank 0  line 2\\x1b\n#0 rank 0  line 3\\x1b\n"
            "#0 rank 0  line 4\\x1b\n");
  EXPECT_THAT(err(), HasSubstr("waiting for the coordinator"));
}

TEST_F(LogsTest, FailsIfNobodyAnswersAtFirst) {
  away_from_ = 1;
  EXPECT_THAT(Run(RunLogs, {"-f", "trial/1.1"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
}

TEST_F(LogsTest, DetachesAtCtrlCDuringAnOutageToo) {
  away_from_ = 2;
  fake_.on_sleep = [this](int sleeps) {
    if (sleeps == 5) fake_.Press();
  };
  EXPECT_THAT(Run(RunLogs, {"-f", "trial/1.1"}), IsOkAndHolds(ExitCode::kDetached));
  EXPECT_THAT(err(), HasSubstr("`cvctl logs -f trial/1.1` comes back"));
}

}  // namespace
}  // namespace cvtrain::client
