#include "formats/image/webp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/image_fixtures.h"

// That every kind of WebP decodes to the right pixels is in picture_decoder_test.cc.
namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeExif;
using ::cvtrain::formats::testing::MakePicture;
using ::cvtrain::formats::testing::MakeRiff;
using ::cvtrain::formats::testing::MakeRiffChunk;
using ::cvtrain::formats::testing::MakeVp8x;
using ::cvtrain::formats::testing::MakeWebp;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int kAnimation = 2;
constexpr int kExif = 8;

// The chunk of a picture, without the 12 bytes of the file's header.
std::string PictureChunk(const Image& picture) { return MakeWebp(picture).substr(12); }

// A frame of an animation at (x, y), which are even.
std::string FrameChunk(const Image& picture, int x, int y) {
  std::string chunk = "ANMF";
  for (const int number : {x / 2, y / 2, picture.width - 1, picture.height - 1, 100}) {
    for (int shift = 0; shift < 24; shift += 8) chunk.push_back(static_cast<char>(number >> shift));
  }
  chunk.push_back('\0');
  return MakeRiffChunk(chunk + PictureChunk(picture));
}

std::string Animation(int width, int height, const std::string& frames) {
  return MakeRiff(MakeVp8x(kAnimation, width, height) +
                  MakeRiffChunk("ANIM" + std::string(6, '\0')) + frames);
}

TEST(WebpTest, DecodesExactly) {
  const Image picture = MakePicture(37, 29);
  Image decoded;
  CVT_ASSERT_OK(DecodeWebp(MakeWebp(picture), {}, &decoded));
  EXPECT_EQ(decoded.width, 37);
  EXPECT_EQ(decoded.height, 29);
  EXPECT_EQ(decoded.pixels, picture.pixels);
}

TEST(WebpTest, ReadsTheHeader) {
  CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadWebpInfo(MakeWebp(MakePicture(37, 29))));
  EXPECT_EQ(info.kind, ImageKind::kWebp);
  EXPECT_EQ(info.width, 37);
  EXPECT_EQ(info.height, 29);
  EXPECT_EQ(info.channels, 3);
  EXPECT_EQ(info.orientation, 1);
}

TEST(WebpTest, ReadsTheOrientationWithOrWithoutThePrefixOfJpeg) {
  const Image picture = MakePicture(37, 29);
  for (const size_t prefix : {0, 6}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const std::string exif = MakeRiffChunk("EXIF" + MakeExif(orientation).substr(prefix));
      const std::string bytes = MakeRiff(MakeVp8x(kExif, 37, 29) + PictureChunk(picture) + exif);
      CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadWebpInfo(bytes));
      EXPECT_EQ(info.orientation, orientation);
      Image decoded;
      CVT_ASSERT_OK(DecodeWebp(bytes, {}, &decoded));
      EXPECT_EQ(decoded.pixels, picture.pixels);  // it is for others to turn it
    }
  }
}

TEST(WebpTest, PutsTheFirstFrameOfAnAnimationInItsPlace) {
  const Image first = MakePicture(11, 7);
  const std::string bytes =
      Animation(20, 16, FrameChunk(first, 4, 6) + FrameChunk(MakePicture(20, 16), 0, 0));
  Image decoded;
  decoded.pixels.assign(20 * 16 * 3, 0xaa);  // of the picture before
  CVT_ASSERT_OK(DecodeWebp(bytes, {}, &decoded));
  EXPECT_EQ(decoded.width, 20);
  EXPECT_EQ(decoded.height, 16);
  EXPECT_EQ(testing::Cut(decoded, {4, 6, 11, 7}).pixels, first.pixels);
  for (const Rect& around :
       {Rect{0, 0, 20, 6}, Rect{0, 13, 20, 3}, Rect{0, 0, 4, 16}, Rect{15, 0, 5, 16}}) {
    for (const uint8_t value : testing::Cut(decoded, around).pixels) ASSERT_EQ(value, 0);
  }
}

TEST(WebpTest, RefusesContainersThatLie) {
  const Image picture = MakePicture(20, 16);
  const std::string chunk = PictureChunk(picture);
  const std::string good = MakeWebp(picture);
  const struct {
    const char* what;
    std::string bytes;
  } cases[] = {
      {"a wider canvas", MakeRiff(MakeVp8x(0, 21, 16) + chunk)},
      {"a lower canvas", MakeRiff(MakeVp8x(0, 20, 15) + chunk)},
      {"no picture", MakeRiff(MakeVp8x(0, 20, 16))},
      {"no frame", Animation(20, 16, "")},
      {"a frame that is wider", Animation(19, 16, FrameChunk(picture, 0, 0))},
      {"a frame beside the canvas", Animation(20, 16, FrameChunk(picture, 20, 0))},
      {"a frame far away", Animation(20, 16, FrameChunk(picture, 1 << 24, 1 << 24))},
      {"no chunk", MakeRiff("")},
      {"unknown chunks only", MakeRiff(MakeRiffChunk("ABCDefgh"))},
      {"a chunk that goes on", good.substr(0, 16) + "\xff\xff\xff\x7f" + good.substr(20)},
      {"a file that goes on", good.substr(0, 4) + "\xff\xff\xff\x7f" + good.substr(8)},
      {"a file of no length", good.substr(0, 4) + std::string(4, '\0') + good.substr(8)},
      {"another signature", good.substr(0, 20) + "x" + good.substr(21)},
      {"lossy data that is lossless", MakeRiff(MakeRiffChunk("VP8 " + chunk.substr(8)))},
  };
  Image image;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_THAT(DecodeWebp(c.bytes, {}, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
  }
  CVT_EXPECT_OK(DecodeWebp(good + "what follows the file", {}, &image));
  EXPECT_THAT(ReadWebpInfo("RIFF"), StatusIs(kInvalid, Reason("DATA_BAD")));
}

TEST(WebpTest, RefusesWhatIsTooLargeBeforeTakingMemory) {
  const auto refused = [](const char* text) {
    return StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr(text)));
  };
  const Image picture = MakePicture(20, 16);
  Image image;
  const auto canvas = [&](int width, int height) {
    return Animation(width, height, FrameChunk(picture, 0, 0));
  };
  EXPECT_THAT(DecodeWebp(canvas(16'385, 16), {}, &image), refused("a side"));
  EXPECT_THAT(DecodeWebp(canvas(16'000, 16'000), {}, &image), refused("pixels"));
  EXPECT_THAT(DecodeWebp(canvas(3'000, 3'000), {}, &image), refused("200 times"));
  EXPECT_EQ(image.pixels.capacity(), 0u) << "memory was taken before the header was checked";
  Image flat;
  flat.Resize(3'000, 3'000);
  EXPECT_THAT(DecodeWebp(MakeWebp(flat), {}, &image), refused("200 times"));
  EXPECT_THAT(DecodeWebp(MakeWebp(picture), ImageLimits{.work_bytes_max = 1'000}, &image),
              refused("1280 bytes"));
}

}  // namespace
}  // namespace cvtrain::formats
