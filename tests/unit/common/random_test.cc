#include "common/random.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "common/uuid.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::testing::ElementsAre;

// The known answers that come with the authors' Random123 library (kat_vectors).
TEST(PhiloxTest, GivesTheKnownAnswers) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(
      Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(KeyedStreamTest, IsAFunctionOfItsKey) {
  KeyedStream a("order/v1", {7, 3});
  KeyedStream b("order/v1", {7, 3});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.NextU64(), b.NextU64());
}

// Computed by a second implementation of the text in random.h. These numbers are a promise: data
// order and augmentation of every trial hang on them.
TEST(KeyedStreamTest, NeverChangesItsNumbers) {
  KeyedStream stream("golden/v1", {1, 2, 3, 4, 0xffffffffffffffff});
  const std::vector<uint32_t> first = {stream.NextU32(), stream.NextU32(), stream.NextU32(),
                                       stream.NextU32(), stream.NextU32()};
  EXPECT_THAT(first, ElementsAre(0x46e4a665u, 0xf6ebcf85u, 0xfa19093fu, 0x27bfe08eu, 0x2b348856u));
  KeyedStream no_words("golden/v1", {});
  EXPECT_EQ(no_words.NextU64(), 0x3f5ca7d9ebb75f95u);
}

TEST(KeyedStreamTest, DiffersByTagByEveryWordAndByTheirNumber) {
  std::set<uint64_t> seen;
  const auto draw = [&](absl::string_view tag, std::vector<uint64_t> words) {
    return seen.insert(KeyedStream(tag, words).NextU64()).second;
  };
  EXPECT_TRUE(draw("a", {}));
  EXPECT_TRUE(draw("b", {}));
  EXPECT_TRUE(draw("a", {0}));
  EXPECT_TRUE(draw("a", {0, 0}));
  EXPECT_TRUE(draw("a", {0, 0, 0, 0, 0}));
  EXPECT_TRUE(draw("a", {1, 0}));
  EXPECT_TRUE(draw("a", {0, 1}));
  EXPECT_TRUE(draw("a", {uint64_t{1} << 32, 0}));
  for (uint64_t seed = 0; seed < 1'000; ++seed) EXPECT_TRUE(draw("c", {seed, 7}));
}

TEST(KeyedStreamTest, MixesDrawsOfDifferentWidths) {
  KeyedStream words("w", {1});
  const uint64_t low = words.NextU32();
  const uint64_t high = words.NextU32();
  KeyedStream wide("w", {1});
  EXPECT_EQ(wide.NextU64(), low | high << 32);
}

TEST(KeyedStreamTest, UniformNumbersStayInRangeAndSpread) {
  KeyedStream stream("u", {5});
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double x = stream.Uniform01();
    const float y = stream.Uniform01Float();
    ASSERT_TRUE(x >= 0 && x < 1 && y >= 0 && y < 1);
    sum += x;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(KeyedStreamTest, UniformIntIsUnbiased) {
  KeyedStream stream("i", {5});
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[static_cast<size_t>(stream.UniformInt(7))];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(stream.UniformInt(1), 0u);
  // At three quarters of 2^64 a modulus would make the low third twice as likely, and the
  // multiplication alone the multiples of three.
  const uint64_t n = 0xc000000000000000;
  int low = 0;
  int multiples = 0;
  for (int i = 0; i < 30'000; ++i) {
    const uint64_t x = stream.UniformInt(n);
    low += x < n / 3 ? 1 : 0;
    multiples += x % 3 == 0 ? 1 : 0;
  }
  EXPECT_NEAR(low, 10'000, 400);
  EXPECT_NEAR(multiples, 10'000, 400);
}

TEST(KeyedStreamTest, NormalHasItsMoments) {
  KeyedStream stream("n", {5});
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double x = stream.Normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 20'000, 0, 0.03);
  EXPECT_NEAR(squares / 20'000, 1, 0.04);
}

TEST(KeyedStreamTest, ShuffleReachesEveryOrderEquallyOften) {
  std::vector<int> counts(6);
  for (uint64_t seed = 0; seed < 6'000; ++seed) {
    std::vector<int> values = {0, 1, 2};
    KeyedStream("s", {seed}).Shuffle(values);
    std::vector<int> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_THAT(sorted, ElementsAre(0, 1, 2));
    ++counts[static_cast<size_t>(2 * values[0] + (values[1] > values[2] ? 1 : 0))];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1'000, 150);
}

TEST(KeyedStreamDeathTest, RefusesASixthWordAndAnEmptyRange) {
  EXPECT_DEATH(KeyedStream("a", {1, 2, 3, 4, 5, 6}), "has 6 words");
  KeyedStream stream("a", {});
  EXPECT_DEATH(stream.UniformInt(0), "n > 0");
}

TEST(RandomTest, SystemNumbersDifferAndSeededOnesRepeat) {
  EXPECT_NE(SystemRandom().NextU64(), SystemRandom().NextU64());
  SeededRandom a(3);
  SeededRandom b(3);
  EXPECT_EQ(a.NextU64(), b.NextU64());
  EXPECT_LT(a.Uniform01(), 1);
}

TEST(UuidTest, RandomOnesAreVersionFourAndDiffer) {
  SeededRandom random(1);
  std::set<Uuid> seen;
  for (int i = 0; i < 1'000; ++i) {
    const Uuid uuid = Uuid::Random(random);
    EXPECT_TRUE(seen.insert(uuid).second);
    const std::string text = uuid.ToString();
    EXPECT_EQ(text[14], '4');
    EXPECT_THAT(std::string(1, text[19]), ::testing::MatchesRegex("[89ab]"));
    EXPECT_THAT(Uuid::Parse(text), testing::IsOkAndHolds(uuid));
  }
}

TEST(UuidTest, ReadsOneFormOnly) {
  const std::string good = "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";
  EXPECT_THAT(Uuid::Parse("9F3C5D1E-0B7A-4C66-8F0E-2F6F1C0D9A11"),
              testing::IsOkAndHolds(*Uuid::Parse(good)));
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", std::string("{") + good + "}",
        std::string("9f3c5d1e00b7a-4c66-8f0e-2f6f1c0d9a11"),
        std::string("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a1g"),
        std::string("9f3c5d1-e0b7a-4c66-8f0e-2f6f1c0d9a11")}) {
    EXPECT_THAT(Uuid::Parse(bad), testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                                    testing::Reason("FIELD_INVALID")))
        << bad;
  }
  EXPECT_TRUE(Uuid().is_nil());
}

}  // namespace
}  // namespace cvtrain
