#include "formats/ladder/picture_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"
#include "worker/trainer/data/split_reader.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

using formats::PictureCache;
using formats::PictureReader;
using formats::PictureTarget;

class PictureReaderTest : public ::testing::Test {
 protected:
  absl::StatusOr<formats::Image> Read(int64_t position, const PictureTarget& target) {
    if (split_ == nullptr)
      split_ = SplitReader::Create(photos_.version(), "train", photos_).value();
    const SplitReader::Picture picture = split_->Find(position).value();
    formats::Image image;
    image.Resize(target.width, target.height);
    const absl::Status status =
        reader_.Read(*picture.shard, picture.record, target, absl::MakeSpan(image.pixels));
    if (!status.ok()) return status;
    return image;
  }

  static PictureTarget Whole(int picture, int width, int height) {
    const formats::PictureSize size = PhotoDataset::SizeOf(picture);
    return {.crop = {.x = 0,
                     .y = 0,
                     .width = static_cast<double>(size.width),
                     .height = static_cast<double>(size.height)},
            .width = width,
            .height = height};
  }

  // What a target shows, made from the picture that the file was made from.
  static formats::Image Expected(int picture, const PictureTarget& target) {
    const formats::Image cut = formats::testing::Cut(
        PhotoDataset::PictureOf(picture), {.x = static_cast<int>(target.crop.x),
                                           .y = static_cast<int>(target.crop.y),
                                           .width = static_cast<int>(target.crop.width),
                                           .height = static_cast<int>(target.crop.height)});
    formats::Image out;
    formats::ResizeArea(cut, target.width, target.height, &out);
    return out;
  }

  PhotoDataset photos_{{{.name = "train", .images = 6, .broken = {5}}}};
  std::unique_ptr<SplitReader> split_;
  PictureReader reader_;
};

TEST_F(PictureReaderTest, ShowsTheCropAtTheSizeAskedForWhicheverRungItTakes) {
  // 64 x 56 pixels: from the source at full scale, from the source at a half, from the rung.
  for (const auto& [width, height] : {std::pair(64, 56), std::pair(45, 41), std::pair(20, 18)}) {
    const PictureTarget target = Whole(0, width, height);
    CVT_ASSERT_OK_AND_ASSIGN(const formats::Image image, Read(0, target));
    EXPECT_GT(formats::testing::Psnr(image, Expected(0, target)), 28) << width << " x " << height;
  }
}

TEST_F(PictureReaderTest, CropsWhereItIsTold) {
  PictureTarget target = {
      .crop = {.x = 20, .y = 12, .width = 32, .height = 30}, .width = 32, .height = 30};
  CVT_ASSERT_OK_AND_ASSIGN(const formats::Image image, Read(0, target));
  const double right = formats::testing::Psnr(image, Expected(0, target));
  target.crop.x -= 12;
  const double wrong = formats::testing::Psnr(image, Expected(0, target));
  EXPECT_GT(right, 28);
  EXPECT_GT(right, wrong + 5) << "another crop fits as well: the test sees nothing";
}

TEST_F(PictureReaderTest, FlipsLeftToRight) {
  PictureTarget target = Whole(1, 24, 20);
  CVT_ASSERT_OK_AND_ASSIGN(const formats::Image straight, Read(1, target));
  target.flip = true;
  CVT_ASSERT_OK_AND_ASSIGN(formats::Image flipped, Read(1, target));
  EXPECT_NE(flipped.pixels, straight.pixels);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 12; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        std::swap(flipped.pixels[static_cast<size_t>((y * 24 + x) * 3 + channel)],
                  flipped.pixels[static_cast<size_t>((y * 24 + 23 - x) * 3 + channel)]);
      }
    }
  }
  EXPECT_EQ(flipped.pixels, straight.pixels);
}

TEST_F(PictureReaderTest, KeepsNothingOfThePictureBefore) {
  const PictureTarget target = Whole(2, 30, 30);
  CVT_ASSERT_OK_AND_ASSIGN(const formats::Image alone, Read(2, target));
  ASSERT_THAT(Read(1, Whole(1, 64, 64)), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const formats::Image after, Read(2, target));
  EXPECT_EQ(after.pixels, alone.pixels);
}

TEST_F(PictureReaderTest, SaysThatAPictureIsBadAndReadsTheNextOne) {
  EXPECT_THAT(Read(5, Whole(5, 20, 20)),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
  EXPECT_THAT(Read(4, Whole(4, 20, 20)), IsOk());
}

TEST_F(PictureReaderTest, FindsADamagedShardBeforeAPixelIsUsed) {
  std::string& bytes = photos_.bytes(0);
  bytes[bytes.size() - 1'000] = static_cast<char>(bytes[bytes.size() - 1'000] ^ 1);
  EXPECT_THAT(Read(0, Whole(0, 20, 20)),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

// Bytes for bytes: from the source, at a half, from the rung; a hit, and what fills the cache.
TEST_F(PictureReaderTest, GivesTheSamePixelsWhateverTheCacheHolds) {
  PictureCache cache(1 << 20);
  PictureReader caching(&cache);
  if (split_ == nullptr) split_ = SplitReader::Create(photos_.version(), "train", photos_).value();
  for (const int side : {64, 45, 20}) {
    PictureTarget target = {.crop = {.x = 3, .y = 5, .width = 48, .height = 44}};
    target.width = side;
    target.height = side - 4;
    target.flip = side == 45;
    CVT_ASSERT_OK_AND_ASSIGN(const formats::Image expected, Read(1, target));
    const SplitReader::Picture picture = split_->Find(1).value();
    for (const char* turn : {"fills", "hits"}) {
      formats::Image image;
      image.Resize(target.width, target.height);
      ASSERT_THAT(
          caching.Read(*picture.shard, picture.record, target, absl::MakeSpan(image.pixels)),
          IsOk());
      EXPECT_EQ(image.pixels, expected.pixels) << side << " pixels, " << turn;
    }
  }
  EXPECT_GE(cache.facts().hits, 3);
}

TEST_F(PictureReaderTest, ABadPictureIsBadWithACacheToo) {
  PictureCache cache(1 << 20);
  ASSERT_THAT(Read(0, Whole(0, 20, 20)), IsOk());  // opens the split
  const SplitReader::Picture picture = split_->Find(5).value();
  std::vector<uint8_t> pixels(20 * 20 * 3);
  const PictureTarget target = Whole(5, 20, 20);
  EXPECT_THAT(
      PictureReader(&cache).Read(*picture.shard, picture.record, target, absl::MakeSpan(pixels)),
      StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
  EXPECT_EQ(cache.facts().bytes, 0) << "what was reserved for it was not given back";
}

}  // namespace
}  // namespace cvtrain::trainer
