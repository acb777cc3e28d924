#include "common/log.h"

#include <string>

#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "tests/support/fake_clock.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::FakeClock;
using ::cvtrain::testing::LogCapture;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

TEST(LogTest, WritesOneStructuredLine) {
  LogCapture log;
  CVT_LOG(kInfo, "lease expired")
      .Field("trial", TrialName(ExperimentName(12), 3))
      .Field("worker", "w7")
      .Field("generation", 4)
      .Field("silent_for", absl::Seconds(31))
      .Field("share", 0.5)
      .Field("orphan", false);
  EXPECT_THAT(log.lines(),
              ElementsAre("I lease expired trial=experiments/12/trials/3 worker=w7 generation=4 "
                          "silent_for=31s share=0.5 orphan=false"));
}

TEST(LogTest, BeginsWithTheTime) {
  LogRecord record;
  record.level = LogLevel::kError;
  record.time = absl::FromUnixMillis(1'714'566'896'789);
  record.message = "disk full";
  EXPECT_EQ(FormatLogRecord(record), "2024-05-01T12:34:56.789Z E disk full");
}

TEST(LogTest, OutsideTextCannotForgeOrBreakLines) {
  LogCapture log;
  CVT_LOG(kWarning, "bad name").Field("name", "x\n2024 I granted admin=true \x1b[2J\"");
  EXPECT_THAT(log.lines(),
              ElementsAre("W bad name name=\"x\\n2024 I granted admin=true \\x1b[2J\\\"\""));
}

TEST(LogTest, LinesAndFieldsAreBounded) {
  LogCapture log;
  CVT_LOG(kInfo, "long").Field("a", std::string(1 << 20, 'x'));
  ASSERT_THAT(log.records(), SizeIs(1));
  EXPECT_LE(log.records()[0].fields[0].second.size(), limits::kOwnLogFieldSizeBytesMax);
  LogRecord record;
  for (int i = 0; i < 100; ++i) record.fields.emplace_back("k", std::string(100, 'x'));
  EXPECT_LE(FormatLogRecord(record).size(), limits::kOwnLogLineSizeBytesMax);
}

TEST(LogTest, StatusesShowCodeReasonAndMessage) {
  LogCapture log;
  CVT_LOG(kError, "failed").Field("error", NotFound(Reason::kTrialNotFound, "trial 3"));
  EXPECT_THAT(log.lines(), ElementsAre("E failed error=\"NOT_FOUND TRIAL_NOT_FOUND: trial 3\""));
}

TEST(LogTest, LevelsBelowTheBoundAreDropped) {
  LogCapture log;
  SetLogLevel(LogLevel::kWarning);
  CVT_LOG(kInfo, "quiet");
  CVT_LOG(kWarning, "loud");
  EXPECT_THAT(log.lines(), ElementsAre("W loud"));
}

TEST(LogTest, GoesToStderrWithoutASink) {
  ::testing::internal::CaptureStderr();
  CVT_LOG(kInfo, "serving").Field("port", 0);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9TZ:.-]+ I serving port=0\n"));
}

TEST(LogLimiterTest, LetsOnePassPerPeriodAndCountsTheRest) {
  FakeClock clock;
  LogLimiter limiter(absl::Seconds(10), clock);
  EXPECT_TRUE(limiter.Pass());
  EXPECT_FALSE(limiter.Pass());
  EXPECT_FALSE(limiter.Pass());
  clock.Advance(absl::Seconds(10));
  const LogLimiter::Passed passed = limiter.Pass();
  EXPECT_TRUE(passed);
  EXPECT_EQ(passed.suppressed, 2);
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(limiter.Pass().suppressed, 0);
}

}  // namespace
}  // namespace cvtrain
