// Compares every operation with what torchvision made of the same pictures: golden/make_goldens.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "common/sha256.h"
#include "common/text.h"
#include "formats/image/image.h"
#include "formats/picture/operations.h"
#include "formats/picture/picture_editor.h"
#include "tests/unit/plan/augment/operation_names.h"

namespace cvtrain::formats {
namespace {

using plan::PictureOperation;
using plan::testing::GoldenLines;
using plan::testing::OperationOf;

constexpr char kFile[] = "torchvision_operations.txt";

double NumberOf(const std::string& text) {
  double number = 0;
  CVT_CHECK(absl::SimpleAtod(text, &number)) << text;
  return number;
}

int IntegerOf(const std::string& text) { return static_cast<int>(NumberOf(text)); }

std::vector<uint8_t> BytesOf(const std::string& hex) {
  const std::string bytes = HexDecode(hex).value();
  return {bytes.begin(), bytes.end()};
}

Image ImageOf(int width, int height, std::vector<uint8_t> pixels) {
  CVT_CHECK(pixels.size() == static_cast<size_t>(width * height * 3));
  return {.width = width, .height = height, .pixels = std::move(pixels)};
}

// The same bytes as in make_goldens.py.
Image HashedPicture(int width, int height) {
  auto x = static_cast<uint32_t>(width * 65536 + height);
  std::vector<uint8_t> pixels(static_cast<size_t>(width * height * 3));
  for (uint8_t& value : pixels) {
    x = x * 1664525 + 1013904223;
    value = static_cast<uint8_t>(x >> 24);
  }
  return ImageOf(width, height, std::move(pixels));
}

Image Edited(Image image, const std::string& operation, const std::string& parameter) {
  PictureEditor editor;
  editor.Apply({{OperationOf(operation), NumberOf(parameter)}}, image);
  return image;
}

// Where the pixels of a result come from, as far as it is a question of that.
std::optional<AffineMap> MapOf(PictureOperation operation, double parameter, const Image& image) {
  switch (operation) {
    case PictureOperation::kShearX:
      return ShearXMap(parameter, image.height);
    case PictureOperation::kShearY:
      return ShearYMap(parameter, image.width);
    case PictureOperation::kRotate:
      return RotationMap(parameter);
    default:
      return std::nullopt;
  }
}

bool IsHalfWay(double at) { return std::abs(at - std::floor(at) - 0.5) < 1e-4; }

// Whether output pixel (x, y) comes from a point that is as far from one pixel as from another.
bool IsBetweenPixels(const AffineMap& map, const Image& image, int x, int y) {
  const double centre_x = (image.width - 1) / 2.0;
  const double centre_y = (image.height - 1) / 2.0;
  const double from_x = map.xx * (x - centre_x) + map.xy * (y - centre_y) + map.x0 + centre_x;
  const double from_y = map.yx * (x - centre_x) + map.yy * (y - centre_y) + map.y0 + centre_y;
  return IsHalfWay(from_x) || IsHalfWay(from_y);
}

// The greatest difference in levels, but for points between pixels.
int Difference(const Image& ours, const std::vector<uint8_t>& theirs,
               const std::optional<AffineMap>& map) {
  CVT_CHECK(ours.pixels.size() == theirs.size());
  int greatest = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    const int x = static_cast<int>(i) / 3 % ours.width;
    const int y = static_cast<int>(i) / 3 / ours.width;
    if (map.has_value() && IsBetweenPixels(*map, ours, x, y)) continue;
    greatest = std::max(greatest, std::abs(ours.pixels[i] - theirs[i]));
  }
  return greatest;
}

TEST(TorchvisionTest, EveryOperationGivesTheSameBytes) {
  std::map<std::string, Image> pictures;
  for (const auto& line : GoldenLines(kFile, "picture")) {
    const int width = IntegerOf(line[1]);
    pictures[line[0]] = ImageOf(width, IntegerOf(line[2]), BytesOf(line[3]));
  }
  std::set<std::string> compared;
  for (const auto& line : GoldenLines(kFile, "result")) {
    SCOPED_TRACE(absl::StrJoin(line.begin(), line.begin() + 3, " "));
    const Image ours = Edited(pictures.at(line[0]), line[1], line[2]);
    const auto map = MapOf(OperationOf(line[1]), NumberOf(line[2]), ours);
    EXPECT_EQ(Difference(ours, BytesOf(line[3]), map), 0);
    compared.insert(line[1]);
  }
  EXPECT_EQ(compared.size(), plan::kPictureOperations - 1) << "all but identity";
}

// Their parameters leave no point between two pixels.
TEST(TorchvisionTest, LargerPicturesAreTheSameToo) {
  for (const auto& line : GoldenLines(kFile, "digest")) {
    SCOPED_TRACE(absl::StrJoin(line, " "));
    const Image ours =
        Edited(HashedPicture(IntegerOf(line[0]), IntegerOf(line[1])), line[2], line[3]);
    const absl::string_view bytes(reinterpret_cast<const char*>(ours.pixels.data()),
                                  ours.pixels.size());
    EXPECT_EQ(Sha256Hex(bytes), line[4]);
  }
}

}  // namespace
}  // namespace cvtrain::formats
