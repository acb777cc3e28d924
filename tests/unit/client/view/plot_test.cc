#include "client/view/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "common/text.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(PlotTest, SaysThatThereIsNoData) {
  EXPECT_EQ(Plot({}, {}), "no data\n");
  EXPECT_EQ(Plot({{.label = "a", .x = {1}, .y = {std::nan("")}}}, {}), "no data\n");
}

TEST(PlotTest, DrawsTheEndsOfALineInTheCorners) {
  const std::vector<std::string> lines =
      LinesOf(Plot({{.label = "loss", .x = {0, 10}, .y = {1, 5}}},
                   {.columns = 40, .rows = 4, .x_label = "step", .unicode = false}));
  ASSERT_THAT(lines, SizeIs(7));
  EXPECT_EQ(lines[0], "        5 |" + std::string(28, ' ') + "*");
  EXPECT_EQ(lines[3], "        1 |*" + std::string(28, ' '));
  EXPECT_EQ(lines[4], "          +" + std::string(29, '-'));
  EXPECT_THAT(lines[5], HasSubstr("step"));
  EXPECT_EQ(lines[6], "           * loss");
}

TEST(PlotTest, PutsAFlatLineInTheMiddle) {
  const std::vector<std::string> lines =
      LinesOf(Plot({{.label = "a", .x = {0, 1}, .y = {3, 3}}},
                   {.columns = 40, .rows = 5, .x_label = "step", .unicode = false}));
  EXPECT_THAT(lines[2], HasSubstr("3 |*"));
}

TEST(PlotTest, TellsSeriesApartByLetters) {
  const std::string text =
      Plot({{.label = "a", .x = {0, 1}, .y = {0, 0}}, {.label = "b", .x = {0, 1}, .y = {9, 9}}},
           {.columns = 40, .rows = 4, .x_label = "step", .unicode = false});
  EXPECT_THAT(text, HasSubstr("* a\n"));
  EXPECT_THAT(text, HasSubstr("o b\n"));
}

TEST(PlotTest, FitsTheColumnsInBraille) {
  for (const std::string& line :
       LinesOf(Plot({{.label = "a", .x = {0, 1, 2}, .y = {0, 4, 1}}},
                    {.columns = 60, .rows = 6, .x_label = "step", .unicode = true})))
    EXPECT_LE(DisplayWidth(line), 60u) << line;
}

TEST(PlotTest, EscapesLabels) {
  EXPECT_THAT(Plot({{.label = "a\x1b[2J", .x = {0}, .y = {0}}}, {}), HasSubstr("a\\x1b[2J"));
}

}  // namespace
}  // namespace cvtrain::client
