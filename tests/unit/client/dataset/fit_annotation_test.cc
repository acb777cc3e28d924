#include "client/dataset/fit_annotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "client/dataset/boxes.h"
#include "client/dataset/run_lengths.h"
#include "formats/image/image.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using formats::PictureSize;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

storage::v1::Box MakeBox(float left, float top, float right, float bottom) {
  storage::v1::Box box;
  box.set_left(left);
  box.set_top(top);
  box.set_right(right);
  box.set_bottom(bottom);
  return box;
}

SourceAnnotation Of(const std::vector<storage::v1::Box>& boxes, PictureSize size = {}) {
  SourceAnnotation source;
  source.size = size;
  for (const storage::v1::Box& box : boxes) *source.annotation.add_boxes() = box;
  return source;
}

PictureChange Same(PictureSize size) { return {.file = size, .orientation = 1, .stored = size}; }

TEST(FitAnnotationTest, LeavesWhatFits) {
  SourceAnnotation source = Of({MakeBox(1, 2, 3.5f, 4)}, {20, 10});
  source.annotation.mutable_boxes(0)->set_label(2);
  source.annotation.mutable_boxes(0)->set_crowd(true);
  source.annotation.mutable_boxes(0)->set_difficult(true);
  CVT_ASSERT_OK_AND_ASSIGN(const FittedAnnotation fitted, FitAnnotation(source, Same({20, 10}), 3));
  EXPECT_THAT(fitted.annotation, EqualsProto(source.annotation));
  EXPECT_EQ(fitted.boxes_cut + fitted.boxes_dropped + fitted.masks_dropped, 0);
}

TEST(FitAnnotationTest, CutsBoxesToThePictureAndDropsWhatIsEmpty) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CVT_ASSERT_OK_AND_ASSIGN(
      const FittedAnnotation fitted,
      FitAnnotation(Of({MakeBox(-5, -1, 30, 40), MakeBox(18, 8, 19, 10.5f), MakeBox(20, 0, 30, 5),
                        MakeBox(5, 5, 5, 8), MakeBox(6, 6, 5, 8), MakeBox(nan, nan, nan, nan),
                        MakeBox(0, 0, 20, 10)}),
                    Same({20, 10}), 1));
  EXPECT_THAT(fitted.annotation, EqualsProto(R"pb(
                boxes { right: 20 bottom: 10 }
                boxes { left: 18 top: 8 right: 19 bottom: 10 }
                boxes { right: 20 bottom: 10 })pb"));
  EXPECT_EQ(fitted.boxes_cut, 2);
  EXPECT_EQ(fitted.boxes_dropped, 4);
}

TEST(FitAnnotationTest, ShrinksBoxesAndPolygonsWithThePicture) {
  storage::v1::Box box = MakeBox(10, 20, 100, 50);
  storage::v1::Polygon& polygon = *box.mutable_mask()->add_polygons();
  for (const float number : {10.f, 20.f, 130.f, 20.f, 50.f, 50.f}) polygon.add_points(number);
  CVT_ASSERT_OK_AND_ASSIGN(
      const FittedAnnotation fitted,
      FitAnnotation(Of({box}), {.file = {100, 50}, .orientation = 1, .stored = {20, 10}}, 1));
  EXPECT_THAT(fitted.annotation, EqualsProto(R"pb(
                boxes {
                  left: 2
                  top: 4
                  right: 20
                  bottom: 10
                  mask { polygons { points: [ 2, 4, 20, 4, 10, 10 ] } }
                })pb"));
}

TEST(FitAnnotationTest, DropsMasksThatAreNone) {
  storage::v1::Box line = MakeBox(0, 0, 5, 5);
  for (const float number : {0.f, 0.f, 5.f, 5.f}) {
    if (line.mask().polygons_size() == 0) line.mutable_mask()->add_polygons();
    line.mutable_mask()->mutable_polygons(0)->add_points(number);
  }
  storage::v1::Box other_size = MakeBox(0, 0, 5, 5);
  other_size.mutable_mask()->mutable_run_lengths()->set_width(10);
  other_size.mutable_mask()->mutable_run_lengths()->set_height(20);
  other_size.mutable_mask()->mutable_run_lengths()->add_lengths(200);
  storage::v1::Box short_runs = MakeBox(0, 0, 5, 5);
  short_runs.mutable_mask()->mutable_run_lengths()->set_width(20);
  short_runs.mutable_mask()->mutable_run_lengths()->set_height(10);
  short_runs.mutable_mask()->mutable_run_lengths()->add_lengths(199);
  CVT_ASSERT_OK_AND_ASSIGN(const FittedAnnotation fitted,
                           FitAnnotation(Of({line, other_size, short_runs}), Same({20, 10}), 1));
  EXPECT_EQ(fitted.annotation.boxes_size(), 3);
  for (const storage::v1::Box& box : fitted.annotation.boxes()) EXPECT_FALSE(box.has_mask());
  EXPECT_EQ(fitted.masks_dropped, 3);
}

// A picture with one bright rectangle, whose box and mask must lie over it whatever becomes of it.
class TurnTest : public ::testing::TestWithParam<int> {};

TEST_P(TurnTest, TurnsBoxesAndMasksWithThePicture) {
  const int orientation = GetParam();
  const int width = 40, height = 24;
  formats::Image image;
  image.Resize(width, height);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{0});
  Bitmap bitmap{width, height, std::vector<uint8_t>(size_t{width} * height, 0)};
  for (int y = 4; y < 12; ++y) {
    for (int x = 20; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.pixels[static_cast<size_t>((y * width + x) * 3 + c)] = 255;
      }
      bitmap.pixels[static_cast<size_t>(x * height + y)] = 1;
    }
  }
  storage::v1::Box with_runs = MakeBox(20, 4, 32, 12);
  *with_runs.mutable_mask()->mutable_run_lengths() = Pack(bitmap);
  storage::v1::Box with_polygon = MakeBox(20, 4, 32, 12);
  storage::v1::Polygon& polygon = *with_polygon.mutable_mask()->add_polygons();
  for (const float n : {20.f, 4.f, 32.f, 4.f, 32.f, 12.f, 20.f, 12.f}) polygon.add_points(n);

  formats::ApplyOrientation(orientation, &image);
  formats::Image half;
  formats::ResizeArea(image, image.width / 2, image.height / 2, &half);
  CVT_ASSERT_OK_AND_ASSIGN(const FittedAnnotation fitted,
                           FitAnnotation(Of({with_runs, with_polygon}, {width, height}),
                                         {.file = {width, height},
                                          .orientation = orientation,
                                          .stored = {half.width, half.height}},
                                         1));
  ASSERT_EQ(fitted.annotation.boxes_size(), 2);
  const storage::v1::Box& box = fitted.annotation.boxes(0);
  const Bitmap mask = Unpack(box.mask().run_lengths());
  ASSERT_EQ(mask.width, half.width);
  ASSERT_EQ(mask.height, half.height);
  const auto& points = fitted.annotation.boxes(1).mask().polygons(0).points();
  float left = 1000, right = 0, top = 1000, bottom = 0;
  for (int i = 0; i < points.size(); i += 2) {
    left = std::min(left, points[i]);
    right = std::max(right, points[i]);
    top = std::min(top, points[i + 1]);
    bottom = std::max(bottom, points[i + 1]);
  }
  EXPECT_THAT((std::vector<float>{left, top, right, bottom}),
              ElementsAre(box.left(), box.top(), box.right(), box.bottom()));
  for (int y = 0; y < half.height; ++y) {
    for (int x = 0; x < half.width; ++x) {
      const bool bright = half.pixels[static_cast<size_t>((y * half.width + x) * 3)] > 127;
      const bool boxed = static_cast<float>(x) >= box.left() &&
                         static_cast<float>(x) < box.right() &&
                         static_cast<float>(y) >= box.top() && static_cast<float>(y) < box.bottom();
      ASSERT_EQ(boxed, bright) << x << "," << y;
      ASSERT_EQ(mask.at(x, y) == 1, bright) << x << "," << y;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orientations, TurnTest, ::testing::Range(1, 9));

TEST(FitAnnotationTest, TakesTheSizeOfTheUprightPictureForWhatItIs) {
  // Stored lying, shown standing: boxes that name 10x20 are meant for what is shown.
  CVT_ASSERT_OK_AND_ASSIGN(
      const FittedAnnotation fitted,
      FitAnnotation(Of({MakeBox(1, 2, 9, 19)}, {10, 20}),
                    {.file = {20, 10}, .orientation = 6, .stored = {10, 20}}, 1));
  EXPECT_THAT(fitted.annotation, EqualsProto("boxes { left: 1 top: 2 right: 9 bottom: 19 }"));
}

TEST(FitAnnotationTest, RefusesAnAnnotationOfAnotherPicture) {
  EXPECT_THAT(
      FitAnnotation(Of({}, {30, 10}), Same({20, 10}), 1),
      StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("30x10, this one has 20x10"))));
  // Only EXIF makes a lying picture stand.
  EXPECT_THAT(FitAnnotation(Of({}, {10, 20}), Same({20, 10}), 1), StatusIs(kInvalid));
}

TEST(FitAnnotationTest, RefusesWhatAShardDoesNotHold) {
  SourceAnnotation source = Of({MakeBox(0, 0, 1, 1)});
  source.annotation.mutable_boxes(0)->set_label(4);
  EXPECT_THAT(FitAnnotation(source, Same({20, 10}), 4),
              StatusIs(kInvalid, Message(HasSubstr("label must be below 4"))));
  const SourceAnnotation many =
      Of(std::vector<storage::v1::Box>(formats::kShardBoxesMax + 1, MakeBox(0, 0, 1, 1)));
  EXPECT_THAT(FitAnnotation(many, Same({20, 10}), 1), StatusIs(kInvalid, Reason("DATA_BAD")));
}

TEST(LabelOfBoxesTest, IsThatOfTheLargestThatIsNoCrowd) {
  storage::v1::Annotation annotation;
  EXPECT_EQ(LabelOfBoxes(annotation), 0u);
  const auto add = [&](float side, uint32_t label, bool crowd) {
    *annotation.add_boxes() = MakeBox(0, 0, side, side);
    annotation.mutable_boxes(annotation.boxes_size() - 1)->set_label(label);
    annotation.mutable_boxes(annotation.boxes_size() - 1)->set_crowd(crowd);
  };
  add(9, 1, true);
  EXPECT_EQ(LabelOfBoxes(annotation), 0u);
  add(2, 2, false);
  add(3, 3, false);
  add(3, 4, false);
  EXPECT_EQ(LabelOfBoxes(annotation), 3u);
}

}  // namespace
}  // namespace cvtrain::client
