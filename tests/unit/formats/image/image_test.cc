#include "formats/image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SniffImageKindTest, GoesByContent) {
  EXPECT_EQ(SniffImageKind("\xff\xd8\xff\xe0 ..."), ImageKind::kJpeg);
  EXPECT_EQ(SniffImageKind("\x89PNG\r\n\x1a\n..."), ImageKind::kPng);
  EXPECT_EQ(SniffImageKind("\x89PNG\n\x1a\n"), ImageKind::kUnknown);
  for (const absl::string_view tiff :
       {absl::string_view("II*\0", 4), absl::string_view("MM\0*", 4),
        absl::string_view("II+\0\x08\0\0\0", 8), absl::string_view("MM\0+\0\x08\0\0", 8)}) {
    EXPECT_EQ(SniffImageKind(tiff), ImageKind::kTiff);
    EXPECT_EQ(SniffImageKind(tiff.substr(0, 3)), ImageKind::kUnknown);
  }
  EXPECT_EQ(SniffImageKind("RIFF1234WEBPVP8 "), ImageKind::kWebp);
  EXPECT_EQ(SniffImageKind("RIFF1234WAVEfmt "), ImageKind::kUnknown);
  EXPECT_EQ(SniffImageKind("RIFF1234WEB"), ImageKind::kUnknown);
  EXPECT_EQ(SniffImageKind("GIF89a"), ImageKind::kUnknown);
  EXPECT_EQ(SniffImageKind(""), ImageKind::kUnknown);
}

ImageInfo Info(int width, int height) {
  ImageInfo info;
  info.width = width;
  info.height = height;
  return info;
}

TEST(CheckImageLimitsTest, TakesWhatIsWithin) {
  EXPECT_THAT(CheckImageLimits(Info(16'384, 3'000), 10'000'000, {}), IsOk());
  // A flat drawing: small enough to be harmless whatever it expands to.
  EXPECT_THAT(CheckImageLimits(Info(1'000, 1'000), 500, {}), IsOk());
}

TEST(CheckImageLimitsTest, NamesTheLimit) {
  const auto refused = [](const char* text) {
    return StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr(text)));
  };
  EXPECT_THAT(CheckImageLimits(Info(16'385, 1), 1000, {}), refused("a side may have 16384"));
  EXPECT_THAT(CheckImageLimits(Info(1, 16'385), 1000, {}), refused("a side may have 16384"));
  EXPECT_THAT(CheckImageLimits(Info(10'000, 5'001), 50'000'000, {}), refused("50000000 pixels"));
  EXPECT_THAT(CheckImageLimits(Info(10, 10), (64 << 20) + 1, {}), refused("67108864 are read"));
  EXPECT_THAT(CheckImageLimits(Info(2'000, 2'000), 50'000, {}), refused("200 times"));
}

// A 3 x 2 picture whose pixels are numbered 0 to 5, in all channels.
Image Numbered() {
  Image image;
  image.Resize(3, 2);
  for (size_t i = 0; i < 18; ++i) image.pixels[i] = static_cast<uint8_t>(i / 3);
  return image;
}

std::vector<int> Numbers(const Image& image) {
  std::vector<int> numbers;
  for (size_t i = 0; i < image.pixels.size(); i += 3) numbers.push_back(image.pixels[i]);
  return numbers;
}

TEST(ApplyOrientationTest, TurnsThePictureUpright) {
  // Upright:  0 1 2
  //           3 4 5
  const struct {
    int orientation;
    int width;
    std::vector<int> numbers;
  } cases[] = {
      {1, 3, {0, 1, 2, 3, 4, 5}}, {2, 3, {2, 1, 0, 5, 4, 3}}, {3, 3, {5, 4, 3, 2, 1, 0}},
      {4, 3, {3, 4, 5, 0, 1, 2}}, {5, 2, {0, 3, 1, 4, 2, 5}}, {6, 2, {3, 0, 4, 1, 5, 2}},
      {7, 2, {5, 2, 4, 1, 3, 0}}, {8, 2, {2, 5, 1, 4, 0, 3}},
  };
  for (const auto& c : cases) {
    Image image = Numbered();
    ApplyOrientation(c.orientation, &image);
    EXPECT_EQ(image.width, c.width) << c.orientation;
    EXPECT_EQ(image.height, 6 / c.width) << c.orientation;
    EXPECT_EQ(Numbers(image), c.numbers) << c.orientation;
  }
}

TEST(ApplyOrientationTest, LeavesThePictureForValuesThatDoNotExist) {
  for (const int orientation : {-1, 0, 9}) {
    Image image = Numbered();
    ApplyOrientation(orientation, &image);
    EXPECT_THAT(Numbers(image), ElementsAre(0, 1, 2, 3, 4, 5));
  }
}

}  // namespace
}  // namespace cvtrain::formats
