#include "formats/image/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeExif;
using ::cvtrain::formats::testing::MakeFlatPng;
using ::cvtrain::formats::testing::MakePicture;
using ::cvtrain::formats::testing::MakePng;
using ::cvtrain::formats::testing::MakePngChunk;
using ::cvtrain::formats::testing::PngColors;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

// `picture` as a file with one channel has it.
Image RedOnly(Image picture) {
  for (size_t i = 0; i < picture.pixels.size(); i += 3) {
    picture.pixels[i + 1] = picture.pixels[i + 2] = picture.pixels[i];
  }
  return picture;
}

TEST(PngTest, DecodesEveryKindExactly) {
  const Image picture = MakePicture(37, 29);
  for (const bool interlaced : {false, true}) {
    for (const int bits : {8, 16}) {
      for (const PngColors colors : {PngColors::kRgb, PngColors::kRgba, PngColors::kGrey,
                                     PngColors::kGreyAlpha, PngColors::kPalette}) {
        if (colors == PngColors::kPalette && bits == 16) continue;
        SCOPED_TRACE(static_cast<int>(colors) * 100 + bits);
        const std::string bytes =
            MakePng(picture, {.colors = colors, .bits = bits, .interlaced = interlaced});
        Image decoded;
        CVT_ASSERT_OK(DecodePng(bytes, {}, &decoded));
        const bool color = colors == PngColors::kRgb || colors == PngColors::kRgba;
        EXPECT_EQ(decoded.width, 37);
        EXPECT_EQ(decoded.height, 29);
        EXPECT_EQ(decoded.pixels, color ? picture.pixels : RedOnly(picture).pixels);
      }
    }
  }
}

TEST(PngTest, ReadsTheHeader) {
  CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info,
                           ReadPngInfo(MakePng(MakePicture(37, 29), {.colors = PngColors::kRgba})));
  EXPECT_EQ(info.kind, ImageKind::kPng);
  EXPECT_EQ(info.width, 37);
  EXPECT_EQ(info.height, 29);
  EXPECT_EQ(info.channels, 4);
  EXPECT_EQ(info.orientation, 1);
}

TEST(PngTest, ReadsTheOrientation) {
  const std::string png = MakePng(MakePicture(37, 29));
  for (const bool before_data : {true, false}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const std::string exif = MakeExif(orientation).substr(6);
      std::string bytes = png;
      bytes.insert(before_data ? 33 : bytes.size() - 12, MakePngChunk("eXIf" + exif));
      CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadPngInfo(bytes));
      EXPECT_EQ(info.orientation, orientation);
      Image image;
      CVT_EXPECT_OK(DecodePng(bytes, {}, &image));
      EXPECT_EQ(image.width, 37);  // it is for others to turn it
    }
  }
  // A chunk that goes on past the end.
  std::string bytes = png.substr(0, 33) + MakePngChunk("eXIf" + MakeExif(6).substr(6));
  CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadPngInfo(bytes.substr(0, bytes.size() - 1)));
  EXPECT_EQ(info.orientation, 1);
}

TEST(PngTest, FindsATruncationAtEachLength) {
  const std::string bytes = MakePng(MakePicture(20, 10));
  Image image;
  for (size_t length = 0; length < bytes.size(); ++length) {
    ASSERT_THAT(DecodePng(absl::string_view(bytes).substr(0, length), {}, &image),
                StatusIs(kInvalid, Reason("DATA_BAD")))
        << length << " of " << bytes.size();
  }
  CVT_EXPECT_OK(DecodePng(bytes, {}, &image));
}

TEST(PngTest, FindsEveryFlippedBitOfItsData) {
  const std::string good = MakePng(MakePicture(12, 9));
  Image image;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    const absl::Status status = DecodePng(bad, {}, &image);
    ASSERT_FALSE(status.ok()) << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST(PngTest, SurvivesAnyDamage) {
  KeyedStream random("png-test/v1", {cvtrain::testing::TestSeed()});
  const std::string good = MakePng(MakePicture(30, 20), {.interlaced = true});
  Image image;
  for (int i = 0; i < 2000; ++i) {
    std::vector<char> bad(good.begin(), good.end());
    for (int k = 0; k < 3; ++k) {
      bad[random.UniformInt(bad.size())] = static_cast<char>(random.NextU32());
    }
    DecodePng(absl::string_view(bad.data(), bad.size()), ImageLimits{.pixels_max = 1'000'000},
              &image)
        .IgnoreError();  // either answer is right; a crash is not
  }
}

TEST(PngTest, RefusesWhatIsTooLargeByItsHeader) {
  Image image;
  const auto with_size = [](uint32_t width, uint32_t height) {
    std::string bytes = MakeFlatPng(8, 8);
    for (size_t i = 0; i < 4; ++i) {
      bytes[16 + i] = static_cast<char>(width >> (24 - 8 * i));
      bytes[20 + i] = static_cast<char>(height >> (24 - 8 * i));
    }
    return bytes;
  };
  EXPECT_THAT(DecodePng(with_size(16'385, 8), {}, &image), StatusIs(kExhausted));
  EXPECT_THAT(DecodePng(with_size(8, 2'000'000'000), {}, &image), StatusIs(kExhausted));
  EXPECT_THAT(DecodePng(with_size(16'000, 16'000), {}, &image),
              StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("pixels"))));
  EXPECT_THAT(DecodePng(with_size(0, 8), {}, &image), StatusIs(kInvalid));
  EXPECT_THAT(DecodePng(with_size(0xffffffff, 8), {}, &image), StatusIs(kInvalid));
  EXPECT_EQ(image.pixels.capacity(), 0u) << "memory was taken before the header was checked";
}

TEST(PngTest, RefusesABomb) {
  // 9 million pixels in 9 KB: a real file, not a lying header.
  const std::string bomb = MakeFlatPng(3'000, 3'000);
  ASSERT_LT(bomb.size(), 20'000u);
  Image image;
  EXPECT_THAT(DecodePng(bomb, {}, &image), StatusIs(kExhausted, Message(HasSubstr("200 times"))));
}

TEST(PngTest, RefusesWhatIsNoPng) {
  Image image;
  for (const absl::string_view bytes : {absl::string_view(), absl::string_view("\xff\xd8\xff\xe0"),
                                        absl::string_view("\x89PNG\r\n\x1a\n", 8)}) {
    EXPECT_THAT(DecodePng(bytes, {}, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
  }
}

}  // namespace
}  // namespace cvtrain::formats
