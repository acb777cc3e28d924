#include "formats/shard/shard_format.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

TEST(ShrinkToShortSideTest, KeepsTheProportion) {
  EXPECT_EQ(ShrinkToShortSide({400, 300}, 72), (PictureSize{96, 72}));
  EXPECT_EQ(ShrinkToShortSide({300, 400}, 72), (PictureSize{72, 96}));
  EXPECT_EQ(ShrinkToShortSide({500, 375}, 256), (PictureSize{341, 256}));
}

TEST(ShrinkToShortSideTest, RoundsHalfUp) {
  EXPECT_EQ(ShrinkToShortSide({5, 4}, 2), (PictureSize{3, 2}));  // 2.5
}

TEST(ShrinkToShortSideTest, NeverEnlarges) {
  EXPECT_EQ(ShrinkToShortSide({60, 40}, 72), (PictureSize{60, 40}));
  EXPECT_EQ(ShrinkToShortSide({90, 72}, 72), (PictureSize{90, 72}));
}

TEST(ShrinkToShortSideTest, HoldsForTheGreatestSides) {
  EXPECT_EQ(ShrinkToShortSide({16'384, 3}, 2), (PictureSize{10'923, 2}));
}

const std::vector<int> kRungs{kDefaultRungs.begin(), kDefaultRungs.end()};

ShardRecord Record(int width, int height) {
  ShardRecord record;
  record.source = {width, height};
  for (size_t i = 0; i <= kRungs.size(); ++i) {
    const bool absent = i < kRungs.size() && std::min(width, height) <= kRungs[i];
    record.extents[i] = {4096, absent ? 0 : 1};
  }
  return record;
}

CropWant Square(double crop, int target) { return {crop, crop, target, target}; }

TEST(PickRungTest, TakesTheSmallestThatHoldsTheCrop) {
  const ShardRecord record = Record(500, 500);
  EXPECT_EQ(PickRung(record, kRungs, Square(500, 64)), 0);   // 72
  EXPECT_EQ(PickRung(record, kRungs, Square(500, 72)), 0);   // just
  EXPECT_EQ(PickRung(record, kRungs, Square(500, 73)), 1);   // 112
  EXPECT_EQ(PickRung(record, kRungs, Square(500, 224)), 4);  // 256
  EXPECT_EQ(PickRung(record, kRungs, Square(500, 257)), 5);  // the source
  EXPECT_EQ(PickRung(record, kRungs, Square(250, 64)), 2);   // half of 144 holds 64, of 112 not
  EXPECT_EQ(PickRung(record, kRungs, Square(100, 64)), 5);   // a fifth of 256 does not
}

TEST(PickRungTest, LooksAtBothSides) {
  const ShardRecord record = Record(1000, 500);
  EXPECT_EQ(PickRung(record, kRungs, {1000, 250, 64, 64}), 2);
  EXPECT_EQ(PickRung(record, kRungs, {120, 500, 64, 64}), 5);
}

TEST(PickRungTest, NeverTakesAnAbsentRung) {
  const ShardRecord small = Record(100, 100);
  EXPECT_EQ(PickRung(small, kRungs, Square(100, 64)), 0);
  EXPECT_EQ(PickRung(small, kRungs, Square(100, 80)), 5);
  EXPECT_EQ(PickRung(small, kRungs, Square(100, 400)), 5);  // the source, though too small
}

TEST(RungSizeTest, IsTheSourceAfterTheLastRung) {
  const ShardRecord record = Record(400, 300);
  EXPECT_EQ(RungSize(record, kRungs, 0), (PictureSize{96, 72}));
  EXPECT_EQ(RungSize(record, kRungs, 5), (PictureSize{400, 300}));
}

}  // namespace
}  // namespace cvtrain::formats
