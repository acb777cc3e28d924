#include "plan/curriculum/permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/seed.h"

namespace cvtrain::plan {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> ValuesOf(const Permutation& permutation, uint64_t count) {
  std::vector<uint64_t> values;
  for (uint64_t i = 0; i < count; ++i) values.push_back(permutation.At(i));
  return values;
}

TEST(PermutationTest, IsBijectiveForEverySize) {
  const uint64_t seed = testing::TestSeed();
  std::vector<uint64_t> sizes;
  for (uint64_t size = 1; size <= 130; ++size) sizes.push_back(size);
  for (uint64_t size : {255, 256, 257, 1021, 1024, 1025, 4099, 65'536, 65'537}) {
    sizes.push_back(size);
  }
  for (uint64_t size : sizes) {
    const Permutation permutation(size, {seed, size});
    std::vector<bool> seen(size, false);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t value = permutation.At(i);
      ASSERT_LT(value, size);
      ASSERT_FALSE(seen[value]) << value << " twice in " << size;
      seen[value] = true;
      ASSERT_EQ(permutation.IndexOf(value), i);
    }
  }
}

TEST(PermutationTest, NeverChanges) {
  // These values are part of plan version 1: trials that run depend on them.
  EXPECT_THAT(ValuesOf(Permutation(10, {0, 0}), 10), ElementsAre(2, 7, 4, 6, 5, 3, 9, 0, 8, 1));
  EXPECT_THAT(ValuesOf(Permutation(1998, {7, 3}), 5), ElementsAre(458, 280, 1212, 424, 188));
  EXPECT_THAT(ValuesOf(Permutation(uint64_t{1} << 40, {1, 2}), 2),
              ElementsAre(369936505377, 907094390654));
}

TEST(PermutationTest, DependsOnSeedAndEpoch) {
  const auto base = ValuesOf(Permutation(1000, {1, 1}), 1000);
  EXPECT_EQ(base, ValuesOf(Permutation(1000, {1, 1}), 1000));
  EXPECT_NE(base, ValuesOf(Permutation(1000, {1, 2}), 1000));
  EXPECT_NE(base, ValuesOf(Permutation(1000, {2, 1}), 1000));
}

TEST(PermutationTest, LooksLikeChance) {
  // Where a fixed index goes, over 4,000 epochs, in 8 bins: chi-square with 7
  // degrees of freedom is below 24.3 in 999 of 1,000 cases.
  constexpr int kEpochs = 4000;
  for (uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{500}, uint64_t{999}}) {
    std::vector<double> bins(8, 0);
    for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
      bins[Permutation(1000, {42, epoch}).At(index) / 125] += 1;
    }
    double chi_square = 0;
    for (double count : bins) chi_square += std::pow(count - kEpochs / 8.0, 2) / (kEpochs / 8.0);
    EXPECT_LT(chi_square, 24.3) << index;
  }
}

TEST(PermutationTest, KeepsFewNeighboursTogether) {
  // A shuffle of 10,000 keeps about one pair of neighbours in order.
  const auto values = ValuesOf(Permutation(10'000, {5, 5}), 10'000);
  int together = 0;
  for (size_t i = 1; i < values.size(); ++i) together += values[i] == values[i - 1] + 1;
  EXPECT_LT(together, 10);
}

TEST(PermutationDeathTest, RefusesAnIndexOutside) {
  EXPECT_DEATH(Permutation(10, {0, 0}).At(10), "");
  EXPECT_DEATH(Permutation(0, {0, 0}), "");
}

}  // namespace
}  // namespace cvtrain::plan
