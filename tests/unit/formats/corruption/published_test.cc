// Compares corruptions with what the published code made of the same pictures:
// golden/make_goldens.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "formats/image/png.h"
#include "tests/unit/formats/corruption/corruption_names.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::formats {
namespace {

using testing::Corrupted;
using testing::CorruptionOf;
using testing::Cut;
using testing::LevelsOf;
using testing::Psnr;

constexpr char kFolder[] = "tests/unit/formats/corruption/golden/";
constexpr int kSeverities = 5;

// Rows of a sheet after that of the clean picture, as in make_goldens.py.
constexpr const char* kRows[] = {"brightness",       "contrast",     "saturate",      "pixelate",
                                 "jpeg_compression", "defocus_blur", "gaussian_blur", "zoom_blur"};

Image ReadPicture(const std::string& name) {
  std::ifstream file(kFolder + name, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Image image;
  CVT_CHECK_OK(DecodePng(bytes, {}, &image));
  return image;
}

struct Sheet {
  explicit Sheet(const std::string& levels)
      : picture(ReadPicture(levels + ".png")),
        width(picture.width / kSeverities),
        height(picture.height / static_cast<int>(1 + std::size(kRows))) {}

  Image At(int row, int column) const {
    return Cut(picture, {column * width, row * height, width, height});
  }

  Image picture;
  int width;
  int height;
};

class PublishedTest : public ::testing::TestWithParam<const char*> {};

// Both sides cut values to whole levels, so rounding makes a level of difference where a value is
// one: for one in twelve where the numbers make many such values (saturate by a factor of 2, a disk
// of five pixels), for less than one in fifty elsewhere, for none where bytes are averaged in
// integers.
TEST_P(PublishedTest, CorruptionsWithoutChanceGiveItsPictures) {
  // Share of the values that may be a level off.
  const std::map<std::string, double> shares = {{"pixelate", 0}, {"jpeg_compression", 0}};
  constexpr double kShare = 0.1;
  const Sheet sheet(GetParam());
  Corruptor corruptor;
  for (int row = 0; row < static_cast<int>(std::size(kRows)); ++row) {
    for (int severity = 1; severity <= kSeverities; ++severity) {
      SCOPED_TRACE(absl::StrCat(kRows[row], " ", severity));
      const Image ours = Corrupted(
          corruptor, sheet.At(0, 0),
          {.kind = CorruptionOf(kRows[row]), .severity = severity, .levels = LevelsOf(GetParam())});
      const Image theirs = sheet.At(row + 1, severity - 1);
      int greatest = 0;
      int differ = 0;
      for (size_t i = 0; i < ours.pixels.size(); ++i) {
        const int difference = std::abs(ours.pixels[i] - theirs.pixels[i]);
        greatest = std::max(greatest, difference);
        differ += difference > 0 ? 1 : 0;
      }
      EXPECT_LE(greatest, 1);
      const auto share = shares.find(kRows[row]);
      EXPECT_LE(differ, (share == shares.end() ? kShare : share->second) *
                            static_cast<double>(ours.pixels.size()));
    }
  }
}

struct Facts {
  std::vector<double> sums = std::vector<double>(3);
  std::vector<double> squares = std::vector<double>(3);

  void Add(const Image& image, const Image& clean) {
    double sum = 0;
    double square = 0;
    for (const uint8_t value : image.pixels) {
      sum += value;
      square += value * value;
    }
    const auto count = static_cast<double>(image.pixels.size());
    const double mean = sum / count;
    const double numbers[] = {Psnr(image, clean), mean, std::sqrt(square / count - mean * mean)};
    for (size_t i = 0; i < 3; ++i) {
      sums[i] += numbers[i];
      squares[i] += numbers[i] * numbers[i];
    }
  }
};

// The others agree in the signal to noise ratio to the clean picture, and in the mean and deviation
// of the values, as far as so many draws tell: within five standard errors and one part in a
// hundred.
TEST_P(PublishedTest, CorruptionsByChanceGiveItsStatistics) {
  constexpr int kDraws = 40;
  constexpr int kTheirDraws = 100;
  constexpr const char* kFacts[] = {"PSNR", "mean", "deviation"};
  const std::string levels = GetParam();
  const Image clean = levels == "imagenet_c" ? ReadPicture("photo.png") : Sheet(levels).At(0, 0);
  Corruptor corruptor;
  std::ifstream file(std::string(kFolder) + "statistics.txt");
  std::set<std::string> compared;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string whose, name;
    int severity = 0;
    words >> whose >> name >> severity;
    if (whose != levels) continue;
    compared.insert(name);
    Facts facts;
    for (int draw = 0; draw < kDraws; ++draw) {
      facts.Add(
          Corrupted(corruptor, clean,
                    {.kind = CorruptionOf(name), .severity = severity, .levels = LevelsOf(levels)},
                    draw),
          clean);
    }
    for (size_t i = 0; i < 3; ++i) {
      double theirs = 0, spread = 0;
      words >> theirs >> spread;
      const double ours = facts.sums[i] / kDraws;
      const double error = spread * std::sqrt(1.0 / kDraws + 1.0 / kTheirDraws);
      EXPECT_NEAR(ours, theirs, 5 * error + 0.01 * theirs) << line << ": " << kFacts[i];
    }
  }
  EXPECT_EQ(compared.size() + std::size(kRows), static_cast<size_t>(kCorruptionKinds));
}

INSTANTIATE_TEST_SUITE_P(Levels, PublishedTest, ::testing::Values("imagenet_c", "cifar10_c"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace cvtrain::formats
