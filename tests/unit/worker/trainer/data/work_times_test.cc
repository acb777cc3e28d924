#include "worker/trainer/data/work_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/fake_clock.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::FakeClock;

class StallMeterTest : public ::testing::Test {
 protected:
  StallMeterTest() {
    for (int i = 0; i < 2; ++i) threads_.push_back(std::make_unique<WorkTimes>(clock_));
  }
  void Pass(int seconds) { clock_.Advance(absl::Seconds(seconds)); }

  FakeClock clock_;
  std::vector<std::unique_ptr<WorkTimes>> threads_;
  StallMeter meter_{clock_, threads_};
};

TEST_F(StallMeterTest, DividesAWaitByWhatTheThreadsDid) {
  threads_[0]->Enter(WorkTimes::kNetwork);
  threads_[1]->Enter(WorkTimes::kDisk);
  Pass(100);  // before the wait: does not count
  meter_.Begin();
  Pass(2);
  threads_[0]->Enter(WorkTimes::kDecode);
  Pass(2);
  meter_.End();
  // Of eight seconds of two threads, two were network, four disk, two decoding.
  EXPECT_EQ(meter_.stall().network, absl::Seconds(1));
  EXPECT_EQ(meter_.stall().disk, absl::Seconds(2));
  EXPECT_EQ(meter_.stall().decode, absl::Seconds(1));
  EXPECT_EQ(meter_.stall().total(), absl::Seconds(4));
}

TEST_F(StallMeterTest, CountsWorkThatIsStillUnderWay) {
  threads_[0]->Enter(WorkTimes::kNetwork);
  meter_.Begin();
  Pass(7);
  meter_.End();
  EXPECT_EQ(meter_.stall().network, absl::Seconds(7));
  EXPECT_EQ(meter_.stall().total(), absl::Seconds(7));
}

TEST_F(StallMeterTest, AddsUpWaits) {
  threads_[0]->Enter(WorkTimes::kDecode);
  for (int i = 0; i < 3; ++i) {
    meter_.Begin();
    Pass(1);
    meter_.End();
    Pass(10);  // nobody waits
  }
  EXPECT_EQ(meter_.stall().decode, absl::Seconds(3));
}

TEST_F(StallMeterTest, AWaitInWhichNothingWasDoneIsNotLost) {
  meter_.Begin();
  Pass(1);
  meter_.End();
  EXPECT_EQ(meter_.stall().total(), absl::Seconds(1));
}

TEST(WorkTimesTest, KnowsWhatAThreadDid) {
  FakeClock clock;
  WorkTimes times(clock);
  clock.Advance(absl::Seconds(1));
  times.Enter(WorkTimes::kDisk);
  clock.Advance(absl::Seconds(2));
  times.Enter(WorkTimes::kDecode);
  clock.Advance(absl::Seconds(4));
  const WorkTimes::Sums sums = times.sums();
  EXPECT_EQ(sums[WorkTimes::kIdle], absl::Seconds(1));
  EXPECT_EQ(sums[WorkTimes::kNetwork], absl::ZeroDuration());
  EXPECT_EQ(sums[WorkTimes::kDisk], absl::Seconds(2));
  EXPECT_EQ(sums[WorkTimes::kDecode], absl::Seconds(4));
}

}  // namespace
}  // namespace cvtrain::trainer
