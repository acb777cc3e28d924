#include "plan/curriculum/scale_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/curriculum/forecast.h"
#include "tests/unit/plan/curriculum/recipes.h"

// Reference vectors of the released sampler (multiscale-samplers, G.1 to G.4).
namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::Pair;

TEST(RoundToDivisorTest, IsThatOfTheReleasedCode) {
  const std::vector<std::pair<double, int>> by_32 = {
      {15, 32},  {16, 32},       {47.9, 64}, {48, 64},   {70, 64},
      {100, 96}, {149.333, 160}, {240, 256}, {260, 256}, {300, 288}};
  for (const auto& [value, rounded] : by_32) {
    EXPECT_EQ(RoundToDivisor(value, 32), rounded) << value;
  }
}

TEST(RoundToDivisorTest, NeverReducesByMoreThanATenth) {
  EXPECT_EQ(RoundToDivisor(79, 64), 128);
  EXPECT_EQ(RoundToDivisor(90, 64), 128);
}

TEST(RoundToDivisorTest, RoundsToWholePixelsByOne) {
  EXPECT_EQ(RoundToDivisor(10.4, 1), 10);
  EXPECT_EQ(RoundToDivisor(10.5, 1), 11);
}

struct SquareCase {
  const char* what;
  Scale base;
  RangeOptions range;
  std::vector<int> sizes;  // before removing duplicates
  std::vector<std::pair<int, int>> pairs;
  double mean_batch;
  double steps;
  double flops;
};

std::vector<SquareCase> SquareCases() {
  return {
      {"the code's defaults",
       {224, 224, 128},
       {160, 320, 5, 32},
       {160, 192, 224, 256, 288, 320},
       {{160, 250}, {192, 174}, {224, 128}, {256, 98}, {288, 77}, {320, 62}},
       131.5,
       0.9734,
       0.9698},
      {"mobile networks",
       {224, 224, 128},
       {128, 320, 5, 32},
       {128, 192, 224, 288, 320},
       {{128, 392}, {192, 174}, {224, 128}, {288, 77}, {320, 62}},
       166.6,
       0.7683,
       0.7655},
      {"ResNets",
       {224, 224, 128},
       {128, 320, 10, 32},
       {128, 160, 160, 192, 224, 224, 224, 256, 288, 288, 320},
       {{128, 392}, {160, 250}, {192, 174}, {224, 128}, {256, 98}, {288, 77}, {320, 62}},
       168.714,
       0.7587,
       0.7563},
      {"multiples of 16",
       {224, 224, 128},
       {128, 320, 5, 16},
       {128, 176, 224, 272, 320},
       {{128, 392}, {176, 207}, {224, 128}, {272, 86}, {320, 62}},
       175.0,
       0.7314,
       0.7281},
      {"a smaller base batch",
       {224, 224, 64},
       {128, 320, 10, 16},
       {},
       {{128, 196},
        {144, 154},
        {176, 103},
        {192, 87},
        {208, 74},
        {224, 64},
        {240, 55},
        {256, 49},
        {272, 43},
        {304, 34},
        {320, 31}},
       80.909,
       0.7910,
       0.7858},
      {"base 256",
       {256, 256, 128},
       {160, 320, 5, 32},
       {160, 192, 256, 256, 288, 320},
       {{160, 327}, {192, 227}, {256, 128}, {288, 101}, {320, 81}},
       172.8,
       0.7407,
       0.7382},
      {"base 240",
       {240, 240, 256},
       {128, 352, 10, 32},
       {128, 160, 192, 192, 224, 256, 256, 288, 288, 320, 352},
       {{128, 900},
        {160, 576},
        {192, 400},
        {224, 293},
        {256, 225},
        {288, 177},
        {320, 144},
        {352, 119}},
       354.25,
       0.7227,
       0.7220},
      {"a base that is no multiple",
       {260, 260, 256},
       {160, 384, 10, 32},
       {160, 192, 224, 224, 256, 256, 288, 320, 320, 352, 384},
       {{160, 676},
        {192, 469},
        {224, 344},
        {256, 264},
        {288, 208},
        {320, 169},
        {352, 139},
        {384, 117}},
       298.25,
       0.8583,
       0.8568},
      {"detection",
       {1024, 1024, 4},
       {512, 1280, 10, 32},
       {512, 608, 672, 768, 864, 928, 1024, 1120, 1184, 1280},
       {{512, 16},
        {608, 11},
        {672, 9},
        {768, 7},
        {864, 5},
        {928, 4},
        {1024, 4},
        {1120, 3},
        {1184, 2},
        {1280, 2}},
       6.3,
       0.6349,
       0.5702},
      {"CIFAR",
       {32, 32, 128},
       {16, 48, 5, 8},
       {16, 24, 32, 40, 48},
       {{16, 512}, {24, 227}, {32, 128}, {40, 81}, {48, 56}},
       200.8,
       0.6375,
       0.6337},
      {"one scale",
       {224, 224, 128},
       {128, 320, 1, 32},
       {128, 224},
       {{128, 392}, {224, 128}},
       260,
       0.4923,
       0.4923},
      {"a base batch of one",
       {224, 224, 1},
       {128, 320, 5, 32},
       {128, 192, 224, 288, 320},
       {{128, 3}, {192, 1}, {224, 1}, {288, 1}, {320, 1}},
       1.4,
       0.7143,
       0.9155},
  };
}

TEST(ScaleSetTest, IsThatOfTheReleasedCode) {
  for (const SquareCase& c : SquareCases()) {
    SCOPED_TRACE(c.what);
    if (!c.sizes.empty()) {
      EXPECT_THAT(SizesAlongAxis({c.base.height, c.range.min, c.range.max, c.range.count,
                                  c.range.divisible_by}),
                  ElementsAreArray(c.sizes));
    }
    const std::vector<Scale> scales = ScaleSet({.base = c.base,
                                                .min = c.range.min,
                                                .max = c.range.max,
                                                .count = c.range.count,
                                                .divisible_by = c.range.divisible_by});
    EXPECT_EQ(Pairs(scales), c.pairs);
    EXPECT_NEAR(MeanBatch(scales), c.mean_batch, 0.0005);
    const CostRatio ratio = ExpectedCostRatio(
        scales, c.base, [](const Scale& s) { return static_cast<double>(s.Area()); });
    EXPECT_NEAR(ratio.steps, c.steps, 0.00006);
    EXPECT_NEAR(ratio.flops, c.flops, 0.00006);
  }
}

TEST(ScaleSetTest, GivesEverySizeTheBaseBatchIfBatchesAreFixed) {
  const std::vector<Scale> scales = ScaleSet({.base = {224, 224, 128},
                                              .min = 128,
                                              .max = 320,
                                              .count = 5,
                                              .divisible_by = 32,
                                              .variable_batch = false});
  EXPECT_THAT(Pairs(scales), ElementsAre(Pair(128, 128), Pair(192, 128), Pair(224, 128),
                                         Pair(288, 128), Pair(320, 128)));
}

TEST(ScaleSetTest, LeavesTheBaseOutWhereAsked) {
  const std::vector<Scale> scales = ScaleSet({.base = {224, 224, 128},
                                              .min = 128,
                                              .max = 160,
                                              .count = 5,
                                              .divisible_by = 32,
                                              .include_base = false});
  EXPECT_THAT(Pairs(scales), ElementsAre(Pair(128, 392), Pair(160, 250)));
}

TEST(ScaleSetTest, ZipsRectangularSizes) {
  const std::vector<Scale> scales =
      PairScales(SizesAlongAxis({224, 128, 320, 5, 32}), SizesAlongAxis({320, 192, 448, 5, 32}),
                 {224, 320, 64}, true);
  EXPECT_THAT(scales, ElementsAre(Scale{128, 192, 186}, Scale{192, 256, 93}, Scale{224, 320, 64},
                                  Scale{288, 384, 41}, Scale{320, 448, 32}));
}

TEST(ScaleSetTest, LosesTheLargestSizeWhereAxesDoNotAlign) {
  const ScaleSetOptions options{
      .base = {200, 224, 64}, .min = 128, .max = 320, .count = 5, .divisible_by = 32};
  EXPECT_THAT(SizesAlongAxis({200, 128, 320, 5, 32}), ElementsAre(128, 192, 192, 224, 288, 320));
  EXPECT_THAT(ScaleSet(options),
              ElementsAre(Scale{128, 128, 175}, Scale{192, 192, 77}, Scale{192, 224, 66},
                          Scale{224, 288, 44}, Scale{288, 320, 31}));
  EXPECT_FALSE(AxesAlign(options));
}

TEST(AxesAlignTest, HoldsWhereBothSidesAreSpacedSizesOrNeitherIs) {
  ScaleSetOptions options{
      .base = {224, 224, 64}, .min = 128, .max = 320, .count = 5, .divisible_by = 32};
  EXPECT_TRUE(AxesAlign(options));
  options.base = {200, 210, 64};
  EXPECT_TRUE(AxesAlign(options));
  options.base = {176, 224, 64};
  EXPECT_TRUE(AxesAlign(options));
  options.base = {200, 224, 64};
  options.include_base = false;
  EXPECT_TRUE(AxesAlign(options));
}

TEST(BatchForSizeTest, TruncatesAfterRoundingToCents) {
  // 224^2 * 128 / 160^2 = 250.88.
  EXPECT_EQ(BatchForSize({224, 224, 128}, 160, 160), 250);
  // 999 * 4 / 1000 = 3.996 is 4.00 in cents.
  EXPECT_EQ(BatchForSize({1, 999, 4}, 1, 1000), 4);
  EXPECT_EQ(BatchForSize({8, 8, 1}, 4096, 4096), 1);
}

}  // namespace
}  // namespace cvtrain::plan
