#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/view/show.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::testing::ElementsAre;

v1::Trial Ranked(int number, double objective) {
  v1::Trial trial = EndedTrial(number, v1::Trial::STATE_SUCCEEDED);
  trial.set_ranked(true);
  trial.set_objective(objective);
  return trial;
}

v1::Trial Unranked(int number, v1::Trial::State state, double objective) {
  v1::Trial trial = EndedTrial(number, state);
  trial.set_objective(objective);
  return trial;
}

// "1 trial/1.4" of each line.
std::vector<std::string> Places(const v1::Experiment& experiment,
                                const std::vector<v1::Trial>& trials) {
  std::vector<std::string> places;
  std::vector<std::string> lines = LinesOf(RankingText(experiment, trials));
  lines.erase(lines.begin());
  for (const std::string& line : lines) {
    const std::vector<std::string> cells = CellsOf(line);
    places.push_back(cells[0] + " " + cells[1]);
  }
  return places;
}

TEST(RankingTest, RanksByTheObjectiveAndOfEqualsTheFirst) {
  EXPECT_THAT(Places(Sweep(), {Ranked(1, 80), Ranked(2, 90), Ranked(3, 90)}),
              ElementsAre("1 trial/1.2", "2 trial/1.3", "3 trial/1.1"));
}

TEST(RankingTest, RanksTheSmallestFirstWhereTheObjectiveSaysSo) {
  v1::Experiment sweep = Sweep();
  sweep.mutable_spec()->mutable_search()->mutable_objective()->set_mode(v1::Objective::MODE_MIN);
  EXPECT_THAT(Places(sweep, {Ranked(1, 0.4), Ranked(2, 0.3)}),
              ElementsAre("1 trial/1.2", "2 trial/1.1"));
}

TEST(RankingTest, ListsTrialsWithoutARankLastAndSaysWhy) {
  v1::Trial unmeasured = EndedTrial(5, v1::Trial::STATE_SUCCEEDED);
  v1::Trial pruned = Unranked(6, v1::Trial::STATE_SUCCEEDED, 96);
  pruned.set_pruned_at_epoch(3);
  EXPECT_THAT(
      Places(Sweep(),
             {Unranked(1, v1::Trial::STATE_FAILED, 99), Unranked(2, v1::Trial::STATE_CANCELLED, 98),
              Unranked(3, v1::Trial::STATE_SUCCEEDED, 97), Ranked(4, 88.25), unmeasured, pruned}),
      ElementsAre("1 trial/1.4", "failed trial/1.1", "cancelled trial/1.2", "discarded trial/1.3",
                  "unmeasured trial/1.5", "pruned trial/1.6"));
}

TEST(RankingTest, PutsTheCoordinatorsBestTrialFirst) {
  const v1::Experiment sweep = Sweep();
  const std::vector<std::string> places =
      Places(sweep, {Unranked(1, v1::Trial::STATE_SUCCEEDED, 95), Ranked(4, sweep.best_value())});
  EXPECT_EQ(places[0], "1 " + ShortName(sweep.best_trial()));
}

TEST(RankingTest, ShowsOtherAccuraciesOfTheLastEvaluation) {
  v1::Trial trial = Ranked(1, 80);
  (*trial.add_evaluations()->mutable_metrics())["noisy/top1"] = 61.5;
  const std::vector<std::string> lines = LinesOf(RankingText(Sweep(), {trial}));
  EXPECT_THAT(CellsOf(lines[0]), ElementsAre("RANK", "ID", "STATE", "HPARAMS", "val/top1",
                                             "noisy/top1", "STEPS", "FLOPS"));
  EXPECT_THAT(CellsOf(lines[1]), ElementsAre("1", "trial/1.1", "SUCCEEDED", "target_psnr.end=20",
                                             "80", "61.5", "5678", "4.5e+15"));
}

}  // namespace
}  // namespace cvtrain::client
