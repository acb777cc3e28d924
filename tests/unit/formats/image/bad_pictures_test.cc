// What people and attackers call pictures: none of it crashes, hangs, takes memory for what is not
// there or prints, and what becomes of each is written down.

#include "tests/unit/formats/image/bad_pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "formats/image/picture_decoder.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::BadPicture;
using ::cvtrain::formats::testing::MakeBadPictures;

constexpr char kManifest[] = "tests/unit/formats/image/golden/bad_pictures.txt";

// "OK 23x17", "INVALID_ARGUMENT DATA_BAD" or "RESOURCE_EXHAUSTED LIMIT_EXCEEDED kImageSideMax".
std::string Outcome(const absl::Status& status, const Image& image) {
  if (status.ok()) return absl::StrCat("OK ", image.width, "x", image.height);
  const std::string limit = LimitNameOf(status);
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", ReasonNameOf(status),
                      limit.empty() ? "" : " ", limit);
}

// A line for each: its name and what PictureDecoder said.
std::string RunAll() {
  std::string lines;
  PictureDecoder decoder;
  for (const BadPicture& picture : MakeBadPictures()) {
    // A copy without room to spare, so that a sanitizer sees a read past its end.
    const std::vector<char> bytes(picture.bytes.begin(), picture.bytes.end());
    const absl::string_view view(bytes.data(), bytes.size());
    Image image;
    const absl::Status status = decoder.Decode(view, &image);
    const absl::StatusOr<ImageInfo> info = decoder.ReadInfo(view);
    // Nothing of one file may stay for the next.
    Image fresh;
    EXPECT_EQ(PictureDecoder().Decode(view, &fresh), status) << picture.name;
    if (status.ok()) {
      EXPECT_TRUE(info.ok()) << picture.name;
      EXPECT_TRUE(fresh.pixels == image.pixels) << picture.name;
      EXPECT_EQ(image.pixels.size(), size_t{3} * image.width * image.height) << picture.name;
    }
    if (!info.ok()) {
      EXPECT_EQ(image.pixels.capacity(), 0u) << picture.name;
    }
    absl::StrAppend(&lines, picture.name, " ", Outcome(status, image), "\n");
  }
  return lines;
}

std::map<std::string, std::string> ByName(const std::string& lines) {
  std::map<std::string, std::string> outcomes;
  std::istringstream in(lines);
  for (std::string name, outcome; in >> name && std::getline(in, outcome);) {
    EXPECT_TRUE(outcomes.emplace(name, outcome.substr(1)).second) << name << " comes twice";
  }
  return outcomes;
}

TEST(BadPicturesTest, EachHasTheOutcomeThatIsListed) {
  ::testing::internal::CaptureStderr();
  const std::string lines = RunAll();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");

  std::ifstream file(kManifest);
  const std::string listed((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
  const std::map<std::string, std::string> now = ByName(lines);
  const std::map<std::string, std::string> then = ByName(listed);
  for (const auto& [name, outcome] : now) {
    const auto found = then.find(name);
    if (found == then.end()) {
      ADD_FAILURE() << name << " is not listed";
    } else {
      EXPECT_EQ(outcome, found->second) << name;
    }
  }
  EXPECT_EQ(lines, listed) << "same outcomes, other order";

  EXPECT_GE(now.size(), 800u);
  std::map<std::string, int> counts;
  for (const auto& [name, outcome] : now) ++counts[outcome.substr(0, outcome.find(' '))];
  EXPECT_GT(counts["INVALID_ARGUMENT"], 500);
  EXPECT_GT(counts["RESOURCE_EXHAUSTED"], 50);
}

// Writes the list anew, for a person to read its difference:
//   formats_image_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheList'
TEST(BadPicturesTest, DISABLED_WritesTheList) {
  std::ofstream file(kManifest);
  file << RunAll();
  EXPECT_TRUE(file.good());
}

}  // namespace
}  // namespace cvtrain::formats
