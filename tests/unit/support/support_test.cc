// The tools of the tests, tested: a matcher that always matches would hide everything.
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <memory>
#include <string>

#include "common/errors.h"
#include "common/file_system.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_random.h"
#include "tests/support/log_capture.h"
#include "tests/support/outcome_list.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain::testing {
namespace {

using ::google::protobuf::Duration;
using ::google::protobuf::Timestamp;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StringMatchResultListener;

template <typename Matcher, typename T>
std::string Explain(const Matcher& matcher, const T& value) {
  StringMatchResultListener listener;
  ::testing::ExplainMatchResult(matcher, value, &listener);
  return listener.str();
}

const absl::Status& Finished() {
  static const auto* const status =
      new absl::Status(FailedPrecondition(cvtrain::Reason::kTrialFinished, "trial 3 has ended"));
  return *status;
}

TEST(StatusMatchersTest, TellOkFromErrors) {
  EXPECT_THAT(absl::OkStatus(), IsOk());
  EXPECT_THAT(absl::StatusOr<int>(3), IsOk());
  EXPECT_THAT(Finished(), Not(IsOk()));
  EXPECT_THAT(absl::StatusOr<int>(Finished()), Not(IsOk()));
  EXPECT_THAT(Explain(IsOk(), Finished()),
              HasSubstr("FAILED_PRECONDITION TRIAL_FINISHED: trial 3 has ended"));
}

TEST(StatusMatchersTest, LookAtTheValue) {
  EXPECT_THAT(absl::StatusOr<int>(3), IsOkAndHolds(3));
  EXPECT_THAT(absl::StatusOr<int>(3), IsOkAndHolds(Gt(2)));
  EXPECT_THAT(absl::StatusOr<int>(3), Not(IsOkAndHolds(4)));
  EXPECT_THAT(absl::StatusOr<int>(Finished()), Not(IsOkAndHolds(3)));
  EXPECT_THAT(absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(3)),
              IsOkAndHolds(::testing::Pointee(3)));
}

TEST(StatusMatchersTest, LookAtCodeReasonAndMessage) {
  EXPECT_THAT(Finished(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Finished(), StatusIs(absl::StatusCode::kFailedPrecondition, Reason("TRIAL_FINISHED"),
                                   Message(HasSubstr("3"))));
  EXPECT_THAT(absl::StatusOr<int>(Finished()), Reason(cvtrain::Reason::kTrialFinished));
  EXPECT_THAT(Finished(), Not(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_THAT(Finished(),
              Not(StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"))));
  EXPECT_THAT(Finished(), Not(Message(HasSubstr("4"))));
  EXPECT_THAT(absl::OkStatus(), Not(Reason("")));
}

TEST(FakeClockTest, StandsStillUntilAdvanced) {
  FakeClock clock;
  const absl::Time wall = clock.WallNow();
  const absl::Duration steady = clock.SteadyNow();
  EXPECT_EQ(clock.WallNow(), wall);
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.WallNow() - wall, absl::Seconds(5));
  EXPECT_EQ(clock.SteadyNow() - steady, absl::Seconds(5));
  clock.SetWall(wall - absl::Hours(24));
  EXPECT_EQ(clock.WallNow(), wall - absl::Hours(24));
  EXPECT_EQ(clock.SteadyNow() - steady, absl::Seconds(5));
  EXPECT_DEATH(clock.Advance(-absl::Seconds(1)), "never goes back");
}

TEST(FakeRandomTest, Repeats) {
  FakeRandom a(7);
  FakeRandom b(7);
  EXPECT_EQ(a.NextU64(), b.NextU64());
}

TEST(TempDirTest, IsFreshShortAndRemovedWithAllInIt) {
  std::string path;
  {
    const TempDir dir;
    const TempDir other;
    path = dir.path();
    EXPECT_NE(path, other.path());
    EXPECT_LT(path.size(), 60u);
    CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "a/b"));
    CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "a/b/c", "x"));
  }
  EXPECT_THAT(Exists(PosixFileSystem(), path), IsOkAndHolds(false));
}

TEST(SeedTest, StaysTheSameWithinARun) { EXPECT_EQ(TestSeed(), TestSeed()); }

TEST(LogCaptureTest, CollectsAndGivesBackWhatItReplaced) {
  LogCapture outer;
  {
    LogCapture inner;
    CVT_LOG(kDebug, "inside");
    EXPECT_TRUE(inner.Contains("inside"));
  }
  CVT_LOG(kInfo, "outside").Field("n", 1);
  EXPECT_THAT(outer.lines(), ::testing::ElementsAre("I outside n=1"));
  EXPECT_FALSE(outer.Contains("inside"));
}

TEST(ProtoMatchersTest, CompareTypeAndFields) {
  const auto timestamp = ParseTextProto<Timestamp>("seconds: 5 nanos: 6");
  EXPECT_THAT(timestamp, EqualsProto("nanos: 6 seconds: 5"));
  EXPECT_THAT(timestamp, EqualsProto(timestamp));
  EXPECT_THAT(timestamp, Not(EqualsProto("seconds: 5")));
  EXPECT_THAT(timestamp, Not(EqualsProto(ParseTextProto<Duration>("seconds: 5 nanos: 6"))));
  EXPECT_THAT(Explain(EqualsProto("seconds: 4 nanos: 6"), timestamp), HasSubstr("seconds: 4 -> 5"));
}

TEST(ProtoMatchersTest, TextThatIsNoMessageNeverMatches) {
  const auto timestamp = ParseTextProto<Timestamp>("seconds: 5");
  EXPECT_THAT(timestamp, Not(EqualsProto("hours: 5")));
  EXPECT_THAT(Explain(EqualsProto("hours: 5"), timestamp), HasSubstr("hours"));
  EXPECT_DEATH(ParseTextProto<Timestamp>("hours: 5"), "hours");
}

TEST(OutcomeListTest, NamesErrorsByCodeReasonAndLimit) {
  EXPECT_EQ(OutcomeOf(Finished()), "FAILED_PRECONDITION TRIAL_FINISHED");
  EXPECT_EQ(OutcomeOf(LimitExceeded("kImageSideMax", "too wide")),
            "RESOURCE_EXHAUSTED LIMIT_EXCEEDED kImageSideMax");
}

TEST(OutcomeListTest, ReadsWhatItWrote) {
  TempDir dir;
  OutcomeList list;
  AddOutcome("b/1", "OK 3x4", &list);
  AddOutcome("a", "DATA_LOSS SHARD_BAD", &list);
  WriteOutcomes(list, dir / "list");
  EXPECT_EQ(ReadOutcomes(dir / "list"), list);
  EXPECT_TRUE(ReadOutcomes(dir / "another").empty());
}

TEST(OutcomeListTest, FindsEachDifference) {
  const OutcomeList then = {{"a", "OK"}, {"b", "OK"}, {"c", "OK"}};
  EXPECT_EQ(CompareOutcomes(then, then), "");
  EXPECT_EQ(CompareOutcomes({{"b", "OK"}, {"c", "bad"}, {"d", "OK"}}, then),
            "c is: bad; listed: OK\n"
            "d is not listed; it is: OK\n"
            "a is listed, and gone\n");
}

TEST(OutcomeListDeathTest, RefusesANameThatComesTwice) {
  OutcomeList list;
  AddOutcome("a", "OK", &list);
  EXPECT_DEATH(AddOutcome("a", "OK", &list), "comes twice");
}

}  // namespace
}  // namespace cvtrain::testing
