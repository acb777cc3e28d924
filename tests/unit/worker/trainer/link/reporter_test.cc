#include "worker/trainer/link/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/limits.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ReporterTest : public ::testing::Test {
 protected:
  // Frames in the order in which they were sent; call after Flush().
  std::vector<v1::TrainerFrame> Sent() {
    absl::MutexLock lock(&mu_);
    return sent_;
  }

  // All points of a series, over all frames.
  std::vector<int64_t> StepsOf(const std::string& metric) {
    std::vector<int64_t> steps;
    for (const v1::TrainerFrame& frame : Sent()) {
      for (const auto& series : frame.report().series()) {
        if (series.metric() != metric) continue;
        EXPECT_EQ(series.steps_size(), series.values_size());
        steps.insert(steps.end(), series.steps().begin(), series.steps().end());
      }
    }
    return steps;
  }

  absl::Mutex mu_;
  std::vector<v1::TrainerFrame> sent_;
  cvtrain::testing::FakeClock clock_;
  Reporter reporter_{clock_, [this](const v1::TrainerFrame& frame) {
                       EXPECT_LT(frame.ByteSizeLong(), limits::kMessageSizeBytesMax);
                       absl::MutexLock lock(&mu_);
                       sent_.push_back(frame);
                       return absl::OkStatus();
                     }};
};

TEST_F(ReporterTest, SendsPointsInColumns) {
  for (int64_t step = 0; step < 3; ++step) {
    reporter_.AddPoint("loss", step, 1.5);
    reporter_.AddPoint("epoch", step, 0);
  }
  EXPECT_THAT(reporter_.Flush(), IsOk());
  EXPECT_THAT(StepsOf("loss"), ElementsAre(0, 1, 2));
  EXPECT_THAT(StepsOf("epoch"), ElementsAre(0, 1, 2));
}

TEST_F(ReporterTest, SplitsWhatIsTooMuchForAFrame) {
  std::vector<int64_t> expected;
  for (int64_t step = 0; step < 50'000; ++step) {
    reporter_.AddPoint("loss", step, 0);
    expected.push_back(step);
  }
  for (int i = 0; i < 250; ++i) reporter_.AddFact(session::v1::Fact());
  EXPECT_THAT(reporter_.Flush(), IsOk());
  EXPECT_EQ(StepsOf("loss"), expected);
  int facts = 0;
  for (const v1::TrainerFrame& frame : Sent()) {
    EXPECT_LE(frame.report().facts_size(), 100);
    facts += frame.report().facts_size();
  }
  EXPECT_EQ(facts, 250);
}

TEST_F(ReporterTest, StampsFactsAndKeepsTheirOrder) {
  for (int64_t step : {1, 2}) {
    session::v1::Fact fact;
    fact.mutable_started()->set_start_step(step);
    reporter_.AddFact(fact);
  }
  EXPECT_THAT(reporter_.Flush(), IsOk());
  std::vector<int64_t> steps;
  for (const v1::TrainerFrame& frame : Sent()) {
    for (const auto& fact : frame.report().facts()) {
      steps.push_back(fact.started().start_step());
      EXPECT_EQ(fact.time().seconds(), absl::ToUnixSeconds(clock_.WallNow()));
    }
  }
  EXPECT_THAT(steps, ElementsAre(1, 2));
}

TEST_F(ReporterTest, CutsAndCountsLogLines) {
  reporter_.AddLine(cvtrain::v1::LOG_LEVEL_INFO, std::string(10'000, 'x'));
  EXPECT_THAT(reporter_.Flush(), IsOk());
  ASSERT_THAT(Sent(), SizeIs(1));
  ASSERT_THAT(Sent()[0].log().lines(), SizeIs(1));
  EXPECT_THAT(Sent()[0].log().lines(0).text(), SizeIs(limits::kLogLineSizeBytesMax));
}

TEST_F(ReporterTest, RepeatedProgressIsNoActivity) {
  cvtrain::v1::Progress progress;
  progress.set_step(5);
  reporter_.SetProgress(progress);
  reporter_.NoteActivity();
  EXPECT_THAT(reporter_.Flush(), IsOk());
  std::vector<int64_t> activity;
  for (const v1::TrainerFrame& frame : Sent()) {
    if (frame.report().activity() > 0) activity.push_back(frame.report().activity());
  }
  ASSERT_FALSE(activity.empty());
  EXPECT_EQ(activity.back(), 2);
  EXPECT_THAT(reporter_.Flush(), IsOk());
  for (const v1::TrainerFrame& frame : Sent()) EXPECT_LE(frame.report().activity(), 2);
}

// The interval never ends here: what comes comes because of the fact.
TEST(ReporterWakeTest, AFactGoesAtOnce) {
  cvtrain::testing::FakeClock clock;
  absl::Notification sent;
  Reporter reporter(
      clock,
      [&](const v1::TrainerFrame& frame) {
        if (frame.report().facts_size() > 0) sent.Notify();
        return absl::OkStatus();
      },
      absl::InfiniteDuration());
  reporter.AddPoint("loss", 1, 1);
  reporter.AddFact(session::v1::Fact());
  sent.WaitForNotification();
}

TEST_F(ReporterTest, ForgetsTheAttemptBefore) {
  reporter_.AddPoint("loss", 1, 1);
  reporter_.Clear();
  EXPECT_THAT(reporter_.Flush(), IsOk());
  EXPECT_THAT(StepsOf("loss"), IsEmpty());
}

}  // namespace
}  // namespace cvtrain::trainer
