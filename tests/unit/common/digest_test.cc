#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/random.h"
#include "common/sha256.h"

namespace cvtrain {
namespace {

// RFC 3720, B.4, and the check value of the CRC catalogue.
TEST(Crc32cTest, GivesTheKnownAnswers) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
}

TEST(Crc32cTest, ExtendsAtEverySplit) {
  const std::string data = "the quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= data.size(); ++cut) {
    const absl::string_view view = data;
    EXPECT_EQ(ExtendCrc32c(Crc32c(view.substr(0, cut)), view.substr(cut)), Crc32c(data));
  }
}

TEST(Crc32cTest, InstructionAndTablesAgree) {
  KeyedStream stream("crc", {1});
  std::string data;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(ExtendCrc32c(7, data), internal::ExtendCrc32cPortable(7, data)) << i;
    data.push_back(static_cast<char>(stream.NextU32()));
  }
}

// Lengths around one and several rounds of lanes, and what is left behind them.
TEST(Crc32cTest, LanesAndTablesAgree) {
  KeyedStream stream("crc", {2});
  std::string data(40'000, '\0');
  for (char& byte : data) byte = static_cast<char>(stream.NextU32());
  for (const size_t round : {size_t{6'144}, size_t{12'288}, size_t{36'864}}) {
    for (size_t length = round - 9; length <= round + 17; ++length) {
      const absl::string_view view = absl::string_view(data).substr(round % 7, length);
      EXPECT_EQ(ExtendCrc32c(7, view), internal::ExtendCrc32cPortable(7, view)) << length;
    }
  }
}

TEST(Crc32cTest, SeesEveryFlippedBit) {
  std::string data(64, 'a');
  const uint32_t good = Crc32c(data);
  for (size_t bit = 0; bit < 8 * data.size(); ++bit) {
    data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(Crc32c(data), good);
    data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
  }
}

// FIPS 180-2, appendix B.
TEST(Sha256Test, GivesTheKnownAnswers) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, TakesBytesInPiecesAndStartsAgain) {
  Sha256 sha256;
  sha256.Update("ab");
  sha256.Update("");
  sha256.Update("c");
  EXPECT_EQ(sha256.Finish(), Sha256Of("abc"));
  EXPECT_EQ(sha256.Finish(), Sha256Of(""));
}

TEST(Sha256Test, KnowsItsOwnText) {
  const std::string text = Sha256Hex("abc");
  EXPECT_TRUE(IsSha256Hex(text));
  EXPECT_FALSE(IsSha256Hex(""));
  EXPECT_FALSE(IsSha256Hex(text.substr(1)));
  EXPECT_FALSE(IsSha256Hex(text + "0"));
  for (const char c : {'g', 'B', '-', '\0'}) {
    std::string other = text;
    other[17] = c;
    EXPECT_FALSE(IsSha256Hex(other)) << c;
  }
}

// As another implementation of XXH3 and SHA-256 has them: xxhash and hashlib of Python.
TEST(BlockDigestTest, GivesTheKnownAnswers) {
  EXPECT_EQ(BlockDigestHex(""), "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
  EXPECT_EQ(BlockDigestHex("abc"),
            "4817578ec9bb4c12b6d78aba519d9f1eaae34c8d4004ea73ef76c7fa5328736f");
  EXPECT_EQ(BlockDigestHex(std::string(1 << 20, 'a')),
            "17b15d70e7589d276adc71c22cb825f8a85ce7ffbb4f496fc04a45c781ee4c75");
  EXPECT_EQ(BlockDigestHex(std::string((2 << 20) + 3, 'b')),
            "623573d03ed9c2ed510b68b014af367ea02fde3734b382ef6c66539304f901e3");
}

TEST(BlockDigestTest, TakesBytesInPiecesAndStartsAgain) {
  KeyedStream stream("digest", {1});
  std::string data((3 << 20) + 17, '\0');
  for (char& byte : data) byte = static_cast<char>(stream.NextU32());
  const Sha256Digest whole = BlockDigestOf(data);
  BlockDigest digest;
  for (const size_t piece : {size_t{1} << 20, size_t{700'001}, size_t{64}, size_t{3} << 20}) {
    for (absl::string_view left = data; !left.empty();) {
      digest.Update(left.substr(0, piece));
      left.remove_prefix(std::min(piece, left.size()));
    }
    EXPECT_EQ(digest.Peek(), whole) << piece;
    EXPECT_EQ(digest.Finish(), whole) << piece;
  }
}

TEST(BlockDigestTest, SeesWhereBlocksAreAndHowLongTheyAre) {
  const std::string a(1 << 20, 'a'), b(1 << 20, 'b');
  EXPECT_NE(BlockDigestOf(a + b), BlockDigestOf(b + a));
  EXPECT_NE(BlockDigestOf(a), BlockDigestOf(a + '\0'));
  EXPECT_NE(BlockDigestOf(std::string(1, '\0')), BlockDigestOf(""));
}

}  // namespace
}  // namespace cvtrain
