#include "formats/image/exif.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeExif;
using ::cvtrain::formats::testing::MakeJpeg;
using ::cvtrain::formats::testing::MakePicture;

std::string WithExif(const std::string& exif) {
  return MakeJpeg(MakePicture(16, 16), {.exif = exif});
}

TEST(ExifTest, ReadsEachOrientationInBothByteOrders) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(ReadExifOrientation(WithExif(MakeExif(orientation, true))), orientation);
    EXPECT_EQ(ReadExifOrientation(WithExif(MakeExif(orientation, false))), orientation);
  }
}

TEST(ExifTest, IsUprightWithoutOne) {
  EXPECT_EQ(ReadExifOrientation(WithExif("")), 1);
  EXPECT_EQ(ReadExifOrientation(""), 1);
  EXPECT_EQ(ReadExifOrientation("no JPEG"), 1);
}

TEST(ExifTest, IsUprightForValuesThatDoNotExist) {
  for (const int orientation : {0, 9, 255, 65535}) {
    EXPECT_EQ(ReadExifOrientation(WithExif(MakeExif(orientation))), 1);
  }
}

TEST(ExifTest, ReadsABlockWithOrWithoutItsPrefix) {
  for (const bool big_endian : {false, true}) {
    const std::string block = MakeExif(7, big_endian);
    EXPECT_EQ(OrientationOfExif(block), 7);
    EXPECT_EQ(OrientationOfExif(block.substr(6)), 7);
  }
  EXPECT_EQ(OrientationOfExif(""), 1);
  EXPECT_EQ(OrientationOfExif(absl::string_view("Exif\0\0", 6)), 1);
}

TEST(ExifTest, SurvivesAnyDamage) {
  KeyedStream random("exif-test/v1", {cvtrain::testing::TestSeed()});
  const std::string good = WithExif(MakeExif(6)).substr(0, 120);
  for (size_t length = 0; length <= good.size(); ++length) {
    const std::vector<char> cut(good.begin(), good.begin() + static_cast<long>(length));
    const int orientation = ReadExifOrientation(absl::string_view(cut.data(), cut.size()));
    EXPECT_TRUE(orientation == 1 || orientation == 6);
  }
  for (int i = 0; i < 20'000; ++i) {
    std::vector<char> bad(good.begin(), good.end());
    for (int k = 0; k < 3; ++k) {
      bad[random.UniformInt(bad.size())] = static_cast<char>(random.NextU32());
    }
    const int orientation = ReadExifOrientation(absl::string_view(bad.data(), bad.size()));
    ASSERT_GE(orientation, 1);
    ASSERT_LE(orientation, 8);
  }
}

}  // namespace
}  // namespace cvtrain::formats
