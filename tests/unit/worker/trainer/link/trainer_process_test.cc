// The program cvtrain-trainer, driven as its agent drives it: its life, on synthetic trials.

#include "tests/unit/worker/trainer/link/trainer_process.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "common/build_info.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "plan/recipe/resolve.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::StartsWith;

v1::AgentFrame MakeStart(const std::string& synthetic) {
  v1::AgentFrame frame;
  v1::Start& start = *frame.mutable_start();
  start.set_attempt("experiments/1/trials/1/attempts/1");
  start.set_plan_version(plan::kPlanVersion);
  start.set_world_size(1);
  start.set_logical_ranks(1);
  start.set_threads(1);
  start.mutable_recipe()->set_task(cvtrain::v1::Recipe::TASK_SYNTHETIC);
  CVT_CHECK(google::protobuf::TextFormat::ParseFromString(
      synthetic, start.mutable_recipe()->mutable_synthetic()));
  return frame;
}

TEST(TrainerProcessTest, SaysWhatItIs) {
  TrainerProcess trainer;
  EXPECT_EQ(trainer.hello().build_id(), GetBuildInfo().build_id);
  EXPECT_EQ(trainer.hello().pid(), trainer.process().pid());
  EXPECT_THAT(trainer.hello().torch_version(), StartsWith("2.11"));
  EXPECT_THAT(trainer.hello().instruction_set(), Not(""));
}

TEST(TrainerProcessTest, ServesOneAttemptAfterTheOther) {
  TrainerProcess trainer;
  trainer.SendStart(
      MakeStart("steps: 4 step_time_ms: 1 steps_per_epoch: 2 checkpoint_bytes: 100000"));
  const ServedAttempt first = trainer.Serve();
  ASSERT_TRUE(first.exit.has_value());
  EXPECT_EQ(first.exit->cause(), cvtrain::v1::CAUSE_FINISHED) << first.exit->message();
  EXPECT_EQ(first.exit->end_step(), 4);
  EXPECT_THAT(first.loss_steps, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(first.checkpoints.back().step(), 4);

  // Warm again: the next one goes on from the last checkpoint of the first.
  trainer.SendStart(MakeStart("steps: 6 step_time_ms: 1 checkpoint_bytes: 100000"),
                    first.last_checkpoint);
  const ServedAttempt second = trainer.Serve();
  ASSERT_TRUE(second.exit.has_value());
  EXPECT_EQ(second.exit->cause(), cvtrain::v1::CAUSE_FINISHED) << second.exit->message();
  EXPECT_THAT(second.loss_steps, ElementsAre(4, 5));

  v1::AgentFrame shutdown;
  shutdown.mutable_shutdown();
  trainer.Send(shutdown);
  EXPECT_THAT(trainer.process().Wait(TrainerProcess::kPatience), IsOkAndHolds(ExitStatus{}));
}

TEST(TrainerProcessTest, StopsWithACheckpointWhenAskedTo) {
  TrainerProcess trainer;
  trainer.SendStart(MakeStart("steps: 1000000 step_time_ms: 1"));
  EXPECT_THAT(trainer.Receive(), IsOk());  // the first report: it runs
  v1::AgentFrame stop;
  stop.mutable_stop()->set_mode(session::v1::StopAttempt::MODE_CHECKPOINT);
  stop.mutable_stop()->set_cause(cvtrain::v1::CAUSE_PAUSED);
  trainer.Send(stop);
  const ServedAttempt attempt = trainer.Serve();
  ASSERT_TRUE(attempt.exit.has_value());
  EXPECT_EQ(attempt.exit->cause(), cvtrain::v1::CAUSE_PAUSED);
  ASSERT_FALSE(attempt.checkpoints.empty());
  EXPECT_EQ(attempt.checkpoints.back().step(), attempt.exit->end_step());
}

TEST(TrainerProcessTest, EndsAfterABadEnd) {
  TrainerProcess trainer;
  trainer.SendStart(
      MakeStart("steps: 4 step_time_ms: 1 fail_at_step: 2 failure: FAILURE_OUT_OF_MEMORY"));
  const ServedAttempt attempt = trainer.Serve();
  ASSERT_TRUE(attempt.exit.has_value());
  EXPECT_EQ(attempt.exit->cause(), cvtrain::v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_THAT(trainer.process().Wait(TrainerProcess::kPatience), IsOk());
}

TEST(TrainerProcessTest, EndsWithinASecondOfItsAgent) {
  TrainerProcess trainer;
  trainer.SendStart(MakeStart("steps: 1000 step_time_ms: 600000"));
  const absl::Duration begin = RealClock().SteadyNow();
  trainer.Abandon();
  EXPECT_THAT(trainer.process().Wait(TrainerProcess::kPatience),
              IsOkAndHolds(ExitStatus{.code = 1}));
  EXPECT_LT(RealClock().SteadyNow() - begin, absl::Seconds(1));
}

}  // namespace
}  // namespace cvtrain::trainer
