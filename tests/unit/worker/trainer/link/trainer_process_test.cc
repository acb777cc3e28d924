// The program cvtrain-trainer, with this test as its agent.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/build_info.h"
#include "common/clock.h"
#include "common/env.h"
#include "common/memfd.h"
#include "common/process.h"
#include "common/status_macros.h"
#include "common/unix_socket.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "formats/checkpoint/checkpoint.h"
#include "plan/recipe/resolve.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(60);

// What a trainer has sent during one attempt.
struct Attempt {
  std::vector<int64_t> loss_steps;
  std::vector<session::v1::Fact> facts;
  std::vector<trainer::v1::CheckpointReady> checkpoints;
  std::string last_checkpoint;  // the file
  trainer::v1::Exit exit;
};

class TrainerProcessTest : public ::testing::Test {
 protected:
  TrainerProcessTest() {
    auto ends = *UnixConnection::Pair();
    agent_ = std::move(ends.first);
    process_ =
        *Process::Spawn({.argv = {*GetEnv("CVTRAIN_BIN_DIR") + "/cvtrain-trainer", "--agent-fd=3"},
                         .environment = {{"OMP_NUM_THREADS", "1"}, {"OMP_WAIT_POLICY", "passive"}},
                         .descriptors = {{ends.second->fd(), 3}}});
  }

  trainer::v1::TrainerFrame Receive(std::vector<UniqueFd>* descriptors = nullptr) {
    auto frame = agent_->Receive(kPatience);
    trainer::v1::TrainerFrame message;
    if (!frame.ok()) {
      ADD_FAILURE() << frame.status();
      return message;
    }
    EXPECT_TRUE(message.ParseFromString(frame->bytes));
    if (descriptors != nullptr) *descriptors = std::move(frame->descriptors);
    return message;
  }

  void Send(const trainer::v1::AgentFrame& frame, int fd = -1) {
    const std::string bytes = frame.SerializeAsString();
    ASSERT_THAT(fd < 0 ? agent_->Send(bytes) : agent_->Send(bytes, {fd}), IsOk());
  }

  static trainer::v1::AgentFrame MakeStart(const std::string& synthetic) {
    trainer::v1::AgentFrame frame;
    trainer::v1::Start& start = *frame.mutable_start();
    start.set_attempt("experiments/1/trials/1/attempts/1");
    start.set_plan_version(plan::kPlanVersion);
    start.set_world_size(1);
    start.set_logical_ranks(1);
    start.set_threads(1);
    start.mutable_recipe()->set_task(v1::Recipe::TASK_SYNTHETIC);
    CVT_CHECK(google::protobuf::TextFormat::ParseFromString(
        synthetic, start.mutable_recipe()->mutable_synthetic()));
    return frame;
  }

  // Serves the trainer until it sends Exit.
  Attempt Serve() {
    Attempt attempt;
    std::map<int32_t, SharedMemory> buffers;
    while (!::testing::Test::HasFailure()) {
      std::vector<UniqueFd> descriptors;
      const trainer::v1::TrainerFrame frame = Receive(&descriptors);
      for (const auto& series : frame.report().series()) {
        if (series.metric() != "loss") continue;
        attempt.loss_steps.insert(attempt.loss_steps.end(), series.steps().begin(),
                                  series.steps().end());
      }
      for (const auto& fact : frame.report().facts()) attempt.facts.push_back(fact);
      if (frame.has_checkpoint_ready()) {
        const trainer::v1::CheckpointReady& ready = frame.checkpoint_ready();
        attempt.checkpoints.push_back(ready);
        if (!descriptors.empty()) {
          buffers[ready.buffer()] =
              *SharedMemory::MapReadOnly(std::move(descriptors[0]), size_t{1} << 30);
        }
        const auto bytes = buffers[ready.buffer()].bytes();
        attempt.last_checkpoint.assign(bytes.data(), bytes.size());
        trainer::v1::AgentFrame released;
        released.mutable_checkpoint_released()->set_buffer(ready.buffer());
        released.mutable_checkpoint_released()->set_step(ready.step());
        Send(released);
      }
      if (frame.has_exit()) {
        attempt.exit = frame.exit();
        break;
      }
    }
    return attempt;
  }

  void ExpectHello() {
    const trainer::v1::TrainerFrame frame = Receive();
    ASSERT_TRUE(frame.has_hello());
    EXPECT_EQ(frame.hello().build_id(), GetBuildInfo().build_id);
    EXPECT_EQ(frame.hello().pid(), process_->pid());
    EXPECT_THAT(frame.hello().torch_version(), StartsWith("2.11"));
    EXPECT_THAT(frame.hello().instruction_set(), Not(""));
  }

  std::unique_ptr<UnixConnection> agent_;
  std::unique_ptr<Process> process_;
};

TEST_F(TrainerProcessTest, ServesOneAttemptAfterTheOther) {
  ExpectHello();
  Send(MakeStart("steps: 4 step_time_ms: 1 steps_per_epoch: 2 checkpoint_bytes: 100000"));
  const Attempt first = Serve();
  EXPECT_EQ(first.exit.cause(), v1::CAUSE_FINISHED) << first.exit.message();
  EXPECT_EQ(first.exit.end_step(), 4);
  EXPECT_THAT(first.loss_steps, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(first.checkpoints.back().step(), 4);

  // Warm again: the next one goes on from the last checkpoint of the first.
  std::string file = first.last_checkpoint;
  ASSERT_THAT(formats::FinishTrailer(absl::MakeSpan(file)), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory memory, SharedMemory::Create("resume", file.size()));
  std::copy(file.begin(), file.end(), memory.mutable_bytes().begin());
  trainer::v1::AgentFrame start = MakeStart("steps: 6 step_time_ms: 1 checkpoint_bytes: 100000");
  start.mutable_start()->mutable_resume()->set_step(4);
  start.mutable_start()->mutable_resume()->set_size_bytes(static_cast<int64_t>(file.size()));
  Send(start, memory.fd());
  const Attempt second = Serve();
  EXPECT_EQ(second.exit.cause(), v1::CAUSE_FINISHED) << second.exit.message();
  EXPECT_THAT(second.loss_steps, ElementsAre(4, 5));

  trainer::v1::AgentFrame shutdown;
  shutdown.mutable_shutdown();
  Send(shutdown);
  EXPECT_THAT(process_->Wait(kPatience), IsOkAndHolds(ExitStatus{}));
}

TEST_F(TrainerProcessTest, StopsWithACheckpointWhenAskedTo) {
  ExpectHello();
  Send(MakeStart("steps: 1000000 step_time_ms: 1"));
  Receive();  // the first report: it runs
  trainer::v1::AgentFrame stop;
  stop.mutable_stop()->set_mode(session::v1::StopAttempt::MODE_CHECKPOINT);
  stop.mutable_stop()->set_cause(v1::CAUSE_PAUSED);
  Send(stop);
  const Attempt attempt = Serve();
  EXPECT_EQ(attempt.exit.cause(), v1::CAUSE_PAUSED);
  ASSERT_FALSE(attempt.checkpoints.empty());
  EXPECT_EQ(attempt.checkpoints.back().step(), attempt.exit.end_step());
}

TEST_F(TrainerProcessTest, EndsAfterABadEnd) {
  ExpectHello();
  Send(MakeStart("steps: 4 step_time_ms: 1 fail_at_step: 2 failure: FAILURE_OUT_OF_MEMORY"));
  EXPECT_EQ(Serve().exit.cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_THAT(process_->Wait(kPatience), IsOk());
}

TEST_F(TrainerProcessTest, EndsWithItsAgent) {
  ExpectHello();
  Send(MakeStart("steps: 1000 step_time_ms: 600000"));
  const absl::Duration begin = RealClock().SteadyNow();
  agent_.reset();
  EXPECT_THAT(process_->Wait(kPatience), IsOkAndHolds(ExitStatus{.code = 1}));
  EXPECT_LT(RealClock().SteadyNow() - begin, absl::Seconds(1));
}

}  // namespace
}  // namespace cvtrain
