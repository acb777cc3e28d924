#include "coordinator/engine/loop/engine_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/telemetry.h"
#include "common/thread.h"
#include "coordinator/engine/in_memory_journal.h"
#include "coordinator/state/decide_experiment.h"
#include "plan/recipe/resolve.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::FakeClock;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::Each;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Keeps what the loop gives out. Thread-safe.
class RecordedOutputs : public EngineOutputs {
 public:
  void Send(SessionId session, const session::v1::ConnectResponse& message) override {
    absl::MutexLock lock(&mu_);
    if (message.has_welcome()) welcomed_.push_back(session);
  }
  void Close(SessionId session, const absl::Status& status) override {
    absl::MutexLock lock(&mu_);
    closed_.push_back({session, status});
  }
  void DeleteCheckpoints(const std::vector<CheckpointName>&) override {}

  bool WaitUntilClosed(SessionId session) {
    absl::MutexLock lock(&mu_);
    const auto closed = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      for (const auto& [other, status] : closed_) {
        if (other == session) return true;
      }
      return false;
    };
    return mu_.AwaitWithTimeout(absl::Condition(&closed), absl::Seconds(60));
  }
  std::vector<SessionId> welcomed() {
    absl::MutexLock lock(&mu_);
    return welcomed_;
  }

 private:
  absl::Mutex mu_;
  std::vector<SessionId> welcomed_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<SessionId, absl::Status>> closed_ ABSL_GUARDED_BY(mu_);
};

class EngineLoopTest : public ::testing::Test {
 protected:
  ~EngineLoopTest() override { loop_.reset(); }

  void Start(EngineLoop::Options options = {}) {
    journal_.Restart();
    absl::StatusOr<std::unique_ptr<Engine>> engine =
        Engine::Recover(journal_, {}, {.wall = clock_.WallNow(), .steady = clock_.SteadyNow()});
    ASSERT_THAT(engine, IsOk());
    telemetry_ = std::make_unique<InMemoryTelemetry>();
    loop_ = std::make_unique<EngineLoop>(*std::move(engine), clock_, outputs_, *telemetry_, options,
                                         [this](const absl::Status& status) {
                                           fatal_status_ = status;
                                           ++fatal_calls_;
                                           fatal_.Notify();
                                         });
  }

  // A command that creates an experiment; `done` runs on the loop's thread.
  absl::Status PostSubmit(const std::string& name,
                          std::function<void(const absl::StatusOr<Answer>&)> done) {
    Command command;
    command.caller = {"tester", Role::kAdmin};
    command.decide = [name](const ClusterState& state, absl::Time now) {
      v1::CreateExperimentRequest request;
      *request.mutable_spec() = SyntheticSpec(name);
      return DecideCreateExperiment(state, request, "1.0", now);
    };
    command.done = [done = std::move(done)](const View&, const absl::StatusOr<Answer>& answer) {
      done(answer);
    };
    return loop_->Post([command = std::move(command)](Engine& engine, const Instant& now) mutable {
      engine.Commit(std::move(command), now);
    });
  }

  absl::StatusOr<Answer> Submit(const std::string& name) {
    std::optional<absl::StatusOr<Answer>> answer;
    absl::Notification answered;
    const absl::Status posted = PostSubmit(name, [&](const absl::StatusOr<Answer>& result) {
      answer = result;
      answered.Notify();
    });
    if (!posted.ok()) return posted;
    answered.WaitForNotification();
    return *std::move(answer);
  }

  // Keeps the loop's thread busy from when this returns until `Release()`.
  void Hold() {
    absl::Notification held;
    ASSERT_THAT(loop_->Post([this, &held](Engine&, const Instant&) {
      held.Notify();
      release_.WaitForNotification();
    }),
                IsOk());
    held.WaitForNotification();
  }
  void Release() { release_.Notify(); }

  FakeClock clock_;
  InMemoryJournal journal_;
  RecordedOutputs outputs_;
  absl::Notification release_;
  absl::Notification fatal_;
  std::atomic<int> fatal_calls_ = 0;
  absl::Status fatal_status_;  // written before fatal_ is notified
  std::unique_ptr<InMemoryTelemetry> telemetry_;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(EngineLoopTest, AnswersEveryCallerOnceAndOnlyWhenDurable) {
  Start();
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::atomic<int> answered = 0;
  absl::Mutex mu;
  std::vector<absl::Status> wrong;
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.push_back(std::make_unique<Thread>("caller", [&, t](const StopToken&) {
        for (int i = 0; i < kEach; ++i) {
          const absl::StatusOr<Answer> answer = Submit(absl::StrCat("e-", t, "-", i));
          if (answer.ok()) {
            ++answered;
          } else {
            absl::MutexLock lock(&mu);
            wrong.push_back(answer.status());
          }
        }
      }));
    }
    for (auto& thread : threads) thread->Join();
  }
  EXPECT_THAT(wrong, Each(IsOk()));
  EXPECT_EQ(answered, kThreads * kEach);
  loop_.reset();
  EXPECT_EQ(journal_.last_revision(), kThreads * kEach);
}

TEST_F(EngineLoopTest, OneSyncServesWhatCameWhileTheEngineWasBusy) {
  Start();
  Hold();
  constexpr int kWaiting = 20;
  absl::Mutex mu;
  std::vector<int64_t> seen;  // what was durable when each was answered
  for (int i = 0; i < kWaiting; ++i) {
    ASSERT_THAT(PostSubmit(absl::StrCat("e-", i),
                           [&](const absl::StatusOr<Answer>&) {
                             absl::MutexLock lock(&mu);
                             seen.push_back(journal_.last_revision());
                           }),
                IsOk());
  }
  Release();
  loop_.reset();  // runs what waits
  EXPECT_THAT(seen, SizeIs(kWaiting));
  EXPECT_THAT(seen, Each(kWaiting)) << "each was answered after the sync of the whole batch";
}

TEST_F(EngineLoopTest, RefusesMoreThanItsQueueHoldsAndSaysWhenToRepeat) {
  Start();
  Hold();
  absl::Status refused;
  size_t taken = 0;
  while ((refused = loop_->Post([](Engine&, const Instant&) {})).ok()) ++taken;
  EXPECT_EQ(taken, limits::kEngineQueueLengthMax);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_EQ(RetryDelayOf(refused), absl::Milliseconds(100));
  Release();
}

TEST_F(EngineLoopTest, AFailedWriteIsToldOnceAndNothingIsAcknowledgedFromThenOn) {
  Start();
  ASSERT_THAT(Submit("before"), IsOk());
  journal_.FailNext(absl::UnavailableError("the disk is gone"), InMemoryJournal::Outcome::kLost);
  EXPECT_THAT(Submit("hit"), StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED")));
  EXPECT_THAT(Submit("after"), StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED")));
  ASSERT_TRUE(fatal_.WaitForNotificationWithTimeout(absl::Seconds(60)));
  EXPECT_EQ(fatal_status_.message(), "the disk is gone");
  loop_.reset();
  EXPECT_EQ(fatal_calls_, 1);
  EXPECT_EQ(journal_.last_revision(), 1);
  EXPECT_EQ(*journal_.LoadSnapshot(), std::nullopt) << "of a state that nobody knows";
}

TEST_F(EngineLoopTest, StoresASnapshotAtItsEndAndGoesOnFromIt) {
  Start();
  ASSERT_THAT(Submit("one"), IsOk());
  loop_.reset();
  const absl::StatusOr<std::optional<JournalSnapshot>> snapshot = journal_.LoadSnapshot();
  ASSERT_TRUE(snapshot.ok() && snapshot->has_value());
  EXPECT_EQ((*snapshot)->revision, 1);
  Start();
  EXPECT_THAT(Submit("one"), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(EngineLoopTest, RunsWhatWasPostedBeforeItsEnd) {
  Start();
  Hold();
  std::atomic<bool> ran = false;
  ASSERT_THAT(loop_->Post([&](Engine&, const Instant&) { ran = true; }), IsOk());
  Release();
  loop_.reset();
  EXPECT_TRUE(ran);
}

TEST_F(EngineLoopTest, DeliversMessagesAndClosesSessions) {
  Start();
  session::v1::Hello hello;
  hello.set_protocol_min(2);
  hello.set_protocol_max(2);
  hello.set_worker("workers/w1");
  hello.set_instance("first");
  hello.set_plan_version(plan::kPlanVersion);
  hello.add_slots()->set_kind(v1::Slot::KIND_CPU);
  const auto open = [&](SessionId session) {
    return loop_->Post(
        [=](Engine& engine, const Instant& now) { engine.OpenSession(session, hello, now); });
  };
  ASSERT_THAT(open(1), IsOk());
  ASSERT_THAT(open(2), IsOk());  // the same worker, anew
  EXPECT_TRUE(outputs_.WaitUntilClosed(1));
  loop_.reset();
  ASSERT_THAT(outputs_.welcomed(), Not(IsEmpty()));
  EXPECT_EQ(outputs_.welcomed().back(), 2u);
}

TEST_F(EngineLoopTest, TicksByItselfSoThatLeasesExpire) {
  Start({.tick = absl::Milliseconds(1)});
  session::v1::Hello hello;
  hello.set_protocol_min(2);
  hello.set_protocol_max(2);
  hello.set_worker("workers/w1");
  hello.set_instance("first");
  hello.set_plan_version(plan::kPlanVersion);
  hello.add_slots()->set_kind(v1::Slot::KIND_CPU);
  ASSERT_THAT(
      loop_->Post([&](Engine& engine, const Instant& now) { engine.OpenSession(1, hello, now); }),
      IsOk());
  ASSERT_THAT(Submit("flushed"), IsOk());
  clock_.Advance(absl::Hours(1));  // nobody renews
  EXPECT_TRUE(outputs_.WaitUntilClosed(1));
}

}  // namespace
}  // namespace cvtrain::coordinator
