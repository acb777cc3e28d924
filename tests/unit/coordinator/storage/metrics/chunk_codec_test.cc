#include "coordinator/storage/metrics/chunk_codec.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::StatusIs;

// Compares bit for bit: NaN equals itself, 0 does not equal -0.
void ExpectComesBack(const std::vector<MetricPoint>& points) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::vector<MetricPoint> read, DecodePoints(EncodePoints(points)));
  ASSERT_EQ(read.size(), points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(read[i].step, points[i].step) << i;
    EXPECT_EQ(std::bit_cast<uint64_t>(read[i].value), std::bit_cast<uint64_t>(points[i].value))
        << i;
  }
}

TEST(ChunkCodecTest, KeepsNothingAndOnePoint) {
  ExpectComesBack({});
  ExpectComesBack({{0, 0.0}});
  ExpectComesBack({{123'456'789, -1.5}});
}

TEST(ChunkCodecTest, KeepsSpecialValues) {
  const double inf = std::numeric_limits<double>::infinity();
  ExpectComesBack({{0, std::nan("")}, {1, inf}, {2, -inf}, {3, -0.0}, {4, 0.0}});
  ExpectComesBack({{0, 1e-310}, {1, 1e300}, {2, std::bit_cast<double>(0x7ff4000000000001)}});
}

TEST(ChunkCodecTest, KeepsStepsOfAnyOrder) {
  const int64_t max = std::numeric_limits<int64_t>::max();
  ExpectComesBack({{5, 1}, {5, 2}, {3, 3}, {0, 4}, {max, 5}, {0, 6}, {max - 1, 7}});
}

TEST(ChunkCodecTest, KeepsRandomPointsOfBothWidths) {
  KeyedStream random("test/v1", {1});
  for (int round = 0; round < 300; ++round) {
    std::vector<MetricPoint> points(random.UniformInt(60));
    for (MetricPoint& point : points) {
      point.step = static_cast<int64_t>(random.NextU64() >> (1 + random.UniformInt(63)));
      point.value =
          round % 2 == 0 ? std::bit_cast<double>(random.NextU64()) : random.Uniform01Float();
    }
    ExpectComesBack(points);
  }
}

TEST(ChunkCodecTest, PacksALossCurve) {
  KeyedStream random("test/v1", {2});
  std::vector<MetricPoint> points;
  for (int i = 0; i < 1024; ++i) {
    points.push_back({i, static_cast<float>(2 * std::exp(-i / 500.0) + 0.05 * random.Normal())});
  }
  EXPECT_LT(EncodePoints(points).size(), 1024u * 5);
  for (MetricPoint& point : points) {
    point.value = 0.1;
  }
  EXPECT_LT(EncodePoints(points).size(), 1024u / 2);
}

TEST(ChunkCodecTest, RefusesEveryPrefixAndEverySuffix) {
  std::vector<MetricPoint> points;
  for (int i = 0; i < 20; ++i) {
    points.push_back({3 * i * i, 1.0 / (i + 1)});
  }
  const std::string bytes = EncodePoints(points);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodePoints(bytes.substr(0, size)), StatusIs(absl::StatusCode::kDataLoss)) << size;
  }
  EXPECT_THAT(DecodePoints(bytes + '\0'), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ChunkCodecTest, SurvivesAnyBytes) {
  KeyedStream random("test/v1", {3});
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random.UniformInt(40), '\0');
    for (char& c : bytes) {
      c = static_cast<char>(random.NextU32());
    }
    if (!bytes.empty()) {
      bytes[0] = static_cast<char>(1 + round % 2);
    }
    DecodePoints(bytes).status().IgnoreError();  // must only not crash
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
