#include "worker/trainer/train/training_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "plan/curriculum/trial_plan.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/train/training_fixtures.h"
#include "worker/trainer/train/attempt.h"

namespace cvtrain::trainer {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

TEST(TrainingLoopTest, TrainsEvaluatesAndKeepsItsState) {
  Rank rank;
  RunAlone(MakeTrainingStart(), rank);
  ASSERT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
  EXPECT_THAT(rank.result.sample_digest, SizeIs(64));

  // A point a step, from 0 on, of every series that a step has.
  const auto losses = rank.host.Points("loss");
  ASSERT_THAT(losses, SizeIs(rank.result.end_step));
  EXPECT_EQ(losses.front().first, 0);
  EXPECT_LT(losses.back().second, losses.front().second);
  for (const char* metric : {"loss/task", "loss/augment", "learning_rate", "step_seconds", "height",
                             "width", "batch_size", "epoch", "samples", "flops", "wall_time",
                             "target_psnr", "target_mse", "mse/mean", "mse/median"}) {
    EXPECT_THAT(rank.host.Points(metric), SizeIs(rank.result.end_step)) << metric;
  }
  EXPECT_EQ(rank.host.Points("epoch").back().second, 3);
  EXPECT_THAT(rank.host.Points("range_augment/noise/high"), SizeIs(3));

  // Facts: the start, three evaluations, two stages.
  std::vector<session::v1::Fact::KindCase> kinds;
  for (const auto& fact : rank.host.facts()) kinds.push_back(fact.kind_case());
  using session::v1::Fact;
  EXPECT_THAT(kinds, ElementsAre(Fact::kStarted, Fact::kEvaluation, Fact::kEvaluation, Fact::kStage,
                                 Fact::kEvaluation, Fact::kStage));
  const auto evaluation = rank.host.facts()[4].evaluation();
  EXPECT_EQ(evaluation.step(), rank.result.end_step);
  EXPECT_EQ(evaluation.epoch(), 3);
  EXPECT_EQ(evaluation.stage(), 1);
  EXPECT_GT(evaluation.metrics().at("val/top1"), 100.0 / kClasses);
  EXPECT_THAT(evaluation.metrics(),
              AllOf(Contains(Key("val/top5")), Contains(Key("val/loss")),
                    Contains(Key("val/noisy/top1")), Contains(Key("val@16px/top1")),
                    Contains(Key("val@16px/noisy/loss")), Contains(Key("val/mean/top1"))));
  EXPECT_EQ(rank.host.progress().step(), rank.result.end_step);
  EXPECT_EQ(rank.host.progress().step_total(), rank.result.end_step);

  // A checkpoint an epoch; the last one is of the last step.
  EXPECT_THAT(rank.sink.taken(), SizeIs(3));
  const auto manifest = ManifestIn(LastFile(rank));
  EXPECT_EQ(manifest.step(), rank.result.end_step);
  EXPECT_EQ(manifest.epoch(), 3);
  EXPECT_EQ(manifest.sample_digest(), rank.result.sample_digest);
  EXPECT_EQ(manifest.trial(), "experiments/1/trials/2");
  EXPECT_GT(manifest.flops(), 0);
  EXPECT_THAT(
      TensorsOf(LastFile(rank)),
      AllOf(Contains(Key("conv1.weight")), Contains(Key("bn1.running_mean")),
            Contains(Key("momentum/conv1.weight")), Contains(Key("range_augment.noise.high")),
            Contains(Key("momentum/range_augment.noise.high"))));
}

TEST(TrainingLoopTest, GoesOnAsIfItHadNotBeenInterrupted) {
  Rank whole;
  RunAlone(MakeTrainingStart(), whole);
  const auto expected = TensorsOf(LastFile(whole));
  ASSERT_GT(whole.result.end_step, 20);

  // In mid-epoch, around the ends of epochs, and repeatedly.
  for (int64_t stride : {1L, 5L, 13L, whole.result.end_step - 1}) {
    std::string checkpoint;
    std::unique_ptr<Rank> rank;
    int64_t step = 0;
    while (true) {
      rank = std::make_unique<Rank>();
      if (step + stride < whole.result.end_step) {
        // The host counts progress, which begins anew with each attempt.
        rank->host.StopAfter(stride == 1 ? 1 : step + stride, kPause);
      }
      const v1::Start start =
          checkpoint.empty() ? MakeTrainingStart() : ResumeFrom(MakeTrainingStart(), checkpoint);
      RunAlone(start, *rank, checkpoint);
      checkpoint = LastFile(*rank);
      step = rank->result.end_step;
      if (rank->result.cause == cvtrain::v1::CAUSE_FINISHED) break;
      ASSERT_EQ(rank->result.cause, cvtrain::v1::CAUSE_PAUSED) << rank->result.message;
    }
    EXPECT_EQ(step, whole.result.end_step);
    EXPECT_EQ(rank->result.sample_digest, whole.result.sample_digest) << stride;
    EXPECT_EQ(TensorsOf(checkpoint), expected) << stride;
  }
}

TEST(TrainingLoopTest, AStageIsMeasuredOverAllAttempts) {
  const auto last_stage = [](const Rank& rank) {
    session::v1::StageMeasured last;
    for (const auto& fact : rank.host.facts()) {
      if (fact.has_stage()) last = fact.stage();
    }
    return last;
  };
  Rank whole;
  RunAlone(MakeTrainingStart(), whole);
  // The second stage begins with the third epoch; stop two steps before its end.
  Rank first;
  first.host.StopAfter(whole.result.end_step - 2, kPause);
  RunAlone(MakeTrainingStart(), first);
  const session::v1::StageMeasured part = last_stage(first);
  ASSERT_EQ(part.stage(), 1);
  ASSERT_GT(part.steps(), 2);
  Rank second;
  RunAlone(ResumeFrom(MakeTrainingStart(), LastFile(first)), second, LastFile(first));
  const session::v1::StageMeasured all = last_stage(second);
  EXPECT_EQ(all.stage(), 1);
  EXPECT_EQ(all.steps(), last_stage(whole).steps());
  EXPECT_EQ(all.images(), last_stage(whole).images());
  EXPECT_GT(all.steps(), part.steps());
}

TEST(TrainingLoopTest, RemembersBadPicturesOverAttempts) {
  Rank first;
  first.host.StopAfter(2, kPause);
  RunAlone(MakeTrainingStart(), first, "", {.bad = {3, 5}});
  Rank second;
  second.host.StopAfter(4, kPause);
  RunAlone(ResumeFrom(MakeTrainingStart(), LastFile(first)), second, LastFile(first));
  // The second source has found none by itself.
  const storage::v1::CheckpointManifest manifest = ManifestIn(LastFile(second));
  const auto& states = manifest.states();
  const auto bad = std::find_if(states.begin(), states.end(),
                                [](const auto& state) { return state.name() == "bad_pictures"; });
  ASSERT_NE(bad, states.end());
  EXPECT_EQ(bad->value(), "3 5");
}

TEST(TrainingLoopTest, TwoRanksGoOnAsIfTheyHadNotBeenInterrupted) {
  auto whole = MakeRanks(2);
  RunTogether(MakeTrainingStart(2, 2), whole);
  ASSERT_EQ(whole[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << whole[0]->result.message;
  ASSERT_EQ(whole[1]->result.cause, cvtrain::v1::CAUSE_FINISHED) << whole[1]->result.message;
  EXPECT_THAT(whole[1]->sink.taken(), IsEmpty());
  EXPECT_THAT(whole[1]->host.facts(), IsEmpty());

  // Only one rank is told to stop; both do, at the same step.
  auto first = MakeRanks(2);
  first[1]->host.StopAfter(7, kPause);
  RunTogether(MakeTrainingStart(2, 2), first);
  EXPECT_EQ(first[0]->result.cause, cvtrain::v1::CAUSE_PAUSED) << first[0]->result.message;
  EXPECT_EQ(first[1]->result.cause, cvtrain::v1::CAUSE_PAUSED);
  EXPECT_EQ(first[0]->result.end_step, 7);
  EXPECT_EQ(first[1]->result.end_step, 7);

  const std::string checkpoint = LastFile(*first[0]);
  auto second = MakeRanks(2);
  RunTogether(ResumeFrom(MakeTrainingStart(2, 2), checkpoint), second, checkpoint);
  EXPECT_EQ(second[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << second[0]->result.message;
  EXPECT_EQ(second[0]->result.sample_digest, whole[0]->result.sample_digest);
  EXPECT_EQ(TensorsOf(LastFile(*second[0])), TensorsOf(LastFile(*whole[0])));
}

TEST(TrainingLoopTest, TheGradientDoesNotDependOnTheNumberOfProcesses) {
  // One epoch: rounding differs, and grows with every step.
  v1::Start start = MakeTrainingStart(1, 3);
  start.mutable_recipe()->set_epochs(1);
  Rank alone;
  RunAlone(start, alone);
  auto together = MakeRanks(2);  // shares of one and of two logical ranks
  RunTogether(start, together);
  ASSERT_EQ(alone.result.cause, cvtrain::v1::CAUSE_FINISHED) << alone.result.message;
  ASSERT_EQ(together[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << together[0]->result.message;
  EXPECT_EQ(alone.result.sample_digest, together[0]->result.sample_digest);
  const auto expected = TensorsOf(LastFile(alone));
  for (const auto& [name, bytes] : TensorsOf(LastFile(*together[0]))) {
    if (name.ends_with("num_batches_tracked")) {
      EXPECT_EQ(bytes, expected.at(name)) << name;
      continue;
    }
    for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      float got = 0;
      float want = 0;
      std::memcpy(&got, bytes.data() + i, sizeof(float));
      std::memcpy(&want, expected.at(name).data() + i, sizeof(float));
      ASSERT_NEAR(got, want, 2e-3 * std::max(1.0f, std::abs(want))) << name << " " << i;
    }
  }
}

TEST(TrainingLoopTest, StopsAtOnceWithoutACheckpoint) {
  Rank rank;
  rank.host.StopAfter(3, {.mode = StopRequest::Mode::kNow, .cause = cvtrain::v1::CAUSE_PREEMPTED});
  RunAlone(MakeTrainingStart(), rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_PREEMPTED);
  EXPECT_THAT(rank.sink.taken(), IsEmpty());
}

TEST(TrainingLoopTest, MakesUpForACheckpointThatFoundNoBuffer) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->mutable_checkpoint()->mutable_every()->set_steps(2);
  Rank rank;
  rank.sink.HoldBuffers(true);
  // That of step 6 finds both buffers taken.
  rank.host.CallAfter(7, [&] { rank.sink.ReleaseAll(); });
  rank.host.StopAfter(9, {.mode = StopRequest::Mode::kNow, .cause = cvtrain::v1::CAUSE_CANCELLED});
  RunAlone(start, rank);
  std::vector<int64_t> steps;
  for (const auto& taken : rank.sink.taken()) steps.push_back(taken.notice.step);
  EXPECT_THAT(steps, ElementsAre(2, 4, 7, 8));
}

TEST(TrainingLoopTest, SavesAgainWhatWasLost) {
  v1::Start start = MakeTrainingStart();
  Rank rank;
  rank.host.StopAfter(4, kPause);
  start.mutable_recipe()->mutable_checkpoint()->mutable_every()->set_steps(2);
  rank.sink.LoseOnce(2);
  RunAlone(start, rank);
  std::vector<int64_t> steps;
  for (const auto& taken : rank.sink.taken()) steps.push_back(taken.notice.step);
  EXPECT_THAT(steps, ElementsAre(2, 3, 4));
}

TEST(TrainingLoopTest, SavesTheSameStepAgainAtTheEnd) {
  const v1::Start start = MakeTrainingStart();
  Rank rank;
  RunAlone(start, rank);
  ASSERT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
  const int64_t last = rank.result.end_step;
  Rank again;
  again.sink.LoseOnce(last);
  RunAlone(start, again);
  // That of the last epoch's end is lost at once; the last save of the attempt makes up for it.
  ASSERT_GE(again.sink.taken().size(), 2u);
  EXPECT_EQ(again.sink.taken().back().notice.step, last);
  EXPECT_EQ(again.sink.taken()[again.sink.taken().size() - 2].notice.step, last);
}

TEST(TrainingLoopTest, AWaitForDataLeavesRoomForAStop) {
  Rank rank;
  RunAlone(MakeTrainingStart(), rank, "",
           {.stall_at = 3, .stalled = [&] { rank.host.StopAfter(1, kPause); }});
  EXPECT_EQ(rank.result.cause, kPause.cause);
  EXPECT_EQ(rank.result.end_step, 3);
  ASSERT_THAT(rank.sink.taken(), SizeIs(1));
  EXPECT_EQ(rank.sink.taken()[0].notice.step, 3);

  // And what is resumed there is what it would have been.
  Rank whole;
  RunAlone(MakeTrainingStart(), whole);
  Rank rest;
  RunAlone(ResumeFrom(MakeTrainingStart(), LastFile(rank)), rest, LastFile(rank));
  EXPECT_EQ(TensorsOf(LastFile(rest)), TensorsOf(LastFile(whole)));
}

TEST(TrainingLoopTest, HasStartedWhenTheFirstPicturesAreThere) {
  Rank rank;
  RunAlone(MakeTrainingStart(), rank, "",
           {.stall_at = 0, .stalled = [&] { rank.host.StopAfter(1, kPause); }});
  EXPECT_THAT(rank.host.facts(), IsEmpty());
  EXPECT_THAT(rank.sink.taken(), IsEmpty());
  Rank other;
  other.host.StopAfter(2, kPause);
  RunAlone(MakeTrainingStart(), other);
  ASSERT_FALSE(other.host.facts().empty());
  EXPECT_TRUE(other.host.facts()[0].has_started());
}

TEST(TrainingLoopTest, EvaluationsCountAsActivity) {
  Rank rank;
  RunAlone(MakeTrainingStart(), rank);
  // Three epochs, two sizes, three batches of at most ten pictures, two conditions.
  EXPECT_EQ(rank.host.activity(), 3 * 2 * 3 * 2);
}

TEST(TrainingLoopTest, SuspectsACheckpointThatIsDamaged) {
  Rank first;
  first.host.StopAfter(2, kPause);
  RunAlone(MakeTrainingStart(), first);
  std::string damaged = LastFile(first);
  damaged[damaged.size() / 2] ^= 1;
  Rank second;
  RunAlone(ResumeFrom(MakeTrainingStart(), LastFile(first)), second, damaged);
  EXPECT_EQ(second.result.cause, cvtrain::v1::CAUSE_INTERNAL);
  EXPECT_EQ(second.result.suspect, v1::Exit::SUSPECT_CHECKPOINT);
}

TEST(TrainingLoopTest, ReportsADivergedLoss) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->mutable_learning_rate()->mutable_constant()->set_value(1e30);
  Rank rank;
  RunAlone(start, rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_DIVERGED) << rank.result.message;
  EXPECT_THAT(rank.result.message, HasSubstr("is not a number"));
  EXPECT_THAT(rank.sink.taken(), IsEmpty());
}

TEST(TrainingLoopTest, ReportsBadData) {
  Rank rank;
  RunAlone(MakeTrainingStart(), rank, "", {.fail_at = 2});
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_DATA);
  EXPECT_EQ(rank.result.end_step, 2);
}

TEST(TrainingLoopTest, RefusesACheckpointOfAnotherRecipe) {
  Rank first;
  first.host.StopAfter(2, kPause);
  RunAlone(MakeTrainingStart(), first);
  v1::Start start = ResumeFrom(MakeTrainingStart(), LastFile(first));
  start.set_recipe_digest(std::string(64, 'x'));
  Rank second;
  RunAlone(start, second, LastFile(first));
  EXPECT_EQ(second.result.cause, cvtrain::v1::CAUSE_INTERNAL);
  EXPECT_THAT(second.result.message, HasSubstr("recipe digest"));
}

TEST(TrainingLoopTest, RefusesAnotherPlanVersion) {
  v1::Start start = MakeTrainingStart();
  start.set_plan_version(plan::kPlanVersion + 1);
  Rank rank;
  RunAlone(start, rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_INTERNAL);
  EXPECT_THAT(rank.result.message, HasSubstr("plan version"));
}

TEST(TrainingLoopTest, TrainsInBfloat16) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->set_epochs(1);
  start.mutable_recipe()->mutable_augmentation()->clear_range_augment();
  Rank exact;
  RunAlone(start, exact);
  start.mutable_recipe()->set_precision(cvtrain::v1::Recipe::PRECISION_BF16);
  Rank rank;
  RunAlone(start, rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
  EXPECT_THAT(rank.host.Points("loss/augment"), IsEmpty());
  EXPECT_THAT(TensorsOf(LastFile(rank)), Not(Contains(Key("range_augment.noise.high"))));
  // The same loss but for the rounding, which is there.
  const double loss = rank.host.Points("loss").at(0).second;
  const double exact_loss = exact.host.Points("loss").at(0).second;
  EXPECT_NE(loss, exact_loss);
  EXPECT_NEAR(loss, exact_loss, 0.05);
}

}  // namespace
}  // namespace cvtrain::trainer
