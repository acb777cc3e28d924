#include "formats/ladder/picture_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace cvtrain::formats {
namespace {

using ::testing::IsNull;

constexpr int64_t kBytes = 30;  // of a picture

PictureCache::Key KeyOf(int64_t record, int rung = 0, int scale_denominator = 1) {
  return {.shard = nullptr, .record = record, .rung = rung, .scale_denominator = scale_denominator};
}

std::shared_ptr<const Image> Picture() {
  auto image = std::make_shared<Image>();
  image->Resize(5, 2);
  return image;
}

// Whether there was room.
bool Keep(PictureCache& cache, int64_t record) {
  if (!cache.Reserve(kBytes)) return false;
  cache.Insert(KeyOf(record), Picture(), kBytes);
  return true;
}

TEST(PictureCacheTest, FindsExactlyWhatWasDecoded) {
  PictureCache cache(1'000);
  const auto picture = Picture();
  ASSERT_TRUE(cache.Reserve(kBytes));
  cache.Insert(KeyOf(7, 1, 2), picture, kBytes);
  EXPECT_EQ(cache.Find(KeyOf(7, 1, 2)), picture);
  EXPECT_THAT(cache.Find(KeyOf(7, 1, 1)), IsNull());
  EXPECT_THAT(cache.Find(KeyOf(7, 2, 2)), IsNull());
  EXPECT_THAT(cache.Find(KeyOf(8, 1, 2)), IsNull());
  EXPECT_EQ(cache.facts().hits, 1);
  EXPECT_EQ(cache.facts().misses, 3);
}

TEST(PictureCacheTest, NeverTakesMoreThanItsBudget) {
  PictureCache cache(3 * kBytes);
  EXPECT_TRUE(Keep(cache, 1));
  EXPECT_TRUE(Keep(cache, 2));
  EXPECT_TRUE(Keep(cache, 3));
  EXPECT_FALSE(Keep(cache, 4));
  EXPECT_EQ(cache.facts().bytes, 3 * kBytes);
  EXPECT_EQ(cache.facts().pictures, 3);
  EXPECT_NE(cache.Find(KeyOf(1)), nullptr) << "a full cache keeps what it has";
}

TEST(PictureCacheTest, KeepsNothingWithoutABudget) {
  PictureCache cache(0);
  EXPECT_FALSE(cache.Reserve(1));
}

TEST(PictureCacheTest, CountsWhatIsReserved) {
  PictureCache cache(kBytes);
  ASSERT_TRUE(cache.Reserve(kBytes));
  EXPECT_FALSE(cache.Reserve(1));
  cache.Release(kBytes);
  EXPECT_TRUE(cache.Reserve(kBytes));
}

TEST(PictureCacheTest, GivesBackTheRoomOfWhatTwoThreadsDecoded) {
  PictureCache cache(3 * kBytes);
  ASSERT_TRUE(Keep(cache, 1));
  ASSERT_TRUE(Keep(cache, 1));
  EXPECT_EQ(cache.facts().bytes, kBytes);
  EXPECT_EQ(cache.facts().pictures, 1);
}

TEST(PictureCacheTest, GivesUpWhatNoRecentEpochHasAskedFor) {
  PictureCache cache(2 * kBytes);
  ASSERT_TRUE(Keep(cache, 1));
  ASSERT_TRUE(Keep(cache, 2));
  for (int64_t epoch = 0; epoch <= PictureCache::kEpochsKept; ++epoch) {
    cache.BeginEpoch();
    EXPECT_NE(cache.Find(KeyOf(2)), nullptr);
  }
  EXPECT_TRUE(Keep(cache, 3));
  EXPECT_THAT(cache.Find(KeyOf(1)), IsNull());
  EXPECT_NE(cache.Find(KeyOf(2)), nullptr);
  EXPECT_NE(cache.Find(KeyOf(3)), nullptr);
}

TEST(PictureCacheTest, APictureOutlivesItsPlace) {
  PictureCache cache(kBytes);
  ASSERT_TRUE(Keep(cache, 1));
  const auto held = cache.Find(KeyOf(1));
  for (int64_t epoch = 0; epoch <= PictureCache::kEpochsKept; ++epoch) cache.BeginEpoch();
  ASSERT_TRUE(Keep(cache, 2));
  ASSERT_NE(held, nullptr);
  EXPECT_EQ(held->width, 5);
}

}  // namespace
}  // namespace cvtrain::formats
