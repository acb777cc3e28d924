#include "common/thread.h"

#include <gmock/gmock.h>
#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/bounded_queue.h"
#include "common/clock.h"

namespace cvtrain {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

TEST(ThreadTest, HasANameAndIsJoinedByItsOwner) {
  std::string name;
  {
    Thread thread("cv-metrics-flusher", [&](StopToken) {
      char buffer[16] = {};
      pthread_getname_np(pthread_self(), buffer, sizeof(buffer));
      name = buffer;
    });
  }
  EXPECT_EQ(name, "cv-metrics-flus");
}

TEST(ThreadTest, TheDestructorAsksItToStop) {
  std::atomic<bool> stopped = false;
  {
    Thread thread("waiter",
                  [&](StopToken stop) { stopped = WaitForStop(stop, absl::InfiniteDuration()); });
  }
  EXPECT_TRUE(stopped);
}

TEST(ThreadTest, JoinWaitsAndMayBeRepeated) {
  std::atomic<int> runs = 0;
  Thread thread(
      "once", [&](StopToken) { ++runs; }, /*nice=*/5);
  thread.Join();
  thread.Join();
  EXPECT_EQ(runs, 1);
}

TEST(WaitForStopTest, EndsWithTheTimeOrWithTheStop) {
  StopSource source;
  EXPECT_FALSE(WaitForStop(source.get_token(), absl::Milliseconds(1)));
  source.request_stop();
  EXPECT_TRUE(WaitForStop(source.get_token(), absl::InfiniteDuration()));
}

TEST(ClockTest, SteadyTimeNeverGoesBack) {
  const absl::Duration before = RealClock().SteadyNow();
  EXPECT_GE(RealClock().SteadyNow(), before);
  EXPECT_GT(RealClock().WallNow(), absl::UnixEpoch());
}

TEST(BoundedQueueTest, IsFirstInFirstOutAndNeverLonger) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_THAT(queue.TryPop(), Optional(1));
  EXPECT_TRUE(queue.TryPush(3));
  EXPECT_THAT(queue.PopAll(10), ElementsAre(2, 3));
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueueTest, ARefusedValueStaysWithTheCaller) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.TryPush(std::make_unique<int>(1)));
  auto value = std::make_unique<int>(2);
  EXPECT_FALSE(queue.TryPush(std::move(value)));
  EXPECT_FALSE(queue.Push(std::move(value), {}, absl::ZeroDuration()));
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 2);
}

TEST(BoundedQueueTest, CloseLetsOutWhatIsInAndNothingIn) {
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.TryPush(1));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_FALSE(queue.Push(2));
  EXPECT_THAT(queue.Pop(), Optional(1));
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, WaitersAreWokenByValuesRoomStopsAndClose) {
  BoundedQueue<int> queue(1);
  {
    absl::Notification popped;
    Thread consumer("consumer", [&](StopToken stop) {
      EXPECT_THAT(queue.Pop(stop), Optional(7));
      popped.Notify();
      EXPECT_EQ(queue.Pop(stop), std::nullopt);  // ended by the stop
    });
    EXPECT_TRUE(queue.TryPush(7));
    popped.WaitForNotification();
  }
  ASSERT_TRUE(queue.TryPush(1));
  {
    Thread producer("producer", [&](StopToken stop) { EXPECT_TRUE(queue.Push(2, stop)); });
    EXPECT_THAT(queue.Pop(), Optional(1));
    producer.Join();
  }
  {
    Thread producer("producer", [&](StopToken stop) { EXPECT_FALSE(queue.Push(3, stop)); });
  }
  EXPECT_THAT(queue.Pop(), Optional(2));
  Thread consumer("consumer", [&](StopToken) { EXPECT_EQ(queue.Pop(), std::nullopt); });
  queue.Close();
}

TEST(BoundedQueueTest, PopGivesUpInTime) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.Pop({}, absl::Milliseconds(1)), std::nullopt);
}

TEST(BoundedQueueTest, ManyThreadsLoseAndDoubleNothing) {
  constexpr int kPerProducer = 2'000;
  BoundedQueue<int> queue(8);
  std::atomic<int64_t> sum = 0;
  std::atomic<int> count = 0;
  {
    std::vector<std::unique_ptr<Thread>> consumers;
    for (int i = 0; i < 3; ++i) {
      consumers.push_back(std::make_unique<Thread>("consumer", [&](StopToken) {
        while (const auto value = queue.Pop()) {
          sum += *value;
          ++count;
        }
      }));
    }
    std::vector<std::unique_ptr<Thread>> producers;
    for (int i = 0; i < 3; ++i) {
      producers.push_back(std::make_unique<Thread>("producer", [&](StopToken) {
        for (int value = 1; value <= kPerProducer; ++value) EXPECT_TRUE(queue.Push(int{value}));
      }));
    }
    for (auto& producer : producers) producer->Join();
    queue.Close();
    for (auto& consumer : consumers) consumer->Join();
  }
  EXPECT_EQ(count, 3 * kPerProducer);
  EXPECT_EQ(sum, int64_t{3} * kPerProducer * (kPerProducer + 1) / 2);
}

}  // namespace
}  // namespace cvtrain
