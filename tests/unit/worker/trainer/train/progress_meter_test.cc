#include "worker/trainer/train/progress_meter.h"

#include <gtest/gtest.h>

namespace cvtrain::trainer {
namespace {

TEST(ProgressMeterTest, GoesOnWhereTheAttemptBeforeEnded) {
  ProgressMeter meter({.samples = 100, .flops = 1000, .wall_time = absl::Seconds(10)});
  EXPECT_EQ(meter.eta(), absl::InfiniteDuration());
  meter.AddStep(10, 100, absl::Seconds(1));
  EXPECT_EQ(meter.axes().samples, 110);
  EXPECT_EQ(meter.axes().flops, 1100);
  EXPECT_EQ(meter.axes().wall_time, absl::Seconds(11));
  EXPECT_EQ(meter.images_per_second(), 10);
}

TEST(ProgressMeterTest, PredictsFromTheFlopsThatAreLeft) {
  ProgressMeter meter({});
  meter.AddStep(10, 100, absl::Seconds(1));
  EXPECT_EQ(meter.eta(), absl::InfiniteDuration());
  meter.SetTotal(1000);
  EXPECT_EQ(meter.eta(), absl::Seconds(9));
  // Evaluations count: they will come again.
  meter.AddOther(absl::Seconds(1));
  EXPECT_EQ(meter.eta(), absl::Seconds(18));
  meter.AddStep(10, 900, absl::Seconds(1));
  EXPECT_EQ(meter.eta(), absl::ZeroDuration());
}

TEST(ProgressMeterTest, ForgetsOldRates) {
  ProgressMeter meter({});
  meter.AddStep(10, 1, absl::Seconds(1));
  for (int i = 0; i < 20; ++i) meter.AddStep(100, 1, absl::Seconds(1));
  EXPECT_NEAR(meter.images_per_second(), 100, 1);
}

}  // namespace
}  // namespace cvtrain::trainer
