#include "client/dataset/contact_sheet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

formats::Image Tile(int width, int height, uint8_t value) {
  formats::Image image;
  image.Resize(width, height);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

uint8_t At(const formats::Image& image, int x, int y) {
  return image.pixels[3 * (static_cast<size_t>(y) * static_cast<size_t>(image.width) +
                           static_cast<size_t>(x))];
}

// The rows of a picture: where it is brighter than its paper.
std::vector<std::string> Drawn(const formats::Image& image) {
  std::vector<std::string> rows;
  for (int y = 0; y < image.height; ++y) {
    std::string& row = rows.emplace_back();
    for (int x = 0; x < image.width; ++x) row += At(image, x, y) > 0x80 ? '#' : '.';
  }
  return rows;
}

TEST(DrawTextTest, WritesCharactersAndLeavesTheRest) {
  formats::Image image = Tile(13, 8, 0);
  DrawText("1~T", 0, 0, image);
  EXPECT_THAT(Drawn(image),
              ElementsAre("..#.........#", ".##..........", "..#..........", "..#..........",
                          "..#..........", "..#..........", ".###.........", "............."));
  formats::Image letters = Tile(11, 7, 0);
  DrawText("xX", 0, 0, letters);
  EXPECT_THAT(Drawn(letters),
              ElementsAre("#...#.#...#", "#...#.#...#", ".#.#...#.#.", "..#.....#..", ".#.#...#.#.",
                          "#...#.#...#", "#...#.#...#"));
}

TEST(ContactSheetTest, ShowsEachTileInItsSizeBelowItsCaption) {
  CVT_ASSERT_OK_AND_ASSIGN(
      const formats::Image sheet,
      MakeContactSheet({{.caption = "A", .tiles = {Tile(20, 20, 100), Tile(20, 20, 200)}},
                        {.caption = "B", .tiles = {Tile(30, 40, 50)}}}));
  EXPECT_EQ(sheet.width, 4 + 24 + 24);
  EXPECT_EQ(sheet.height, 4 + (7 + 20 + 12) + (7 + 40 + 12));
  EXPECT_EQ(At(sheet, 4, 15), 100);
  EXPECT_EQ(At(sheet, 23, 34), 100);
  EXPECT_EQ(At(sheet, 24, 15), 0x18) << "tiles touch";
  EXPECT_EQ(At(sheet, 28, 15), 200);
  EXPECT_EQ(At(sheet, 4, 54), 50);
  EXPECT_EQ(At(sheet, 33, 93), 50);
  EXPECT_EQ(At(sheet, 5, 4), 0xd0) << "there is no caption";
}

TEST(ContactSheetTest, IsAsWideAsItsCaption) {
  CVT_ASSERT_OK_AND_ASSIGN(
      const formats::Image sheet,
      MakeContactSheet({{.caption = std::string(40, 'x'), .tiles = {Tile(20, 20, 100)}}}));
  EXPECT_EQ(sheet.width, 8 + 40 * 6);
}

TEST(ContactSheetTest, RefusesMoreThanAPictureCanHold) {
  std::vector<SheetRow> rows(200, {.caption = "x", .tiles = {Tile(10, 100, 0)}});
  EXPECT_THAT(MakeContactSheet(rows),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")),
                    Message(HasSubstr("one stage"))));
}

}  // namespace
}  // namespace cvtrain::client
