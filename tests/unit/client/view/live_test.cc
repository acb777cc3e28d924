#include "client/view/live.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "client/view/live_rows.h"
#include "client/view/show.h"
#include "common/text.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<std::string> Rows(const std::vector<v1::Trial>& trials, TerminalSize size) {
  return LiveRows(Sweep(), trials, Now(), size, false);
}

std::vector<v1::Trial> Trials(int count) {
  std::vector<v1::Trial> trials;
  for (int i = 1; i <= count; ++i) trials.push_back(RunningTrial(i));
  return trials;
}

TEST(LiveRowsTest, ShowsEverythingOfATrialOnAWideTerminal) {
  const std::vector<std::string> rows = Rows({RunningTrial()}, {.rows = 24, .columns = 140});
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_THAT(rows[1], AllOf(HasSubstr("STAGE"), HasSubstr("IMG/S"), HasSubstr("ETA")));
  EXPECT_THAT(rows[2],
              AllOf(StartsWith("trial/1.1 RUNNING 3/5 192px 1234/5678 1534  2.345 87.92 [==="),
                    HasSubstr("]  22% 12m5s"), HasSubstr("target_psnr.end=20")));
}

TEST(LiveRowsTest, KeepsEveryNumberBarAndEtaAtEightyColumns) {
  const std::vector<std::string> rows = Rows({RunningTrial()}, {.rows = 24, .columns = 80});
  for (const char* wanted :
       {"3/5 192px", "1234/5678", "1534", "2.345", "87.92", "[=", "]  22%", "12m5s"})
    EXPECT_THAT(rows[2], HasSubstr(wanted));
}

TEST(LiveRowsTest, DropsColumnsBeforeBarPercentageAndEta) {
  const std::vector<std::string> rows = Rows({RunningTrial()}, {.rows = 24, .columns = 50});
  EXPECT_THAT(rows[2], AllOf(StartsWith("trial/1.1"), HasSubstr("[="), HasSubstr("]  22%"),
                             HasSubstr("12m5s"), Not(HasSubstr("RUNNING"))));
}

TEST(LiveRowsTest, NeverFillsTheWidthOfTheTerminal) {
  v1::Trial failed = EndedTrial(2, v1::Trial::STATE_FAILED);
  failed.set_reason(std::string(300, 'x'));
  for (int columns = 21; columns < 200; ++columns) {
    for (const std::string& row :
         Rows({RunningTrial(), QueuedTrial(3), failed}, {.rows = 24, .columns = columns}))
      EXPECT_LT(DisplayWidth(row), static_cast<size_t>(columns)) << row;
  }
}

TEST(LiveRowsTest, CutsToTheHeightAndCountsTheRest) {
  const std::vector<std::string> rows = Rows(Trials(30), {.rows = 10, .columns = 100});
  EXPECT_THAT(rows, SizeIs(9));  // the cursor stands on the tenth
  EXPECT_EQ(rows.back(), "... 24 more");
}

TEST(LiveRowsTest, KeepsTheRunningTrialsWhenItCuts) {
  std::vector<v1::Trial> trials;
  for (int i = 1; i <= 20; ++i) trials.push_back(EndedTrial(i, v1::Trial::STATE_SUCCEEDED));
  trials.push_back(RunningTrial(21));
  const std::vector<std::string> rows = Rows(trials, {.rows = 8, .columns = 100});
  ASSERT_THAT(rows, SizeIs(7));
  EXPECT_THAT(rows[2], StartsWith("trial/1.1 "));
  EXPECT_THAT(rows[5], StartsWith("trial/1.21"));
  EXPECT_EQ(rows[6], "... 17 more");
}

TEST(LiveRowsTest, SaysNoSpeedAndNoLossOfATrialThatHasEnded) {
  const std::vector<std::string> rows =
      Rows({EndedTrial(1, v1::Trial::STATE_SUCCEEDED)}, {.rows = 24, .columns = 140});
  EXPECT_THAT(rows[2], HasSubstr("5678/5678 -     -    87.92 [==================] 100% -"));
}

TEST(LiveRowsTest, SaysWhyATrialWaits) {
  EXPECT_THAT(Rows({QueuedTrial(3)}, {})[2],
              AllOf(HasSubstr("QUEUED"), HasSubstr("waiting for 2 slots")));
}

TEST(LiveRowsTest, EscapesWhatCameFromOutside) {
  v1::Trial trial = QueuedTrial(3);
  trial.set_reason("\x1b[2J");
  v1::Experiment sweep = Sweep();
  sweep.mutable_spec()->set_name("a\x1b");
  for (const std::string& row : LiveRows(sweep, {trial}, Now(), {}, false))
    EXPECT_THAT(row, Not(HasSubstr("\x1b")));
}

TEST(LiveViewTest, AsksForTheSizeAtEachRedraw) {
  std::ostringstream out;
  TerminalSize size{.rows = 10, .columns = 100};
  LiveView view(out, {.terminal = true, .size = [&size] { return size; }});
  view.Update(Sweep(), Trials(30), Now());
  EXPECT_THAT(out.str(), HasSubstr("... 24 more"));

  out.str("");
  size.rows = 20;
  view.Update(Sweep(), Trials(30), Now());
  EXPECT_THAT(out.str(), AllOf(StartsWith("\x1b[2J\x1b[H"), HasSubstr("... 14 more")));
}

TEST(LiveViewTest, RedrawsInPlace) {
  std::ostringstream out;
  LiveView view(out, {.terminal = true});
  view.Update(Sweep(), Trials(2), Now());
  out.str("");
  view.Update(Sweep(), Trials(2), Now());
  EXPECT_THAT(out.str(), StartsWith("\x1b[4A\x1b[2K"));
}

// The lines that a view prints when it is no terminal.
class PlainViewTest : public ::testing::Test {
 protected:
  std::vector<std::string> News(const v1::Trial& trial) {
    out_.str("");
    view_.Update(Sweep(), {trial}, Now());
    return LinesOf(out_.str());
  }

  std::ostringstream out_;
  LiveView view_{out_, {}};
};

v1::Trial Evaluated(v1::Trial trial, int64_t step) {
  v1::EvaluationResult& result = *trial.add_evaluations();
  result.set_step(step);
  (*result.mutable_metrics())["val/top1"] = 85.5;
  return trial;
}

TEST_F(PlainViewTest, PrintsALineForEachThingThatHappened) {
  EXPECT_THAT(News(Evaluated(RunningTrial(), 1200)),
              ElementsAre("   1m00s  trial/1.1  RUNNING  target_psnr.end=20",
                          "   1m00s  trial/1.1  stage 3/5 192px  step 1234/5678",
                          "   1m00s  trial/1.1  step 1200/5678  loss 2.345  1534 img/s  val/top1 "
                          "85.5  ETA 12m5s"));
  EXPECT_THAT(News(Evaluated(RunningTrial(), 1200)), IsEmpty());
}

TEST_F(PlainViewTest, PrintsNoLossAndNoSpeedOfATrialThatHasEnded) {
  EXPECT_THAT(News(Evaluated(EndedTrial(1, v1::Trial::STATE_SUCCEEDED), 5678)),
              ElementsAre("   1m00s  trial/1.1  SUCCEEDED  target_psnr.end=20",
                          "   1m00s  trial/1.1  stage 3/5 192px  step 5678/5678",
                          "   1m00s  trial/1.1  step 5678/5678  val/top1 85.5"));
}

TEST_F(PlainViewTest, SaysOncePerOutageThatNobodyAnswers) {
  view_.ShowOutage("connection refused");
  view_.ShowOutage("connection refused");
  EXPECT_EQ(out_.str(),
            "cvctl: no answer (connection refused); trials go on, waiting for the coordinator\n");
  News(RunningTrial());
  out_.str("");
  view_.ShowOutage("again");
  EXPECT_THAT(out_.str(), HasSubstr("again"));
}

}  // namespace
}  // namespace cvtrain::client
