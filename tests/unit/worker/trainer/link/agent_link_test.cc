#include "worker/trainer/link/agent_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/memfd.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AgentLinkTest : public ::testing::Test {
 protected:
  // Takes the next request for a shard, and begins its answer.
  v1::AgentFrame AnswerTo(int32_t index) {
    const v1::ShardRequest request = Receive(v1::TrainerFrame::kShardRequest).shard_request();
    EXPECT_EQ(request.index(), index);
    v1::AgentFrame frame;
    frame.mutable_shard()->set_index(index);
    frame.mutable_shard()->set_id(request.id());
    return frame;
  }
  AgentLinkTest() {
    auto ends = *UnixConnection::Pair();
    agent_ = std::move(ends.first);
    link_ = std::make_unique<AgentLink>(std::move(ends.second), clock_,
                                        [this](const absl::Status&) { gone_.Notify(); });
  }

  void Send(const v1::AgentFrame& frame, int fd = -1) {
    const std::string bytes = frame.SerializeAsString();
    EXPECT_THAT(fd < 0 ? agent_->Send(bytes) : agent_->Send(bytes, {fd}), IsOk());
  }

  // The next frame of a kind; skips reports in between.
  v1::TrainerFrame Receive(v1::TrainerFrame::MessageCase kind, UniqueFd* fd = nullptr) {
    while (true) {
      auto frame = agent_->Receive(absl::Seconds(20));
      v1::TrainerFrame message;
      if (!frame.ok() || !message.ParseFromString(frame->bytes)) {
        ADD_FAILURE() << "no frame of kind " << kind << ": " << frame.status();
        return message;
      }
      if (message.message_case() != kind) continue;
      if (fd != nullptr && !frame->descriptors.empty()) *fd = std::move(frame->descriptors[0]);
      return message;
    }
  }

  void Start(const std::string& attempt = "experiments/1/trials/1/attempts/1") {
    v1::AgentFrame frame;
    frame.mutable_start()->set_attempt(attempt);
    Send(frame);
    const auto start = link_->WaitForStart();
    ASSERT_TRUE(start.has_value());
    EXPECT_EQ(start->start.attempt(), attempt);
  }

  void Stop(session::v1::StopAttempt::Mode mode, cvtrain::v1::Cause cause) {
    v1::AgentFrame frame;
    frame.mutable_stop()->set_mode(mode);
    frame.mutable_stop()->set_cause(cause);
    Send(frame);
  }

  cvtrain::testing::FakeClock clock_;
  absl::Notification gone_;
  std::unique_ptr<UnixConnection> agent_;
  std::unique_ptr<AgentLink> link_;
};

TEST_F(AgentLinkTest, StartsWithTheCheckpointsDescriptor) {
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory file, SharedMemory::Create("test", 10));
  v1::AgentFrame frame;
  frame.mutable_start()->set_rank(3);
  Send(frame, file.fd());
  const auto start = link_->WaitForStart();
  ASSERT_TRUE(start.has_value());
  EXPECT_EQ(start->start.rank(), 3);
  EXPECT_TRUE(start->checkpoint.valid());
}

TEST_F(AgentLinkTest, EndsBetweenAttemptsWhenToldTo) {
  v1::AgentFrame frame;
  frame.mutable_shutdown();
  Send(frame);
  EXPECT_FALSE(link_->WaitForStart().has_value());
}

TEST_F(AgentLinkTest, TellsWhenTheAgentIsGone) {
  agent_.reset();
  gone_.WaitForNotification();
  EXPECT_FALSE(link_->WaitForStart().has_value());
  EXPECT_THAT(link_->GetShard({.index = 0}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("PEER_GONE")));
}

TEST_F(AgentLinkTest, TakesWhatIsNoFrameForAnEnd) {
  EXPECT_THAT(agent_->Send("\xff\xff"), IsOk());
  gone_.WaitForNotification();
}

TEST_F(AgentLinkTest, GetsShards) {
  Start();
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory file, SharedMemory::Create("test", 10));
  Thread agent("agent", [&](StopToken) {
    v1::AgentFrame frame = AnswerTo(7);
    Send(frame, file.fd());
    frame = AnswerTo(8);
    frame.mutable_shard()->set_error("no such file");
    frame.mutable_shard()->set_cause(cvtrain::v1::CAUSE_DATA);
    Send(frame);
    frame = AnswerTo(9);
    frame.mutable_shard()->set_error("the disk is full");
    frame.mutable_shard()->set_cause(cvtrain::v1::CAUSE_INTERNAL);
    Send(frame);
  });
  CVT_ASSERT_OK_AND_ASSIGN(const UniqueFd shard, link_->GetShard({.index = 7}));
  EXPECT_TRUE(shard.valid());
  EXPECT_THAT(link_->GetShard({.index = 8}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SHARD_NOT_FOUND"),
                       Message(HasSubstr("no such file"))));
  EXPECT_THAT(link_->GetShard({.index = 9}),
              StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL"),
                       Message(HasSubstr("the disk is full"))));
}

TEST_F(AgentLinkTest, PrefetchesShardsWithoutWaiting) {
  Start();
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory file, SharedMemory::Create("test", 10));
  link_->Prefetch({ShardParts{.index = 3}, ShardParts{.index = 5}});
  for (const int32_t index : {3, 5}) {
    Send(AnswerTo(index), file.fd());
  }
  EXPECT_THAT(link_->GetShard({.index = 5}), IsOk());
  EXPECT_THAT(link_->GetShard({.index = 3}), IsOk());
}

TEST_F(AgentLinkTest, AsksAgainForSectionsThatWereNotPrefetched) {
  Start();
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory file, SharedMemory::Create("test", 10));
  link_->Prefetch({ShardParts{.index = 3, .sections = SectionSet::Of({0, 1})}});
  Send(AnswerTo(3), file.fd());
  EXPECT_THAT(link_->GetShard({.index = 3, .sections = SectionSet::Of({1})}), IsOk())
      << "it was prefetched";
  link_->Prefetch({ShardParts{.index = 3, .sections = SectionSet::Of({0, 1})}});
  const v1::AgentFrame of_less = AnswerTo(3);
  Thread agent("agent", [&](StopToken) {
    const v1::ShardRequest request = Receive(v1::TrainerFrame::kShardRequest).shard_request();
    EXPECT_THAT(request.sections(), ElementsAre(0, 1, 2));
    Send(of_less, file.fd());  // comes late, and is nobody's
    v1::AgentFrame frame;
    frame.mutable_shard()->set_index(3);
    frame.mutable_shard()->set_id(request.id());
    frame.mutable_shard()->set_error("the one that was asked for");
    Send(frame);
  });
  EXPECT_THAT(link_->GetShard({.index = 3, .sections = SectionSet::Of({0, 1, 2})}),
              StatusIs(absl::StatusCode::kInternal, Message(HasSubstr("the one that was asked"))));
}

TEST_F(AgentLinkTest, TwoMayAskForOneShard) {
  Start();
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory file, SharedMemory::Create("test", 10));
  Thread ahead("ahead", [&](StopToken) {
    EXPECT_THAT(link_->GetShard({.index = 4, .sections = SectionSet::Of({2}), .ahead = true}),
                IsOk());
  });
  v1::ShardRequest first = Receive(v1::TrainerFrame::kShardRequest).shard_request();
  EXPECT_TRUE(first.ahead());
  Thread agent("agent", [&](StopToken) {
    const v1::ShardRequest second = Receive(v1::TrainerFrame::kShardRequest).shard_request();
    EXPECT_FALSE(second.ahead());
    for (const v1::ShardRequest& request : {second, first}) {
      v1::AgentFrame frame;
      frame.mutable_shard()->set_index(request.index());
      frame.mutable_shard()->set_id(request.id());
      Send(frame, file.fd());
    }
  });
  EXPECT_THAT(link_->GetShard({.index = 4, .sections = SectionSet::Of({1})}), IsOk());
}

TEST_F(AgentLinkTest, WaitsForShardsEndWhenTheyAreCancelled) {
  Start();
  Thread agent("agent", [&](StopToken) {
    Receive(v1::TrainerFrame::kShardRequest);
    link_->CancelWaits();
  });
  EXPECT_THAT(link_->GetShard({.index = 0}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_THAT(link_->GetShard({.index = 1}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(AgentLinkTest, EndsTheConnectionWhenAFrameCannotBeSent) {
  Start();
  constexpr int kNoDescriptor = 1 << 20;
  EXPECT_FALSE(link_->SendCheckpoint({.size_bytes = 10, .fd = kNoDescriptor}).ok());
  gone_.WaitForNotification();
}

TEST_F(AgentLinkTest, RelaysTheStore) {
  Start();
  Thread agent("agent", [&](StopToken) {
    const auto call = Receive(v1::TrainerFrame::kStoreCall).store_call();
    EXPECT_EQ(call.operation().key(), "key");
    v1::AgentFrame frame;
    frame.mutable_store_reply()->set_id(call.id());
    frame.mutable_store_reply()->mutable_result()->set_value("value");
    Send(frame);
    frame.mutable_store_reply()->set_id(Receive(v1::TrainerFrame::kStoreCall).store_call().id());
    frame.mutable_store_reply()->set_error("over");
    Send(frame);
  });
  session::v1::StoreOperation operation;
  operation.set_key("key");
  CVT_ASSERT_OK_AND_ASSIGN(const auto result, link_->Call(operation));
  EXPECT_EQ(result.value(), "value");
  EXPECT_THAT(link_->Call(operation), StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(AgentLinkTest, AStopAtOnceEndsWhatWaits) {
  Start();
  Thread agent("agent", [&](StopToken) {
    Receive(v1::TrainerFrame::kShardRequest);
    Stop(session::v1::StopAttempt::MODE_NOW, cvtrain::v1::CAUSE_PREEMPTED);
  });
  EXPECT_THAT(link_->GetShard({.index = 0}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  link_->WaitFor(absl::Hours(1));
  EXPECT_EQ(link_->stop_request().mode, StopRequest::Mode::kNow);
  EXPECT_EQ(link_->stop_request().cause, cvtrain::v1::CAUSE_PREEMPTED);
}

TEST_F(AgentLinkTest, AStopNeverGetsWeaker) {
  Start();
  Stop(session::v1::StopAttempt::MODE_NOW, cvtrain::v1::CAUSE_CANCELLED);
  link_->WaitFor(absl::Hours(1));
  Stop(session::v1::StopAttempt::MODE_CHECKPOINT, cvtrain::v1::CAUSE_PAUSED);
  // An answer after it proves that it was read.
  v1::AgentFrame frame;
  frame.mutable_start()->set_attempt("experiments/1/trials/1/attempts/2");
  EXPECT_EQ(link_->stop_request().cause, cvtrain::v1::CAUSE_CANCELLED);
  Send(frame);
  ASSERT_TRUE(link_->WaitForStart().has_value());
  // The next attempt begins without it.
  EXPECT_EQ(link_->stop_request().mode, StopRequest::Mode::kNone);
}

TEST_F(AgentLinkTest, SendsReportsBeforeTheCheckpointAndBeforeTheExit) {
  Start();
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory buffer, SharedMemory::Create("test", 10));
  link_->ReportPoint("loss", 4, 2.5);
  EXPECT_THAT(link_->SendCheckpoint({.buffer = 1, .step = 5, .size_bytes = 10, .fd = buffer.fd()}),
              IsOk());
  EXPECT_EQ(Receive(v1::TrainerFrame::kReport).report().series(0).steps(0), 4);
  UniqueFd fd;
  const auto ready = Receive(v1::TrainerFrame::kCheckpointReady, &fd).checkpoint_ready();
  EXPECT_EQ(ready.buffer(), 1);
  EXPECT_EQ(ready.step(), 5);
  EXPECT_TRUE(fd.valid());

  link_->ReportPoint("loss", 5, 2);
  v1::Exit exit;
  exit.set_cause(cvtrain::v1::CAUSE_FINISHED);
  EXPECT_THAT(link_->SendExit(exit), IsOk());
  EXPECT_EQ(Receive(v1::TrainerFrame::kReport).report().series(0).steps(0), 5);
  EXPECT_EQ(Receive(v1::TrainerFrame::kExit).exit().cause(), cvtrain::v1::CAUSE_FINISHED);
  EXPECT_THAT(link_->GetShard({.index = 0}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(AgentLinkTest, PassesReleasesOn) {
  Start();
  absl::Notification released;
  link_->SetReleaseHandler([&](const CheckpointSink::Release& release) {
    EXPECT_EQ(release.buffer, 1);
    EXPECT_EQ(release.step, 5);
    EXPECT_FALSE(release.durable);
    released.Notify();
  });
  v1::AgentFrame frame;
  frame.mutable_checkpoint_released()->set_buffer(1);
  frame.mutable_checkpoint_released()->set_step(5);
  Send(frame);
  released.WaitForNotification();
  link_->SetReleaseHandler(nullptr);
}

}  // namespace
}  // namespace cvtrain::trainer
