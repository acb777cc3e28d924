#include "formats/image/tiff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "common/little_endian.h"
#include "common/random.h"
#include "formats/image/tiff_directory.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/tiff_fixtures.h"

// That every kind of TIFF decodes to the right pixels is in picture_decoder_test.cc.
namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeFlatTiff;
using ::cvtrain::formats::testing::MakeTiff;
using ::cvtrain::formats::testing::MakeTiffTags;
using ::cvtrain::formats::testing::TiffTags;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TiffTest, RoundsSixteenBitsForEveryValue) {
  std::string raw;
  for (int v = 0; v < 65'536; ++v) {
    raw.push_back(static_cast<char>(v));
    raw.push_back(static_cast<char>(v >> 8));
  }
  Image image;
  CVT_ASSERT_OK(DecodeTiff(MakeTiff(MakeTiffTags(256, 256, 1, 16), {raw}), {}, &image));
  for (size_t v = 0; v < 65'536; ++v) {
    ASSERT_EQ(image.pixels[3 * v], std::lround(static_cast<double>(v) * 255 / 65'535)) << v;
  }
}

TEST(TiffTest, ReadsTheHeader) {
  TiffTags tags = MakeTiffTags(300, 200, 4);
  tags[274] = {6};
  CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadTiffInfo(MakeTiff(tags, {})));
  EXPECT_EQ(info.kind, ImageKind::kTiff);
  EXPECT_EQ(info.width, 300);
  EXPECT_EQ(info.height, 200);
  EXPECT_EQ(info.channels, 4);
  EXPECT_EQ(info.orientation, 6);
}

TEST(TiffTest, IsUprightForOrientationsThatDoNotExist) {
  for (const uint32_t orientation : {0u, 9u, 70'000u}) {
    TiffTags tags = MakeTiffTags(2, 1);
    tags[274] = {orientation};
    CVT_ASSERT_OK_AND_ASSIGN(const ImageInfo info, ReadTiffInfo(MakeTiff(tags, {"ab"})));
    EXPECT_EQ(info.orientation, 1);
  }
}

TEST(TiffTest, TakesPalettesOfEitherDepth) {
  for (const uint32_t factor : {1u, 256u, 257u}) {
    TiffTags tags = MakeTiffTags(4, 1, 1, 2);
    tags[262] = {3};
    for (const uint32_t v : {0u, 10u, 20u, 30u, 1u, 11u, 21u, 31u, 2u, 12u, 22u, 255u}) {
      tags[320].push_back(v * factor);
    }
    Image image;
    CVT_ASSERT_OK(DecodeTiff(MakeTiff(tags, {"\x1b"}), {}, &image));  // 0, 1, 2, 3
    EXPECT_THAT(image.pixels, ElementsAre(0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 255));
  }
}

TEST(TiffTest, DividesByAlphaWhatWasMultipliedByIt) {
  TiffTags tags = MakeTiffTags(3, 1, 4);
  tags[338] = {1};
  const std::string raw(
      "\x40\x20\x10\x80"
      "\x09\x09\x09\x00"
      "\x80\x20\x10\x40",
      12);
  Image image;
  CVT_ASSERT_OK(DecodeTiff(MakeTiff(tags, {raw}), {}, &image));
  EXPECT_THAT(image.pixels, ElementsAre(127, 63, 31, 0, 0, 0, 255, 127, 63));
  tags[338] = {2};  // was not multiplied
  CVT_ASSERT_OK(DecodeTiff(MakeTiff(tags, {raw}), {}, &image));
  EXPECT_THAT(image.pixels, ElementsAre(0x40, 0x20, 0x10, 9, 9, 9, 0x80, 0x20, 0x10));
}

TEST(TiffTest, SaysWhatItDoesNotRead) {
  const struct {
    uint16_t tag;
    std::vector<uint32_t> values;
    const char* found;
  } cases[] = {
      {258, {32, 32, 32}, "32-bit samples"},
      {258, {12, 12, 12}, "12-bit samples"},
      {258, {4, 4, 4}, "4-bit samples"},
      {258, {64, 64, 64}, "64-bit samples"},
      {259, {6}, "compression 6 is not read"},
      {259, {34676}, "compression 34676"},
      {262, {6}, "YCbCr outside JPEG"},
      {262, {8}, "photometric interpretation 8"},
      {262, {32'844}, "photometric interpretation 32844"},
      {262, {60'000}, "photometric interpretation 60000"},
      {339, {2, 2, 2}, "signed"},
      {339, {3, 3, 3}, "not whole"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.found);
    TiffTags tags = MakeTiffTags(4, 4, 3);
    tags[c.tag] = c.values;
    Image image;
    EXPECT_THAT(DecodeTiff(MakeTiff(tags, {std::string(512, 'x')}), {}, &image),
                StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr(c.found))));
  }
  TiffTags inks = MakeTiffTags(4, 4, 4);
  inks[262] = {5};
  inks[332] = {2};
  Image image;
  EXPECT_THAT(DecodeTiff(MakeTiff(inks, {std::string(64, 'x')}), {}, &image),
              StatusIs(kInvalid, Message(HasSubstr("inks other than CMYK"))));
  EXPECT_THAT(DecodeTiff(MakeTiff(MakeTiffTags(4, 4, 17), {std::string(17 * 16, 'x')}), {}, &image),
              StatusIs(kInvalid, Message(HasSubstr("17 samples"))));
  TiffTags two = MakeTiffTags(4, 4, 2);
  two[262] = {2};
  EXPECT_THAT(DecodeTiff(MakeTiff(two, {std::string(32, 'x')}), {}, &image),
              StatusIs(kInvalid, Message(HasSubstr("2 samples"))));
}

// A picture of 4x4, RGB, whose 48 bytes are all 'x', with one of its tags changed.
std::string WithTag(uint16_t tag, std::vector<uint32_t> values) {
  TiffTags tags = MakeTiffTags(4, 4, 3);
  const std::string raw(48, 'x');
  tags[tag] = std::move(values);
  if (tag != 273 && tag != 279) return MakeTiff(tags, {raw});
  // Where the strip is, and how long, is said by MakeTiff(): what it said is written over.
  const uint32_t lie = tags[tag][0];
  tags.erase(tag);
  std::string file = MakeTiff(tags, {raw});
  for (size_t at = 58; at < file.size(); at += 12) {
    if (LoadLittleEndian<uint16_t>(file.data() + at) != tag) continue;
    StoreLittleEndian<uint16_t>(4, file.data() + at + 2);
    StoreLittleEndian<uint32_t>(lie, file.data() + at + 8);
    return file;
  }
  return "";
}

TEST(TiffTest, RefusesDirectoriesThatLie) {
  const struct {
    const char* what;
    uint16_t tag;
    std::vector<uint32_t> values;
  } cases[] = {
      {"no width", 256, {0}},
      {"no height", 257, {0}},
      {"more rows than there are", 257, {5}},
      {"more columns than there are", 256, {5}},
      {"more samples", 277, {4}},
      {"deeper samples", 258, {16, 16, 16}},
      {"a strip outside", 273, {0x7fffffff}},
      {"a strip that is short", 279, {10}},
      {"strips of one row", 278, {1}},
      {"planes", 284, {2}},
      {"an unknown arrangement", 284, {3}},
      {"data of another kind", 259, {5}},
      {"data of another kind yet", 259, {8}},
      {"faxes in colour", 259, {4}},
  };
  Image image;
  CVT_ASSERT_OK(DecodeTiff(WithTag(277, {3}), {}, &image));
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_THAT(DecodeTiff(WithTag(c.tag, c.values), {}, &image),
                StatusIs(kInvalid, Reason("DATA_BAD")));
  }
  for (const uint32_t bits : {4u, 8u}) {
    TiffTags palette = MakeTiffTags(4, 4, 1, bits);
    palette[262] = {3};
    EXPECT_THAT(DecodeTiff(MakeTiff(palette, {std::string(2 * bits, 'x')}), {}, &image),
                StatusIs(kInvalid, Reason("DATA_BAD")));
  }
}

// Mistakes that writers made, and that cost no pixel.
TEST(TiffTest, ForgivesLengthsThatAreLeftOutOrTooLong) {
  for (const uint32_t length : {0u, 49u, 0x7fffffffu}) {
    Image image;
    CVT_ASSERT_OK(DecodeTiff(WithTag(279, {length}), {}, &image));
    EXPECT_EQ(image.pixels, std::vector<uint8_t>(48, 'x')) << length;
  }
}

TEST(TiffTest, RefusesWhatIsTooLargeBeforeTakingMemory) {
  const auto refused = [](const char* text) {
    return StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr(text)));
  };
  Image image;
  const auto decode = [&](const TiffTags& tags, const ImageLimits& limits) {
    return DecodeTiff(MakeTiff(tags, {std::string(48, 'x')}), limits, &image);
  };
  EXPECT_THAT(decode(MakeTiffTags(16'385, 4), {}), refused("a side"));
  EXPECT_THAT(decode(MakeTiffTags(4, 0xffffffff), {}), refused("a side"));
  EXPECT_THAT(decode(MakeTiffTags(16'000, 16'000), {}), refused("pixels"));
  EXPECT_THAT(decode(MakeTiffTags(3'000, 3'000), {}), refused("200 times"));
  EXPECT_THAT(DecodeTiff(MakeFlatTiff(3'000, 3'000), {}, &image), refused("200 times"));
  // Tiles that are larger than the picture.
  TiffTags tiles = MakeTiffTags(4, 4, 3);
  tiles[322] = tiles[323] = {16'000};
  EXPECT_THAT(decode(tiles, {}), refused("pixels"));
  tiles[322] = tiles[323] = {0x10000};
  EXPECT_THAT(decode(tiles, {}), refused("a side"));
  tiles[322] = tiles[323] = {1'024};
  EXPECT_THAT(decode(tiles, ImageLimits{.work_bytes_max = 1 << 20}), refused("a tile of the TIFF"));
  EXPECT_EQ(image.pixels.capacity(), 0u) << "memory was taken before the header was checked";
  TiffTags planes = MakeTiffTags(1'000, 1'000, 3);
  planes[284] = {2};
  EXPECT_THAT(decode(planes, ImageLimits{.work_bytes_max = 1 << 20}), refused("planes"));
}

TEST(TiffDirectoryTest, ReadsNumbersOfEachWidth) {
  TiffTags tags = {{1, {5}}, {2, {70'000}}, {3, {1, 2, 3}}};
  const std::string tiff = MakeTiff(tags, {});
  EXPECT_EQ(ReadTiffNumber(tiff, 1), 5u);
  EXPECT_EQ(ReadTiffNumber(tiff, 2), 70'000u);
  EXPECT_EQ(ReadTiffNumber(tiff, 4), std::nullopt);
  EXPECT_EQ(ReadTiffNumber(tiff.substr(0, 8), 1), std::nullopt);
  EXPECT_EQ(ReadTiffNumber("", 1), std::nullopt);
}

TEST(TiffDirectoryTest, SurvivesAnyDamage) {
  KeyedStream random("tiff-directory-test/v1", {cvtrain::testing::TestSeed()});
  const std::string good = MakeTiff(MakeTiffTags(4, 4, 3), {});
  for (size_t length = 0; length <= good.size(); ++length) {
    const std::vector<char> cut(good.begin(), good.begin() + static_cast<long>(length));
    const auto width = ReadTiffNumber(absl::string_view(cut.data(), cut.size()), kTiffWidthTag);
    EXPECT_EQ(width.value_or(4), 4u);
  }
  for (int i = 0; i < 20'000; ++i) {
    std::vector<char> bad(good.begin(), good.end());
    for (int k = 0; k < 3; ++k) {
      bad[random.UniformInt(bad.size())] = static_cast<char>(random.NextU32());
    }
    const int orientation = ReadTiffOrientation(absl::string_view(bad.data(), bad.size()));
    ASSERT_GE(orientation, 1);
    ASSERT_LE(orientation, 8);
  }
}

}  // namespace
}  // namespace cvtrain::formats
