#include "formats/corruption/random_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace cvtrain::formats {
namespace {

// Against the C library, from the same words.
TEST(FillNormalTest, IsBoxAndMuller) {
  std::vector<float> values(2 * kRandomRun + 7);
  KeyedStream stream("test/v1", {7});
  FillNormal(stream, absl::MakeSpan(values));
  KeyedStream again("test/v1", {7});
  for (size_t first = 0; first < values.size(); first += kRandomRun) {
    const size_t count = std::min(values.size() - first, kRandomRun);
    const size_t half = (count + 1) / 2;
    for (size_t i = 0; i < half; ++i) {
      const double u = (static_cast<double>(again.NextU32() >> 8) + 1) * 0x1p-24;
      const double turn = static_cast<double>(again.NextU32() >> 8) * 0x1p-24;
      const double radius = std::sqrt(-2 * std::log(u));
      ASSERT_NEAR(values[first + i], radius * std::cos(2 * M_PI * turn), 2e-6) << u << " " << turn;
      if (half + i == count) continue;  // an odd one out has no sine
      ASSERT_NEAR(values[first + half + i], radius * std::sin(2 * M_PI * turn), 2e-6);
    }
  }
  EXPECT_EQ(stream.NextU32(), again.NextU32());
}

TEST(FillNormalTest, HasMomentsOfANormalDistribution) {
  std::vector<float> values(200'000);
  KeyedStream stream("test/v1", {8});
  FillNormal(stream, absl::MakeSpan(values));
  double moments[5] = {};
  for (const float value : values) {
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(value, k) / 200'000;
  }
  EXPECT_NEAR(moments[1], 0, 0.01);
  EXPECT_NEAR(moments[2], 1, 0.015);
  EXPECT_NEAR(moments[3], 0, 0.04);
  EXPECT_NEAR(moments[4], 3, 0.12);
}

TEST(FillUniformTest, StaysInItsInterval) {
  std::vector<float> values(10'000);
  KeyedStream stream("test/v1", {9});
  FillUniform(stream, -1, 3, absl::MakeSpan(values));
  EXPECT_THAT(values, ::testing::Each(::testing::AllOf(::testing::Ge(-1), ::testing::Lt(3))));
  double mean = 0;
  for (const float value : values) mean += value / 10'000;
  EXPECT_NEAR(mean, 1, 0.06);
}

}  // namespace
}  // namespace cvtrain::formats
