#include "coordinator/storage/coding.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cvtrain::coordinator {
namespace {

TEST(CodingTest, BigEndianKeysSortAsTheirNumbers) {
  const uint64_t numbers[] = {
      0, 1, 255, 256, 1 << 20, uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()};
  std::string last;
  for (uint64_t number : numbers) {
    std::string key;
    AppendBigEndian64(number, &key);
    EXPECT_EQ(key.size(), 8u);
    EXPECT_TRUE(last.empty() || last < key);
    last = key;
    uint64_t read = 0;
    ByteReader reader(key);
    EXPECT_TRUE(reader.ReadBigEndian64(&read) && reader.at_end());
    EXPECT_EQ(read, number);
  }
}

TEST(CodingTest, VarintsComeBack) {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t number : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1}) {
      std::string bytes;
      AppendVarint(number, &bytes);
      uint64_t read = 0;
      ByteReader reader(bytes);
      EXPECT_TRUE(reader.ReadVarint(&read) && reader.at_end());
      EXPECT_EQ(read, number);
    }
  }
}

TEST(CodingTest, ZigZagKeepsSmallNumbersSmall) {
  EXPECT_EQ(ZigZag(0), 0u);
  EXPECT_EQ(ZigZag(-1), 1u);
  EXPECT_EQ(ZigZag(1), 2u);
  for (int64_t number : {std::numeric_limits<int64_t>::min(), int64_t{-5}, int64_t{7},
                         std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(UnZigZag(ZigZag(number)), number);
  }
}

TEST(CodingTest, ReadersRefuseWhatEndsTooEarlyAndFailFromThenOn) {
  uint64_t number = 0;
  uint32_t small = 0;
  absl::string_view bytes;
  EXPECT_FALSE(ByteReader("\x80").ReadVarint(&number));
  EXPECT_FALSE(ByteReader(std::string(11, '\x80')).ReadVarint(&number));
  EXPECT_FALSE(ByteReader("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").ReadVarint(&number));
  EXPECT_FALSE(ByteReader("\x05"
                          "abc")
                   .ReadLengthPrefixed(&bytes));
  ByteReader reader("abc");
  EXPECT_FALSE(reader.ReadBigEndian32(&small));
  EXPECT_FALSE(reader.ReadBytes(1, &bytes));
}

TEST(CodingTest, PrefixEndIsBehindAllKeysOfThePrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), "");
  EXPECT_EQ(PrefixEnd(""), "");
}

TEST(CodingTest, TrialsSortByExperimentThenNumber) {
  const auto prefix = [](int64_t experiment, int64_t trial) {
    return TrialPrefix(TrialName(ExperimentName(experiment), trial));
  };
  EXPECT_LT(prefix(1, 300), prefix(2, 1));
  EXPECT_LT(prefix(2, 2), prefix(2, 10));
  EXPECT_EQ(prefix(1, 1).size(), 16u);
}

}  // namespace
}  // namespace cvtrain::coordinator
