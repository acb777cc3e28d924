#include "formats/image/picture_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/sha256.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/golden_pictures.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::GoldenPicture;
using ::cvtrain::formats::testing::MakeExif;
using ::cvtrain::formats::testing::MakeJpeg;
using ::cvtrain::formats::testing::MakePicture;
using ::cvtrain::formats::testing::ReadGoldenPictures;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

std::string DigestOf(const Image& image) {
  return Sha256Hex(
      absl::string_view(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()));
}

// One decoder for all of them: nothing of a picture may stay for the next.
TEST(PictureDecoderTest, AgreesWithPillowOnEveryKind) {
  PictureDecoder decoder;
  Image image;
  int kinds[5] = {};
  for (const GoldenPicture& golden : ReadGoldenPictures()) {
    SCOPED_TRACE(golden.name);
    ASSERT_THAT(decoder.Decode(golden.bytes, &image), cvtrain::testing::IsOk());
    EXPECT_EQ(image.width, golden.width);
    EXPECT_EQ(image.height, golden.height);
    EXPECT_EQ(DigestOf(image), golden.sha256);
    CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, decoder.ReadInfo(golden.bytes));
    EXPECT_EQ(info.orientation >= 5 ? info.height : info.width, golden.width);
    EXPECT_EQ(info.orientation >= 5 ? info.width : info.height, golden.height);
    ++kinds[static_cast<size_t>(info.kind)];
  }
  EXPECT_GE(*std::min_element(kinds + 1, kinds + 5), 8);
}

TEST(PictureDecoderTest, TurnsPicturesUpright) {
  const Image picture = MakePicture(40, 30);
  PictureDecoder decoder;
  Image upright;
  CVT_ASSERT_OK(decoder.Decode(MakeJpeg(picture), &upright));
  for (int orientation = 2; orientation <= 8; ++orientation) {
    Image expected = upright;
    ApplyOrientation(orientation, &expected);
    Image turned;
    CVT_ASSERT_OK(decoder.Decode(MakeJpeg(picture, {.exif = MakeExif(orientation)}), &turned));
    EXPECT_EQ(turned.width, orientation >= 5 ? 30 : 40);
    EXPECT_EQ(turned.pixels, expected.pixels) << orientation;
  }
}

TEST(PictureDecoderTest, RefusesWhatIsNoPicture) {
  PictureDecoder decoder;
  Image image;
  const auto refused = [](const char* text) {
    return StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr(text)));
  };
  for (const absl::string_view bytes :
       {absl::string_view("GIF89a"), absl::string_view("\0", 1), absl::string_view("BM"),
        absl::string_view("RIFF\x10\0\0\0WAVE", 12), absl::string_view("II*")}) {
    EXPECT_THAT(decoder.ReadInfo(bytes), refused("neither JPEG, PNG, TIFF nor WebP"));
    EXPECT_THAT(decoder.Decode(bytes, &image), refused("neither JPEG, PNG, TIFF nor WebP"));
  }
  EXPECT_THAT(decoder.ReadInfo(""), refused("empty"));
  EXPECT_THAT(decoder.Decode("", &image), refused("empty"));
}

TEST(PictureDecoderTest, HasOneSetOfLimitsForAllKinds) {
  for (const GoldenPicture& golden : ReadGoldenPictures()) {
    SCOPED_TRACE(golden.name);
    Image image;
    PictureDecoder pixels(ImageLimits{.pixels_max = 23 * 17 - 1});
    EXPECT_THAT(pixels.Decode(golden.bytes, &image),
                StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("pixels"))));
    PictureDecoder sides(ImageLimits{.side_max = 22});
    EXPECT_THAT(sides.ReadInfo(golden.bytes),
                StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("a side"))));
    PictureDecoder bytes(ImageLimits{.file_bytes_max = 100});
    EXPECT_THAT(bytes.Decode(golden.bytes, &image),
                StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("the file has"))));
    EXPECT_EQ(image.pixels.capacity(), 0u) << "memory was taken before the header was checked";
  }
}

// Only what follows a picture is not looked at: the place of the next directory of a TIFF.
TEST(PictureDecoderTest, FindsTruncatedFilesOfEveryKind) {
  PictureDecoder decoder;
  Image image;
  for (const GoldenPicture& golden : ReadGoldenPictures()) {
    SCOPED_TRACE(golden.name);
    const bool is_tiff = SniffImageKind(golden.bytes) == ImageKind::kTiff;
    const size_t needed = golden.name == "pages.tif" ? golden.bytes.size() / 2 - 20
                                                     : golden.bytes.size() - (is_tiff ? 4 : 0);
    for (size_t length = 0; length < needed; length += 1 + length / 16) {
      // A copy, so that a sanitizer sees a read past its end.
      const std::vector<char> cut(golden.bytes.data(), golden.bytes.data() + length);
      ASSERT_THAT(decoder.Decode(absl::string_view(cut.data(), cut.size()), &image),
                  StatusIs(kInvalid, Reason("DATA_BAD")))
          << length;
    }
    const std::string cut = golden.bytes.substr(0, needed - 1);
    EXPECT_THAT(decoder.Decode(cut, &image), StatusIs(kInvalid, Reason("DATA_BAD")));
  }
}

TEST(PictureDecoderTest, SurvivesAnyDamage) {
  KeyedStream random("picture-decoder-test/v1", {cvtrain::testing::TestSeed()});
  PictureDecoder decoder(ImageLimits{.pixels_max = 250'000});
  Image image;
  int good = 0;
  for (const GoldenPicture& golden : ReadGoldenPictures()) {
    for (int i = 0; i < 60; ++i) {
      std::vector<char> bad(golden.bytes.begin(), golden.bytes.end());
      for (int k = 0; k < 3; ++k) {
        bad[random.UniformInt(bad.size())] = static_cast<char>(random.NextU32());
      }
      const absl::Status status = decoder.Decode(absl::string_view(bad.data(), bad.size()), &image);
      if (!status.ok()) continue;
      ++good;
      ASSERT_EQ(image.pixels.size(), size_t{3} * image.width * image.height);
    }
    // Whatever it was given, the decoder still works.
    ASSERT_THAT(decoder.Decode(golden.bytes, &image), cvtrain::testing::IsOk()) << golden.name;
    ASSERT_EQ(DigestOf(image), golden.sha256) << golden.name;
  }
  EXPECT_GT(good, 0);  // uncompressed pixels may be anything
}

TEST(PictureDecoderTest, NeverWritesToStandardError) {
  PictureDecoder decoder;
  Image image;
  ::testing::internal::CaptureStderr();
  for (const GoldenPicture& golden : ReadGoldenPictures()) {
    for (size_t at = 0; at < golden.bytes.size(); at += 7) {
      std::string bad = golden.bytes;
      bad[at] = static_cast<char>(bad[at] ^ 0x41);
      decoder.Decode(bad, &image).IgnoreError();  // either answer is right
    }
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace cvtrain::formats
