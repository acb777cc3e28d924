// What people and attackers call pictures: none of it crashes, hangs, takes memory for what is not
// there or prints, and what becomes of each is written down.

#include "tests/unit/formats/image/bad_pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "formats/image/picture_decoder.h"
#include "tests/support/outcome_list.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::BadPicture;
using ::cvtrain::formats::testing::MakeBadPictures;
using ::cvtrain::testing::AddOutcome;
using ::cvtrain::testing::CompareOutcomes;
using ::cvtrain::testing::OutcomeList;
using ::cvtrain::testing::OutcomeOf;
using ::cvtrain::testing::ReadOutcomes;
using ::cvtrain::testing::WriteOutcomes;

constexpr char kList[] = "tests/unit/formats/image/golden/bad_pictures.txt";

// "OK 23x17", or the error.
OutcomeList RunAll() {
  OutcomeList outcomes;
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
    AddOutcome(
        picture.name,
        status.ok() ? absl::StrCat("OK ", image.width, "x", image.height) : OutcomeOf(status),
        &outcomes);
  }
  return outcomes;
}

TEST(BadPicturesTest, EachHasTheOutcomeThatIsListed) {
  ::testing::internal::CaptureStderr();
  const OutcomeList outcomes = RunAll();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");

  EXPECT_EQ(CompareOutcomes(outcomes, ReadOutcomes(kList)), "");
  std::map<std::string, int> counts;
  for (const auto& [name, outcome] : outcomes) ++counts[outcome.substr(0, outcome.find(' '))];
  EXPECT_GE(outcomes.size(), 800u);
  EXPECT_GT(counts["INVALID_ARGUMENT"], 500);
  EXPECT_GT(counts["RESOURCE_EXHAUSTED"], 50);
}

// Writes the list anew, for a person to read its difference:
//   formats_image_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheList'
TEST(BadPicturesTest, DISABLED_WritesTheList) {
  WriteOutcomes(RunAll(), kList);
  EXPECT_FALSE(ReadOutcomes(kList).empty());
}

}  // namespace
}  // namespace cvtrain::formats
