#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "client/view/show.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

TEST(WordsTest, ShortensNamesAndKeepsWhatIsNone) {
  EXPECT_EQ(ShortName("experiments/12"), "exp/12");
  EXPECT_EQ(ShortName("experiments/12/trials/3"), "trial/12.3");
  EXPECT_EQ(ShortName("datasets/photos/versions/2"), "dataset/photos@2");
  EXPECT_EQ(ShortName("anything else"), "anything else");
}

TEST(WordsTest, NamesParametersByTheirShortestUnambiguousEnds) {
  v1::Trial trial;
  (*trial.mutable_parameters())["recipe.a.target.end"] = "1";
  (*trial.mutable_parameters())["recipe.b.target.end"] = "2";
  (*trial.mutable_parameters())["recipe.epochs"] = "3";
  EXPECT_EQ(ParametersText(trial), "a.target.end=1 b.target.end=2 epochs=3");
}

TEST(WordsTest, LeavesOutWhatIsNotKnown) {
  const v1::Progress none;
  EXPECT_EQ(StageText(none), "");
  EXPECT_EQ(StepText(none), "");
  EXPECT_EQ(EpochText(none), "");
  EXPECT_EQ(ProgressText(none), "");
  EXPECT_EQ(EtaText(none), "");
  EXPECT_EQ(AgeText(google::protobuf::Timestamp(), Now()), "-");
}

TEST(WordsTest, CountsAgesInSecondsEvenIfClocksDiffer) {
  google::protobuf::Timestamp time;
  time.set_seconds(absl::ToUnixSeconds(Now()) - 65);
  EXPECT_EQ(AgeText(time, Now()), "1m05s");
  time.set_seconds(absl::ToUnixSeconds(Now()));
  EXPECT_EQ(AgeText(time, Now()), "0s");
  time.set_seconds(absl::ToUnixSeconds(Now()) + 5);
  EXPECT_EQ(AgeText(time, Now()), "0s");
}

TEST(WordsTest, SaysTheStepAloneWhereTheEndIsNotKnown) {
  v1::Progress progress;
  progress.set_step(12);
  EXPECT_EQ(StepText(progress), "12");
}

TEST(WordsTest, HasLossAndSpeedOfRunningTrialsOnly) {
  v1::Trial trial = RunningTrial();
  EXPECT_EQ(LossText(trial), "2.345");
  EXPECT_EQ(SpeedText(trial), "1534");
  trial.set_state(v1::Trial::STATE_PAUSED);
  EXPECT_EQ(LossText(trial), "");
  EXPECT_EQ(SpeedText(trial), "");
}

TEST(WordsTest, ReadsMetricsWithFourDigits) {
  EXPECT_EQ(MetricText(87.9234), "87.92");
  EXPECT_EQ(MetricText(0.41327), "0.4133");
  EXPECT_EQ(MetricText(std::numeric_limits<double>::infinity()), "inf");
}

}  // namespace
}  // namespace cvtrain::client
