#include "common/text.h"

#include <cmath>
#include <limits>

#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ReasonIs = ::cvtrain::testing::Reason;

TEST(EscapeTextTest, MakesTextHarmless) {
  EXPECT_EQ(EscapeText("plain gr\xc3\xbc\xc3\x9f"
                       "e \xe7\x8c\xab"),
            "plain gr\xc3\xbc\xc3\x9f"
            "e \xe7\x8c\xab");
  EXPECT_EQ(EscapeText("a\nb\tc\r"), "a\\nb\\tc\\r");
  EXPECT_EQ(EscapeText("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(EscapeText(absl::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(EscapeText("back\\slash"), "back\\\\slash");
  EXPECT_EQ(EscapeText("\xc2\x9b"), "\\x9b");                // C1: a terminal's one-byte escape
  EXPECT_EQ(EscapeText("\xe2\x80\xae"), "\\u202e");          // right-to-left override
  EXPECT_EQ(EscapeText("\xe2\x80\xa8"), "\\u2028");          // line separator
  EXPECT_EQ(EscapeText("\xff\xfe"), "\\xff\\xfe");           // not UTF-8
  EXPECT_EQ(EscapeText("\xc0\xaf"), "\\xc0\\xaf");           // overlong slash
  EXPECT_EQ(EscapeText("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(EscapeText("\xe2\x82"), "\\xe2\\x82");           // cut off
}

TEST(TruncateTextTest, CutsAtACharacter) {
  EXPECT_EQ(TruncateText("abcdef", 6), "abcdef");
  EXPECT_EQ(TruncateText("abcdefg", 6), "abc...");
  EXPECT_EQ(TruncateText("ab\xc3\xbc"
                         "efg",
                         6),
            "ab...");
  EXPECT_EQ(TruncateText("abc", 2), "..");
}

TEST(SafeTextTest, BoundsWhatItReads) {
  EXPECT_EQ(SafeText(std::string(1'000'000, 'x'), 10), "xxxxxxx...");
  EXPECT_EQ(SafeText("short", 10), "short");
  EXPECT_EQ(SafeText("\n\n\n\n\n\n", 10), "\\n\\n\\n\\...");
}

TEST(Utf8Test, KnowsValidText) {
  EXPECT_TRUE(IsValidUtf8("gr\xc3\xbc\xf0\x9f\x98\x80"));
  EXPECT_FALSE(IsValidUtf8("\xf5\x80\x80\x80"));
  EXPECT_FALSE(IsValidUtf8("\xc3"));
  EXPECT_EQ(DisplayWidth("gr\xc3\xbc\xc3\x9f"), 4u);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1u);
}

TEST(PlainTextTest, IsOneLineOfSoManyCharacters) {
  EXPECT_TRUE(IsPlainText("a\\b gr\xc3\xbc", 7));
  EXPECT_FALSE(IsPlainText("a\\b gr\xc3\xbc", 6));
  EXPECT_FALSE(IsPlainText("", 6));
  for (const std::string bad : {"a\n", "\x1b[2J", "\xc2\x9b", "\xe2\x80\xae", "\xff", "\xc3"}) {
    EXPECT_FALSE(IsPlainText(bad, 100)) << EscapeText(bad);
  }
}

TEST(NearestNamesTest, FindsWhatWasMeant) {
  const std::vector<std::string> names = {"resnet", "mobilenet", "efficientnet", "vit"};
  EXPECT_THAT(NearestNames("resnt", names), ElementsAre("resnet"));
  EXPECT_THAT(NearestNames("RESNET", names), ElementsAre("resnet"));
  EXPECT_THAT(NearestNames("renset", names), ElementsAre("resnet"));
  EXPECT_THAT(NearestNames("mobile", names), ElementsAre("mobilenet"));
  EXPECT_THAT(NearestNames("transformer", names), IsEmpty());
  EXPECT_THAT(NearestNames("", names), IsEmpty());
  EXPECT_THAT(NearestNames(std::string(100'000, 'r'), names), IsEmpty());
}

TEST(NearestNamesTest, GivesFewAndNearestFirst) {
  const std::vector<std::string> names = {"lrr", "lr", "l", "lry", "lrx"};
  EXPECT_THAT(NearestNames("lr", names, 2), ElementsAre("lr", "l"));
}

TEST(DidYouMeanTest, ReadsAsASentence) {
  EXPECT_EQ(DidYouMean({}), "");
  EXPECT_EQ(DidYouMean({"a"}), " (did you mean a?)");
  EXPECT_EQ(DidYouMean({"a", "b", "c"}), " (did you mean a, b or c?)");
}

TEST(FormatTest, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1'000), "0.98 KiB");
  EXPECT_EQ(FormatBytes(1'536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{16} << 30), "16 GiB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<uint64_t>::max()), "16 EiB");
}

TEST(FormatTest, Elapsed) {
  EXPECT_EQ(FormatElapsed(absl::ZeroDuration()), "0us");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(250)), "250us");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(250)), "250ms");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(1'500)), "1.5s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(2)), "2s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(12)), "12s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(185)), "3m05s");
  EXPECT_EQ(FormatElapsed(absl::Minutes(127)), "2h07m");
  EXPECT_EQ(FormatElapsed(absl::Hours(123)), "5d03h");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(59'700)), "1m00s");
  EXPECT_EQ(FormatElapsed(-absl::Seconds(12)), "-12s");
  EXPECT_EQ(FormatElapsed(absl::InfiniteDuration()), "forever");
}

TEST(FormatTest, CountsAndNumbers) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(999.7), "1k");
  EXPECT_EQ(FormatCount(12'345), "12.3k");
  EXPECT_EQ(FormatCount(-4'560'000), "-4.56M");
  EXPECT_EQ(FormatCount(1.2e18), "1.2e+18");
  EXPECT_EQ(FormatDouble(0.1), "0.1");
  EXPECT_EQ(FormatDouble(std::nan("")), "nan");
  EXPECT_EQ(FormatDouble(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(FormatDouble(1.0 / 3), "0.3333333333333333");
}

TEST(FormatTest, Timestamp) {
  EXPECT_EQ(FormatTimestamp(absl::FromUnixMillis(1'714'566'896'789)), "2024-05-01T12:34:56.789Z");
}

TEST(ParseTest, Bytes) {
  EXPECT_THAT(ParseBytes("4096"), IsOkAndHolds(4'096u));
  EXPECT_THAT(ParseBytes("64 KiB"), IsOkAndHolds(65'536u));
  EXPECT_THAT(ParseBytes("16gib"), IsOkAndHolds(uint64_t{16} << 30));
  EXPECT_THAT(ParseBytes("1.5MB"), IsOkAndHolds(1'500'000u));
  EXPECT_THAT(ParseBytes("18446744073709551615"),
              IsOkAndHolds(std::numeric_limits<uint64_t>::max()));
  for (const absl::string_view bad : {"", "x", "-1", "1.5", "1 QB", "1.2.3KB", "99999999 TiB",
                                      "18446744073709551616", "nan", "1e3"}) {
    EXPECT_THAT(ParseBytes(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("FIELD_INVALID")))
        << bad;
  }
}

TEST(ParseTest, Duration) {
  EXPECT_THAT(ParseDuration("90s"), IsOkAndHolds(absl::Seconds(90)));
  EXPECT_THAT(ParseDuration("1h30m"), IsOkAndHolds(absl::Minutes(90)));
  EXPECT_THAT(ParseDuration("250ms"), IsOkAndHolds(absl::Milliseconds(250)));
  EXPECT_THAT(ParseDuration("2d"), IsOkAndHolds(absl::Hours(48)));
  EXPECT_THAT(ParseDuration("0.5s"), IsOkAndHolds(absl::Milliseconds(500)));
  EXPECT_THAT(ParseDuration("0"), IsOkAndHolds(absl::ZeroDuration()));
  EXPECT_THAT(ParseDuration("-1s"), IsOkAndHolds(-absl::Seconds(1)));
  for (const absl::string_view bad :
       {"", "5", "s", "5 parsecs", "1h30", "inf", "1e9h", "99999999999d", "--1s"}) {
    EXPECT_THAT(ParseDuration(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("FIELD_INVALID")))
        << bad;
  }
}

TEST(HexTest, GoesThereAndBack) {
  EXPECT_EQ(HexEncode(absl::string_view("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_THAT(HexDecode("00FF1a"), IsOkAndHolds(std::string("\x00\xff\x1a", 3)));
  EXPECT_THAT(HexDecode("0"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(HexDecode("0g"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace cvtrain
