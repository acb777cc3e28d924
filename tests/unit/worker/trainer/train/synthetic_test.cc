#include "worker/trainer/train/synthetic.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "common/status_macros.h"
#include "plan/recipe/resolve.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "worker/trainer/train/attempt.h"

namespace cvtrain::trainer {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

v1::Start MakeStart(const std::string& synthetic) {
  v1::Start start;
  start.set_attempt("experiments/1/trials/2/attempts/1");
  start.set_plan_version(plan::kPlanVersion);
  start.set_world_size(1);
  start.set_logical_ranks(1);
  start.set_threads(1);
  start.set_recipe_digest(std::string(64, 'a'));
  start.mutable_recipe()->set_task(cvtrain::v1::Recipe::TASK_SYNTHETIC);
  CVT_CHECK(google::protobuf::TextFormat::ParseFromString(
      synthetic, start.mutable_recipe()->mutable_synthetic()));
  return start;
}

class SyntheticTest : public ::testing::Test {
 protected:
  AttemptResult Run(const v1::Start& start, const UniqueFd& checkpoint = UniqueFd()) {
    const BatchSourceFactory none;
    return RunAttempt(start, checkpoint,
                      {.host = host_,
                       .checkpoints = sink_,
                       .store = store_,
                       .batch_sources = none,
                       .clock = clock_});
  }

  FakeHost host_;
  FakeSink sink_;
  InMemoryStore store_;
  cvtrain::testing::FakeClock clock_;
};

TEST_F(SyntheticTest, FollowsItsCurveToTheEnd) {
  const AttemptResult result =
      Run(MakeStart("steps: 6 steps_per_epoch: 2 final_metric: 80 checkpoint_bytes: 100"));
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_FINISHED) << result.message;
  EXPECT_EQ(result.end_step, 6);
  const auto points = host_.Points("val/top1");
  ASSERT_THAT(points, SizeIs(3));
  EXPECT_THAT(points[0], Pair(1, DoubleNear(80 * (1 - std::exp(-5.0 / 3)), 1e-9)));
  EXPECT_THAT(points[2], Pair(5, DoubleNear(80 * (1 - std::exp(-5.0)), 1e-9)));
  std::vector<int64_t> steps;
  for (const auto& taken : sink_.taken()) steps.push_back(taken.notice.step);
  EXPECT_THAT(steps, ElementsAre(2, 4, 6));
  EXPECT_EQ(host_.facts().front().kind_case(), session::v1::Fact::kStarted);
  EXPECT_EQ(host_.facts().back().stage().steps(), 6);
}

TEST_F(SyntheticTest, GoesOnFromItsCheckpoint) {
  v1::Start start = MakeStart("steps: 6 steps_per_epoch: 2");
  host_.StopAfter(4, {.mode = StopRequest::Mode::kCheckpoint, .cause = cvtrain::v1::CAUSE_PAUSED});
  const AttemptResult stopped = Run(start);
  EXPECT_EQ(stopped.cause, cvtrain::v1::CAUSE_PAUSED);
  const FakeSink::Taken last = sink_.taken().back();
  EXPECT_EQ(last.notice.step, stopped.end_step);

  FakeHost next_host;
  start.mutable_resume()->set_step(last.notice.step);
  start.mutable_resume()->set_size_bytes(static_cast<int64_t>(last.file.size()));
  const BatchSourceFactory none;
  const AttemptResult result = RunAttempt(start, FileOf(last.file),
                                          {.host = next_host,
                                           .checkpoints = sink_,
                                           .store = store_,
                                           .batch_sources = none,
                                           .clock = clock_});
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_FINISHED) << result.message;
  EXPECT_EQ(next_host.facts().front().started().start_step(), last.notice.step);
  EXPECT_EQ(next_host.Points("loss").front().first, last.notice.step);
  EXPECT_EQ(next_host.Points("loss").back().first, 5);
}

TEST_F(SyntheticTest, StopsAtOnceWithoutACheckpoint) {
  host_.StopAfter(3, {.mode = StopRequest::Mode::kNow, .cause = cvtrain::v1::CAUSE_CANCELLED});
  EXPECT_EQ(Run(MakeStart("steps: 6")).cause, cvtrain::v1::CAUSE_CANCELLED);
  EXPECT_THAT(sink_.taken(), IsEmpty());
}

TEST_F(SyntheticTest, FailsAsAskedInTheFirstAttempts) {
  const auto cause_of = [&](const std::string& failure) {
    return Run(MakeStart("steps: 6 fail_at_step: 3 failure: FAILURE_" + failure)).cause;
  };
  EXPECT_EQ(cause_of("USER_ERROR"), cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_EQ(cause_of("OUT_OF_MEMORY"), cvtrain::v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(cause_of("DIVERGED"), cvtrain::v1::CAUSE_DIVERGED);
  EXPECT_EQ(cause_of("DATA"), cvtrain::v1::CAUSE_DATA);
  v1::Start second = MakeStart("steps: 6 fail_at_step: 3");
  second.set_attempt("experiments/1/trials/2/attempts/2");
  EXPECT_EQ(Run(second).cause, cvtrain::v1::CAUSE_FINISHED);
}

TEST_F(SyntheticTest, CrashesAsAsked) {
  EXPECT_EXIT(Run(MakeStart("steps: 6 fail_at_step: 3 failure: FAILURE_CRASH")),
              ::testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace cvtrain::trainer
