#include "common/flags.h"

#include <string>
#include <vector>

#include "common/build_info.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ReasonIs = ::cvtrain::testing::Reason;

class FlagsTest : public ::testing::Test {
 protected:
  FlagsTest() : flags_("worker [flags] VERB", "Runs trials on this machine.") {
    flags_.String("state-dir", 0, &state_dir_, "DIR", "where the spool lives");
    flags_.StringList("set", 's', &sets_, "K=V", "changes a field");
    flags_.Bool("quiet", 'q', &quiet_, "print ids only");
    flags_.Bool("color", 0, &color_, "use colours");
    flags_.Int("slots", 'n', &slots_, 1, 64, "slots to offer");
    flags_.Double("share", 0, &share_, 0, 1, "share of memory");
    flags_.Duration("timeout", 0, &timeout_, "how long to wait");
    flags_.Bytes("cache-size", 0, &cache_, "size of the cache");
    flags_.Choice("output", 'o', &output_, {"table", "json"}, "format");
  }

  absl::StatusOr<FlagSet::Parsed> Parse(std::vector<std::string> arguments) {
    return flags_.Parse(arguments);
  }

  FlagSet flags_;
  std::string state_dir_ = "/var/lib/cvtrain";
  std::vector<std::string> sets_;
  bool quiet_ = false;
  bool color_ = true;
  int slots_ = 2;
  double share_ = 0.5;
  absl::Duration timeout_ = absl::Seconds(30);
  uint64_t cache_ = 1 << 30;
  std::string output_ = "table";
};

TEST_F(FlagsTest, ReadsEveryForm) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto parsed,
                           Parse({"--state-dir=/a", "get", "--slots", "4", "-q", "--no-color",
                                  "--share=0.25", "--timeout=1h30m", "--cache_size=2GiB", "-ojson",
                                  "-s", "a=1", "--set", "b=2", "x", "--", "--not-a-flag"}));
  EXPECT_THAT(parsed.positional, ElementsAre("get", "x", "--not-a-flag"));
  EXPECT_FALSE(parsed.help);
  EXPECT_EQ(state_dir_, "/a");
  EXPECT_EQ(slots_, 4);
  EXPECT_TRUE(quiet_);
  EXPECT_FALSE(color_);
  EXPECT_EQ(share_, 0.25);
  EXPECT_EQ(timeout_, absl::Minutes(90));
  EXPECT_EQ(cache_, uint64_t{2} << 30);
  EXPECT_EQ(output_, "json");
  EXPECT_THAT(sets_, ElementsAre("a=1", "b=2"));
  EXPECT_TRUE(flags_.WasGiven("slots"));
  EXPECT_TRUE(flags_.WasGiven("set"));
}

TEST_F(FlagsTest, DefaultsStayWithoutArguments) {
  CVT_ASSERT_OK(Parse({}));
  EXPECT_EQ(slots_, 2);
  EXPECT_TRUE(color_);
  EXPECT_FALSE(flags_.WasGiven("slots"));
}

TEST_F(FlagsTest, ShortFlagsCombine) {
  CVT_ASSERT_OK(Parse({"-qn8"}));
  EXPECT_TRUE(quiet_);
  EXPECT_EQ(slots_, 8);
}

TEST_F(FlagsTest, ReportsEveryProblemAtOnce) {
  EXPECT_THAT(Parse({"--slots=0", "--share=nan", "--outptu=json", "-o", "xml", "--timeout=5", "-z",
                     "--quiet=maybe", "--cache-size=lots", "--state-dir"}),
              StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("USAGE"),
                       Message(AllOf(
                           HasSubstr("--slots: must be a whole number from 1 to 64, got '0'\n"),
                           HasSubstr("--share: must be a number from 0 to 1, got 'nan'\n"),
                           HasSubstr("--outptu: there is no such flag (did you mean --output?)\n"),
                           HasSubstr("-o: must be one of table, json, got 'xml'\n"),
                           HasSubstr("--timeout: must be a duration such as"),
                           HasSubstr("-z: there is no such flag\n"),
                           HasSubstr("--quiet: must be true or false, got 'maybe'\n"),
                           HasSubstr("--cache-size: must be a size such as"),
                           HasSubstr("--state-dir: needs a value, DIR")))));
}

TEST_F(FlagsTest, HelpWinsOverMistakes) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto parsed, Parse({"--bogus", "--help"}));
  EXPECT_TRUE(parsed.help);
  CVT_ASSERT_OK_AND_ASSIGN(const auto short_form, Parse({"-h"}));
  EXPECT_TRUE(short_form.help);
}

TEST_F(FlagsTest, HelpShowsUsageMeaningAndDefaults) {
  const std::string help = flags_.Help();
  EXPECT_THAT(help, HasSubstr("usage: worker [flags] VERB\n\nRuns trials on this machine.\n"));
  EXPECT_THAT(help, HasSubstr("      --state-dir DIR         where the spool lives "
                              "[/var/lib/cvtrain]\n"));
  EXPECT_THAT(help, HasSubstr("  -n, --slots N               slots to offer [2]\n"));
  EXPECT_THAT(help, HasSubstr("  -q, --quiet                 print ids only\n"));
  EXPECT_THAT(help, HasSubstr("  -o, --output table|json     format [table]\n"));
  EXPECT_THAT(help, HasSubstr("[30s]"));
  EXPECT_THAT(help, HasSubstr("[1 GiB]"));
}

TEST_F(FlagsTest, AVerbEndsTheFlags) {
  flags_.StopAtFirstPositional();
  CVT_ASSERT_OK_AND_ASSIGN(const auto parsed, Parse({"-q", "get", "--limit=3"}));
  EXPECT_THAT(parsed.positional, ElementsAre("get", "--limit=3"));
  EXPECT_TRUE(quiet_);
}

TEST_F(FlagsTest, ASingleDashAndNegativeValuesArePlainText) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto parsed, Parse({"-", "--set", "-1"}));
  EXPECT_THAT(parsed.positional, ElementsAre("-"));
  EXPECT_THAT(sets_, ElementsAre("-1"));
}

TEST_F(FlagsTest, SkipsTheNameOfTheProgram) {
  const char* const argv[] = {"worker", "-q"};
  EXPECT_THAT(flags_.Parse(2, argv), testing::IsOk());
  EXPECT_TRUE(quiet_);
}

TEST(BuildInfoTest, SaysWhichProgramThisIs) {
  EXPECT_THAT(GetBuildInfo().build_id, MatchesRegex("[0-9a-f]{16}"));
  EXPECT_THAT(GetBuildInfo().version, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(VersionLine(), HasSubstr(GetBuildInfo().build_id));
}

}  // namespace
}  // namespace cvtrain
