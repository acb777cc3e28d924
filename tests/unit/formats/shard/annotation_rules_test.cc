#include "formats/shard/annotation_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::testing::HasSubstr;

constexpr PictureSize kSize = {64, 48};

TEST(AnnotationRulesTest, AcceptsBoxesPolygonsAndRuns) {
  EXPECT_EQ(ProblemOf(testing::MakeAnnotation(kSize, 2), kSize, 3), "");
  EXPECT_EQ(ProblemOf({}, kSize, 1), "");
}

TEST(AnnotationRulesTest, NamesTheBoxAndTheRule) {
  using Box = storage::v1::Box;
  struct Case {
    const char* what;
    const char* problem;
    std::function<void(Box&)> change;  // of the box of polygons
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const Case cases[] = {
      {"left outside", "box 0: must have an area and lie within 64x48",
       [](Box& box) { box.set_left(-0.5f); }},
      {"right outside", "lie within", [](Box& box) { box.set_right(64.5f); }},
      {"top outside", "lie within", [](Box& box) { box.set_top(-1); }},
      {"bottom outside", "lie within", [](Box& box) { box.set_bottom(49); }},
      {"no width", "have an area", [](Box& box) { box.set_left(64); }},
      {"no height", "have an area", [](Box& box) { box.set_bottom(0); }},
      {"NaN", "have an area", [=](Box& box) { box.set_top(nan); }},
      {"infinite", "lie within", [=](Box& box) { box.set_right(infinite); }},
      {"label", "the label must be below 3", [](Box& box) { box.set_label(3); }},
      {"two corners", "three corners",
       [](Box& box) { box.mutable_mask()->mutable_polygons(0)->mutable_points()->Truncate(4); }},
      {"half a corner", "three corners",
       [](Box& box) { box.mutable_mask()->mutable_polygons(0)->add_points(1); }},
      {"corner outside", "a corner must lie within",
       [](Box& box) { box.mutable_mask()->mutable_polygons(0)->set_points(1, 48.5f); }},
      {"corner nowhere", "a corner must lie within",
       [=](Box& box) { box.mutable_mask()->mutable_polygons(0)->set_points(0, nan); }},
      {"both", "not both", [](Box& box) { box.mutable_mask()->mutable_run_lengths(); }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    storage::v1::Annotation annotation = testing::MakeAnnotation(kSize, 2);
    one.change(*annotation.mutable_boxes(0));
    EXPECT_THAT(ProblemOf(annotation, kSize, 3), HasSubstr(one.problem));
  }
}

TEST(AnnotationRulesTest, WantsRunsOfTheWholePicture) {
  storage::v1::Annotation annotation = testing::MakeAnnotation(kSize, 2);
  storage::v1::RunLengths& runs =
      *annotation.mutable_boxes(1)->mutable_mask()->mutable_run_lengths();
  runs.set_lengths(0, runs.lengths(0) + 1);
  EXPECT_THAT(ProblemOf(annotation, kSize, 3), HasSubstr("box 1: the runs must add up"));
  // A sum that is right modulo 2^32.
  runs.set_lengths(0, runs.lengths(0) - 1);
  runs.add_lengths(std::numeric_limits<uint32_t>::max());
  runs.add_lengths(1);
  EXPECT_THAT(ProblemOf(annotation, kSize, 3), HasSubstr("the runs must add up"));
  runs.set_width(48);
  runs.set_height(64);
  EXPECT_THAT(ProblemOf(annotation, kSize, 3), HasSubstr("the size of its picture"));
}

TEST(AnnotationRulesTest, BoundsBoxesAndMasks) {
  storage::v1::Annotation annotation;
  storage::v1::Box box;
  box.set_right(1);
  box.set_bottom(1);
  for (int i = 0; i < kShardBoxesMax; ++i) *annotation.add_boxes() = box;
  EXPECT_EQ(ProblemOf(annotation, kSize, 1), "");
  *annotation.add_boxes() = box;
  EXPECT_THAT(ProblemOf(annotation, kSize, 1), HasSubstr("at most 10000 boxes"));

  annotation.Clear();
  storage::v1::Polygon& polygon = *annotation.add_boxes()->mutable_mask()->add_polygons();
  annotation.mutable_boxes(0)->set_right(1);
  annotation.mutable_boxes(0)->set_bottom(1);
  polygon.mutable_points()->Resize(kShardMaskNumbersMax, 0);
  EXPECT_EQ(ProblemOf(annotation, kSize, 1), "");
  polygon.mutable_points()->Resize(kShardMaskNumbersMax + 2, 0);
  EXPECT_THAT(ProblemOf(annotation, kSize, 1), HasSubstr("at most 1000000 numbers"));
}

}  // namespace
}  // namespace cvtrain::formats
