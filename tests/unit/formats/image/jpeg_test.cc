#include "formats/image/jpeg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::Cut;
using ::cvtrain::formats::testing::JpegColors;
using ::cvtrain::formats::testing::JpegFixture;
using ::cvtrain::formats::testing::MakeExif;
using ::cvtrain::formats::testing::MakeJpeg;
using ::cvtrain::formats::testing::MakePicture;
using ::cvtrain::formats::testing::Psnr;
using ::cvtrain::formats::testing::WithJpegSize;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

Image DecodeOrDie(absl::string_view bytes, const JpegDecodeOptions& options = {}) {
  JpegDecoder decoder;
  Image image;
  const absl::Status status = decoder.Decode(bytes, options, &image);
  EXPECT_THAT(status, IsOk());
  return image;
}

TEST(JpegTest, DecodesWhatItEncoded) {
  const Image picture = MakePicture(123, 77);
  CVT_ASSERT_OK_AND_ASSIGN(const std::string bytes, EncodeJpeg(picture));

  const Image decoded = DecodeOrDie(bytes);

  ASSERT_EQ(decoded.width, 123);
  ASSERT_EQ(decoded.height, 77);
  EXPECT_GT(Psnr(picture, decoded), 30);
}

TEST(JpegTest, EncodesTheSamePixelsToTheSameBytes) {
  const Image picture = MakePicture(64, 48);
  EXPECT_EQ(*EncodeJpeg(picture), *EncodeJpeg(picture));
}

TEST(JpegTest, EncodesAViewWithAStride) {
  const Image picture = MakePicture(64, 48);
  const Image cut = Cut(picture, {8, 4, 40, 30});
  const ImageView view(picture.pixels.data() + (4 * 64 + 8) * 3, 40, 30, 64 * 3);
  EXPECT_EQ(*EncodeJpeg(view), *EncodeJpeg(cut));
}

TEST(JpegTest, RefusesToEncodeWhatNoJpegCanHold) {
  const Image picture = MakePicture(8, 8);
  EXPECT_THAT(EncodeJpeg(ImageView(picture.pixels.data(), 0, 8, 24)), StatusIs(kInvalid));
  EXPECT_THAT(EncodeJpeg(ImageView(picture.pixels.data(), 1, 65'501, 0)), StatusIs(kInvalid));
  EXPECT_THAT(EncodeJpeg(picture, {.quality = 0}),
              StatusIs(kInvalid, Message(HasSubstr("quality"))));
  EXPECT_THAT(EncodeJpeg(picture, {.quality = 101}), StatusIs(kInvalid));
}

TEST(JpegTest, ReadsTheHeader) {
  const Image picture = MakePicture(90, 60);
  JpegDecoder decoder;
  CVT_ASSERT_OK_AND_ASSIGN(
      const ImageInfo info,
      decoder.ReadInfo(MakeJpeg(picture, {.progressive = true, .exif = MakeExif(6)})));
  EXPECT_EQ(info.kind, ImageKind::kJpeg);
  EXPECT_EQ(info.width, 90);
  EXPECT_EQ(info.height, 60);
  EXPECT_EQ(info.channels, 3);
  EXPECT_TRUE(info.progressive);
  EXPECT_EQ(info.orientation, 6);
}

TEST(JpegTest, ConvertsEveryColourSpace) {
  const Image picture = MakePicture(70, 50);
  for (const JpegColors colors : {JpegColors::kYcc, JpegColors::kRgb, JpegColors::kCmyk}) {
    SCOPED_TRACE(static_cast<int>(colors));
    const Image decoded = DecodeOrDie(MakeJpeg(
        picture,
        {.colors = colors, .horizontal_sampling = 1, .vertical_sampling = 1, .quality = 95}));
    EXPECT_GT(Psnr(picture, decoded), 30);
  }
  const Image grey = DecodeOrDie(MakeJpeg(
      picture, {.colors = JpegColors::kGrey, .horizontal_sampling = 1, .vertical_sampling = 1}));
  for (size_t i = 0; i < grey.pixels.size(); i += 3) {
    ASSERT_EQ(grey.pixels[i], grey.pixels[i + 1]);
    ASSERT_EQ(grey.pixels[i], grey.pixels[i + 2]);
    ASSERT_NEAR(grey.pixels[i], picture.pixels[i], 40);
  }
}

TEST(JpegTest, ScalesByADenominator) {
  const std::string bytes = MakeJpeg(MakePicture(101, 67));
  for (const int denominator : {1, 2, 4, 8}) {
    const Image image = DecodeOrDie(bytes, {.scale_denominator = denominator});
    EXPECT_EQ(image.width, ScaledSide(101, denominator));
    EXPECT_EQ(image.height, ScaledSide(67, denominator));
  }
}

TEST(JpegTest, RefusesOptionsOutOfRange) {
  const std::string bytes = MakeJpeg(MakePicture(40, 30));
  JpegDecoder decoder;
  Image image;
  EXPECT_THAT(decoder.Decode(bytes, {.scale_denominator = 3}, &image),
              StatusIs(kInvalid, Reason("FIELD_INVALID")));
  for (const Rect& crop : {Rect{-1, 0, 5, 5}, Rect{0, -1, 5, 5}, Rect{0, 0, 0, 5}, Rect{0, 0, 5, 0},
                           Rect{36, 0, 5, 5}, Rect{0, 26, 5, 5}, Rect{2147483647, 0, 5, 5}}) {
    EXPECT_THAT(decoder.Decode(bytes, {.crop = crop}, &image),
                StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr("40x30"))));
  }
}

// The library skips rows and cuts columns correctly only at certain borders; this is the proof that
// we keep to them.
TEST(JpegTest, ACropHasThePixelsOfTheWhole) {
  KeyedStream random("jpeg-test/v1", {cvtrain::testing::TestSeed()});
  struct Kind {
    JpegColors colors;
    int horizontal;
    int vertical;
    bool progressive;
    int restart;
  };
  const Kind kinds[] = {
      {JpegColors::kYcc, 2, 2, false, 0},  {JpegColors::kYcc, 2, 1, false, 0},
      {JpegColors::kYcc, 1, 1, false, 0},  {JpegColors::kYcc, 1, 2, false, 0},
      {JpegColors::kYcc, 2, 2, true, 0},   {JpegColors::kYcc, 2, 2, false, 3},
      {JpegColors::kGrey, 1, 1, false, 0}, {JpegColors::kCmyk, 1, 1, false, 0},
  };
  JpegDecoder decoder;
  for (const Kind& kind : kinds) {
    const int width = 20 + static_cast<int>(random.UniformInt(180));
    const int height = 20 + static_cast<int>(random.UniformInt(180));
    const std::string bytes =
        MakeJpeg(MakePicture(width, height), {.colors = kind.colors,
                                              .horizontal_sampling = kind.horizontal,
                                              .vertical_sampling = kind.vertical,
                                              .progressive = kind.progressive,
                                              .restart_interval = kind.restart});
    for (int i = 0; i < 60; ++i) {
      JpegDecodeOptions options;
      options.scale_denominator = 1 << random.UniformInt(4);
      options.fast = random.Bernoulli(0.5);
      Image whole;
      CVT_ASSERT_OK(decoder.Decode(bytes, options, &whole));
      Rect crop;
      crop.x = static_cast<int>(random.UniformInt(static_cast<uint64_t>(whole.width)));
      crop.y = static_cast<int>(random.UniformInt(static_cast<uint64_t>(whole.height)));
      crop.width =
          1 + static_cast<int>(random.UniformInt(static_cast<uint64_t>(whole.width - crop.x)));
      crop.height =
          1 + static_cast<int>(random.UniformInt(static_cast<uint64_t>(whole.height - crop.y)));
      options.crop = crop;
      Image cropped;
      CVT_ASSERT_OK(decoder.Decode(bytes, options, &cropped));
      ASSERT_EQ(cropped.width, crop.width);
      ASSERT_EQ(cropped.height, crop.height);
      ASSERT_EQ(cropped.pixels, Cut(whole, crop).pixels)
          << width << "x" << height << " sampling " << kind.horizontal << "x" << kind.vertical
          << " progressive " << kind.progressive << " colours " << static_cast<int>(kind.colors)
          << " scale 1/" << options.scale_denominator << " fast " << options.fast << " crop "
          << crop.x << "," << crop.y << " " << crop.width << "x" << crop.height;
    }
  }
}

TEST(JpegTest, RefusesWhatIsNoJpeg) {
  JpegDecoder decoder;
  Image image;
  for (const absl::string_view bytes :
       {absl::string_view(), absl::string_view("GIF89a"), absl::string_view("\xff\xd8", 2),
        absl::string_view("\xff\xd8\xff\xe0", 4), absl::string_view("\xff\xd8\xff\xd9", 4)}) {
    EXPECT_THAT(decoder.ReadInfo(bytes), StatusIs(kInvalid, Reason("DATA_BAD")));
    EXPECT_THAT(decoder.Decode(bytes, {}, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
  }
}

TEST(JpegTest, FindsATruncationAtEachLength) {
  JpegDecoder decoder;
  Image image;
  for (const bool progressive : {false, true}) {
    const std::string bytes = MakeJpeg(MakePicture(40, 24), {.progressive = progressive});
    for (size_t length = 0; length + 2 < bytes.size(); ++length) {
      ASSERT_THAT(decoder.Decode(absl::string_view(bytes).substr(0, length), {}, &image),
                  StatusIs(kInvalid, Reason("DATA_BAD")))
          << "cut to " << length << " of " << bytes.size();
    }
    CVT_EXPECT_OK(decoder.Decode(bytes, {}, &image));  // the decoder is usable again
  }
}

// What a broken download leaves once a tool has "repaired" it: half grey, and whole by its markers.
TEST(JpegTest, FindsATruncationThatHasAnEnd) {
  JpegDecoder decoder;
  Image image;
  for (const int restart_interval : {0, 2}) {
    const std::string bytes = MakeJpeg(MakePicture(80, 64), {.restart_interval = restart_interval});
    const std::string cut = bytes.substr(0, bytes.size() * 3 / 4) + "\xff\xd9";
    EXPECT_THAT(decoder.Decode(cut, {}, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
  }
}

TEST(JpegTest, SurvivesAnyDamage) {
  KeyedStream random("jpeg-test/v1", {cvtrain::testing::TestSeed(), 1});
  JpegDecoder decoder;
  Image image;
  int refused = 0;
  for (const bool progressive : {false, true}) {
    const std::string good =
        MakeJpeg(MakePicture(60, 40), {.progressive = progressive, .exif = MakeExif(3)});
    for (int i = 0; i < 1000; ++i) {
      std::string bad = good;
      const uint64_t changes = 1 + random.UniformInt(4);
      for (uint64_t k = 0; k < changes; ++k) {
        bad[random.UniformInt(bad.size())] = static_cast<char>(random.NextU32());
      }
      // A heap copy of exactly this size, so that a sanitizer sees a read past its end.
      const std::vector<char> exact(bad.begin(), bad.end());
      const absl::Status status =
          decoder.Decode(absl::string_view(exact.data(), exact.size()), {}, &image);
      if (!status.ok()) ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  CVT_EXPECT_OK(decoder.Decode(MakeJpeg(MakePicture(8, 8)), {}, &image));
}

TEST(JpegTest, RefusesWhatIsTooLargeByItsHeader) {
  const std::string small = MakeJpeg(MakePicture(16, 16));
  JpegDecoder decoder;
  Image image;
  for (const auto& [width, height] : {std::pair(16'385, 16), std::pair(16, 65'500)}) {
    const std::string lying = WithJpegSize(small, width, height);
    EXPECT_THAT(decoder.ReadInfo(lying), StatusIs(kExhausted, Message(HasSubstr("a side"))));
    EXPECT_THAT(decoder.Decode(lying, {}, &image), StatusIs(kExhausted));
  }
  EXPECT_THAT(decoder.Decode(WithJpegSize(small, 16'000, 16'000), {}, &image),
              StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("pixels"))));
  // 7,000 x 7,000 would pass, were there the bytes for it.
  EXPECT_THAT(decoder.Decode(WithJpegSize(small, 7'000, 7'000), {}, &image),
              StatusIs(kExhausted, Message(HasSubstr("200 times"))));
  EXPECT_EQ(image.pixels.capacity(), 0u) << "memory was taken before the header was checked";
}

TEST(JpegTest, RefusesFilesThatAreTooLong) {
  JpegDecoder decoder(ImageLimits{.file_bytes_max = 100});
  EXPECT_THAT(decoder.ReadInfo(MakeJpeg(MakePicture(40, 40))),
              StatusIs(kExhausted, Message(HasSubstr("at most 100"))));
}

TEST(JpegTest, RefusesTooManyScans) {
  const std::string bytes = MakeJpeg(MakePicture(40, 40), {.progressive = true});
  JpegDecoder decoder(ImageLimits{.scans_max = 3});
  Image image;
  EXPECT_THAT(decoder.Decode(bytes, {}, &image), StatusIs(kExhausted, Message(HasSubstr("scans"))));
}

TEST(JpegTest, RefusesAProgressiveFileThatNeedsTooMuchMemory) {
  const std::string bytes = MakeJpeg(MakePicture(600, 600), {.progressive = true});
  JpegDecoder decoder(ImageLimits{.work_bytes_max = 500'000});
  Image image;
  EXPECT_THAT(decoder.Decode(bytes, {}, &image),
              StatusIs(kExhausted, Message(HasSubstr("500000"))));
  CVT_EXPECT_OK(decoder.Decode(MakeJpeg(MakePicture(600, 600)), {}, &image));
}

TEST(JpegTest, DoesNotLendTablesOfThePictureBefore) {
  const std::string good = MakeJpeg(MakePicture(40, 30));
  std::string without = good;
  for (size_t at = 2; static_cast<uint8_t>(without[at + 1]) != 0xda;) {
    const size_t length = 2 + (size_t{static_cast<uint8_t>(without[at + 2])} << 8 |
                               static_cast<uint8_t>(without[at + 3]));
    if (static_cast<uint8_t>(without[at + 1]) == 0xdb) {  // of quantization
      without.erase(at, length);
    } else {
      at += length;
    }
  }
  ASSERT_LT(without.size(), good.size());
  JpegDecoder decoder;
  Image image;
  CVT_ASSERT_OK(decoder.Decode(good, {}, &image));
  EXPECT_THAT(decoder.Decode(without, {}, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
}

TEST(JpegTest, KeepsNothingFromThePictureBefore) {
  JpegDecoder decoder;
  const std::string first = MakeJpeg(MakePicture(100, 80, 1), {.progressive = true});
  const std::string second =
      MakeJpeg(MakePicture(33, 44, 2),
               {.colors = JpegColors::kCmyk, .horizontal_sampling = 1, .vertical_sampling = 1});
  Image reused, fresh;
  CVT_ASSERT_OK(decoder.Decode(first, {.scale_denominator = 4, .fast = true}, &reused));
  CVT_ASSERT_OK(decoder.Decode(second, {}, &reused));
  CVT_ASSERT_OK(JpegDecoder().Decode(second, {}, &fresh));
  EXPECT_EQ(reused.pixels, fresh.pixels);
}

}  // namespace
}  // namespace cvtrain::formats
