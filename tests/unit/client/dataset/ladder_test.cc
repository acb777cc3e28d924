#include "client/dataset/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/image_fixtures.h"
#include "tests/unit/formats/image/tiff_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using formats::Image;
using formats::JpegDecoder;
using formats::PictureSize;
using formats::SourceFormat;
using formats::testing::JpegColors;
using formats::testing::MakeExif;
using formats::testing::MakeFlatPng;
using formats::testing::MakeJpeg;
using formats::testing::MakePicture;
using formats::testing::MakePng;
using formats::testing::MakeTiff;
using formats::testing::MakeTiffTags;
using formats::testing::MakeWebp;
using formats::testing::Psnr;
using formats::testing::WithJpegSize;

const formats::LadderOptions kOptions = {{72, 112}, 200, 90, false};

Image Decode(const std::string& bytes) {
  Image image;
  EXPECT_THAT(JpegDecoder().Decode(bytes, {}, &image), cvtrain::testing::IsOk());
  return image;
}

// Uncompressed, to be turned as by orientation 6.
std::string MakeTurnedTiff(const Image& picture) {
  formats::testing::TiffTags tags =
      MakeTiffTags(static_cast<uint32_t>(picture.width), static_cast<uint32_t>(picture.height), 3);
  tags[274] = {6};
  return MakeTiff(tags, {std::string(picture.pixels.begin(), picture.pixels.end())});
}

TEST(LadderTest, KeepsAJpegThatIsSmallEnough) {
  const std::string file = MakeJpeg(MakePicture(250, 190));
  CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(file));
  EXPECT_EQ(ladder.source, file);
  EXPECT_EQ(ladder.size, (PictureSize{250, 190}));
  EXPECT_EQ(ladder.source_format, SourceFormat::kJpeg);
  EXPECT_EQ(ladder.source_orientation, 1);
  ASSERT_EQ(ladder.rungs.size(), 2u);
  const Image small = Decode(ladder.rungs[0]);
  EXPECT_EQ(small.width, 95);
  EXPECT_EQ(small.height, 72);
  EXPECT_EQ(Decode(ladder.rungs[1]).height, 112);
}

TEST(LadderTest, ShrinksWhatIsLarger) {
  const Image picture = MakePicture(600, 400);
  CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(MakeJpeg(picture)));
  EXPECT_EQ(ladder.size, (PictureSize{300, 200}));
  const Image source = Decode(ladder.source);
  EXPECT_EQ(source.width, 300);
  Image expected;
  formats::ResizeArea(picture, 300, 200, &expected);
  EXPECT_GT(Psnr(expected, source), 30);
  EXPECT_EQ(Decode(ladder.rungs[0]).width, 108);
}

// At four times the source's size the decoder shrinks by two; the picture is the same.
TEST(LadderTest, DecodesLargePicturesAtAFraction) {
  const Image picture = MakePicture(1200, 820);
  CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(MakeJpeg(picture)));
  EXPECT_EQ(ladder.size, (PictureSize{293, 200}));
  Image expected;
  formats::ResizeArea(picture, 293, 200, &expected);
  EXPECT_GT(Psnr(expected, Decode(ladder.source)), 30);
}

TEST(LadderTest, WritesAnewWhatTheTrainerDecodesSlowly) {
  const Image picture = MakePicture(250, 190);
  for (const std::string& file : {MakeJpeg(picture, {.progressive = true}), MakePng(picture),
                                  MakeJpeg(picture, {.colors = JpegColors::kCmyk,
                                                    .horizontal_sampling = 1,
                                                    .vertical_sampling = 1})}) {
    CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(file));
    EXPECT_NE(ladder.source, file);
    EXPECT_EQ(ladder.source_format, SourceFormat::kJpeg);
    CVT_ASSERT_OK_AND_ASSIGN(const formats::ImageInfo info, JpegDecoder().ReadInfo(ladder.source));
    EXPECT_FALSE(info.progressive);
    EXPECT_EQ(info.channels, 3);
    EXPECT_GT(Psnr(picture, Decode(ladder.source)), 30);
  }
}

TEST(LadderTest, TurnsPicturesUpright) {
  const Image picture = MakePicture(250, 190);
  for (int orientation = 2; orientation <= 8; ++orientation) {
    CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(MakeJpeg(
                                                      picture, {.exif = MakeExif(orientation)})));
    EXPECT_EQ(ladder.size, orientation >= 5 ? (PictureSize{190, 250}) : (PictureSize{250, 190}));
    EXPECT_EQ(ladder.source_orientation, 1);
    Image upright = picture;
    formats::ApplyOrientation(orientation, &upright);
    EXPECT_GT(Psnr(upright, Decode(ladder.source)), 30) << orientation;
    EXPECT_EQ(JpegDecoder().ReadInfo(ladder.source)->orientation, 1);
  }
}

TEST(LadderTest, HasNoRungsAboveThePicture) {
  CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder,
                           LadderMaker(kOptions).Make(MakeJpeg(MakePicture(300, 112))));
  EXPECT_FALSE(ladder.rungs[0].empty());
  EXPECT_TRUE(ladder.rungs[1].empty());
}

TEST(LadderTest, KeepsOriginalsIfAsked) {
  formats::LadderOptions options = kOptions;
  options.keep_originals = true;
  LadderMaker maker(options);
  const Image picture = MakePicture(400, 300);
  const std::string turned = MakeJpeg(picture, {.progressive = true, .exif = MakeExif(6)});
  CVT_ASSERT_OK_AND_ASSIGN(Ladder ladder, maker.Make(turned));
  EXPECT_EQ(ladder.source, turned);
  EXPECT_EQ(ladder.source_orientation, 6);
  EXPECT_EQ(ladder.size, (PictureSize{300, 400}));
  EXPECT_EQ(Decode(ladder.rungs[0]).width, 72);  // rungs are upright

  const std::string png = MakePng(picture);
  CVT_ASSERT_OK_AND_ASSIGN(ladder, maker.Make(png));
  EXPECT_EQ(ladder.source, png);
  EXPECT_EQ(ladder.source_format, SourceFormat::kPng);

  const std::string webp = MakeWebp(picture);
  CVT_ASSERT_OK_AND_ASSIGN(ladder, maker.Make(webp));
  EXPECT_EQ(ladder.source, webp);
  EXPECT_EQ(ladder.source_format, SourceFormat::kOther);

  const std::string tiff = MakeTurnedTiff(picture);
  CVT_ASSERT_OK_AND_ASSIGN(ladder, maker.Make(tiff));
  EXPECT_EQ(ladder.source, tiff);
  EXPECT_EQ(ladder.source_format, SourceFormat::kOther);
  EXPECT_EQ(ladder.source_orientation, 6);
  EXPECT_EQ(ladder.size, (PictureSize{300, 400}));
  EXPECT_EQ(Decode(ladder.rungs[0]).width, 72);
}

TEST(LadderTest, MakesJpegOfEveryOtherKind) {
  const Image picture = MakePicture(250, 190);
  Image turned = picture;
  formats::ApplyOrientation(6, &turned);
  const struct {
    std::string file;
    const Image* expected;
  } cases[] = {{MakeWebp(picture), &picture},
               {MakeTurnedTiff(picture), &turned},
               {MakePng(picture, {.bits = 16, .interlaced = true}), &picture}};
  LadderMaker maker(kOptions);
  for (const auto& c : cases) {
    CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, maker.Make(c.file));
    EXPECT_EQ(ladder.source_format, SourceFormat::kJpeg);
    EXPECT_EQ(ladder.source_orientation, 1);
    EXPECT_EQ(ladder.size, (PictureSize{c.expected->width, c.expected->height}));
    EXPECT_GT(Psnr(*c.expected, Decode(ladder.source)), 30);
  }
}

TEST(LadderTest, DoesNotKeepAFileThatIsMostlyMetadata) {
  std::string file = MakeJpeg(MakePicture(100, 100));
  const std::string segment = std::string("\xff\xfe\xff\xff", 4) + std::string(65'533, 'c');
  for (int i = 0; i < 17; ++i) file.insert(2, segment);  // comments
  CVT_ASSERT_OK_AND_ASSIGN(const Ladder ladder, LadderMaker(kOptions).Make(file));
  EXPECT_LT(ladder.source.size(), 50'000u);
}

TEST(LadderTest, SaysWhyAFileIsSkipped) {
  const std::string good = MakeJpeg(MakePicture(100, 80));
  const std::string png = MakePng(MakePicture(100, 80));
  const std::string webp = MakeWebp(MakePicture(100, 80));
  const std::string tiff = MakeTurnedTiff(MakePicture(100, 80));
  const struct {
    std::string file;
    const char* cause;
    const char* reason;
  } cases[] = {
      {"", "empty", "DATA_BAD"},
      {"Just some text with the name of a picture", "not_an_image", "DATA_BAD"},
      {"GIF89a", "not_an_image", "DATA_BAD"},
      {good.substr(0, 2), "not_an_image", "DATA_BAD"},
      {good.substr(0, good.size() / 2), "damaged", "DATA_BAD"},
      {png.substr(0, png.size() / 2), "damaged", "DATA_BAD"},
      {webp.substr(0, webp.size() / 2), "damaged", "DATA_BAD"},
      {tiff.substr(0, tiff.size() / 2), "damaged", "DATA_BAD"},
      {WithJpegSize(good, 17'000, 80), "too_large", "LIMIT_EXCEEDED"},
      {WithJpegSize(good, 16'000, 16'000), "too_large", "LIMIT_EXCEEDED"},
      {MakeFlatPng(3'000, 3'000), "too_large", "LIMIT_EXCEEDED"},
  };
  LadderMaker maker(kOptions);
  for (const auto& c : cases) {
    const absl::StatusOr<Ladder> ladder = maker.Make(c.file);
    EXPECT_THAT(ladder, Reason(c.reason));
    EXPECT_EQ(SkipCause(c.file, ladder.status()), c.cause);
  }
  EXPECT_EQ(SkipCause("?", absl::PermissionDeniedError("")), "unreadable");
  CVT_EXPECT_OK(maker.Make(good));
}

}  // namespace
}  // namespace cvtrain::client
