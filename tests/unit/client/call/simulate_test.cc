#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/call/verb.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kShockwave[] =
    "LM (batch size 80)\trun\tdir\t--steps\t1\t2000\t1\tstatic\t1\t-1\t200\t0\n"
    "LM (batch size 80)\trun\tdir\t--steps\t1\t500\t1\tstatic\t1\t-1\t50\t10\n";
constexpr char kSpeeds[] = R"json({"v100": {"('LM (batch size 80)', 1)": {"null": 10}}})json";
constexpr char kPhilly[] =
    "timestamp,duration,num_gpus,gpu_time,cluster\n"
    "2017-10-09 00:00:00,100,8,800,a\n"
    "2017-10-10 00:00:00,100,8,800,a\n"
    "2017-10-10 00:00:50,100,8,800,a\n";

// The verb on files in memory.
class SimulateVerbTest : public ::testing::Test {
 protected:
  SimulateVerbTest() {
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/jobs.trace", kShockwave));
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/speeds.json", kSpeeds));
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/philly.csv", kPhilly));
  }

  absl::StatusOr<ExitCode> Simulate(const Arguments& arguments) {
    return RunSimulate(fake_.cli(), arguments);
  }
  std::vector<std::string> Lines() const {
    return absl::StrSplit(fake_.out.str(), '\n', absl::SkipEmpty());
  }

  FakeCli fake_;
};

TEST_F(SimulateVerbTest, PrintsARowForEachPolicy) {
  EXPECT_THAT(Simulate({"--trace", "/jobs.trace", "--throughputs", "/speeds.json", "--gpus", "1",
                        "--policy", "fifo,shortest"}),
              IsOkAndHolds(ExitCode::kDone));
  const std::vector<std::string> lines = Lines();
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], StartsWith("POLICY"));
  EXPECT_THAT(lines[1], AllOf(StartsWith("fifo"), HasSubstr("declared")));
  EXPECT_THAT(lines[2], StartsWith("shortest"));
}

TEST_F(SimulateVerbTest, PrintsJson) {
  EXPECT_THAT(Simulate({"--trace=/philly.csv", "--gpus=8", "--policy=fifo", "-o", "json"}),
              IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(fake_.out.str(),
            "{\"told\": \"declared\", \"rows\": [{\"policy\": \"fifo\", \"runs\": [{\"seed\": 1, "
            "\"gpus\": 8, \"jobs\": 3, \"makespan_seconds\": 86600, "
            "\"completion_mean_seconds\": 116.66666666666667, "
            "\"queueing_mean_seconds\": 16.666666666666668, "
            "\"fairness_ratio_worst\": 1.5, \"unfair_jobs\": 1, \"restarts\": 0}]}]}\n");
}

TEST_F(SimulateVerbTest, SelectsDaysOfAPhillyTrace) {
  EXPECT_THAT(
      Simulate({"--trace=/philly.csv", "--gpus=8", "--from=2017-10-09", "--days=1", "-o", "json"}),
      IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake_.out.str(), HasSubstr("\"jobs\": 1,"));
  EXPECT_THAT(Simulate({"--trace=/philly.csv", "--gpus=8", "--from=2018-10-09"}).status().message(),
              HasSubstr("no job of the trace is left"));
}

TEST_F(SimulateVerbTest, SaysWhatTheCommandLineLacks) {
  const auto message = [&](const Arguments& arguments) {
    const absl::Status status = Simulate(arguments).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
    return std::string(status.message());
  };
  EXPECT_THAT(message({}), HasSubstr("--trace: must name a file"));
  EXPECT_THAT(message({"--trace=/jobs.trace"}), StartsWith("--throughputs: this trace needs"));
  EXPECT_THAT(message({"--trace=/philly.csv", "--days=2"}), HasSubstr("--days: needs --from"));
  EXPECT_THAT(message({"--trace=/philly.csv", "--from=monday"}),
              HasSubstr("--from: must be a day"));
  EXPECT_THAT(message({"--trace=/philly.csv", "--policy=,"}), HasSubstr("--policy: names none"));
  EXPECT_THAT(message({"--trace=/philly.csv", "--know=guessed"}), HasSubstr("--know"));
  EXPECT_THAT(message({"--trace=/philly.csv", "--gpus=0"}), HasSubstr("--gpus"));
}

TEST_F(SimulateVerbTest, NamesTheFileOfWhatIsBroken) {
  CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/bad.trace", "LM (batch size 80)\tx\n"));
  EXPECT_THAT(Simulate({"--trace=/bad.trace", "--throughputs=/speeds.json"}).status().message(),
              AllOf(HasSubstr("/bad.trace"), HasSubstr("line 1: must have 12 fields")));
  CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/bad.json", "{"));
  EXPECT_THAT(Simulate({"--trace=/jobs.trace", "--throughputs=/bad.json"}).status().message(),
              AllOf(HasSubstr("/bad.json"), HasSubstr("json")));
  CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/bad.gz", "\x1f\x8b\x08 no more"));
  EXPECT_THAT(Simulate({"--trace=/bad.gz"}).status().message(),
              AllOf(HasSubstr("/bad.gz"), HasSubstr("gzip: damaged or cut off")));
  EXPECT_THAT(Simulate({"--trace=/none.trace"}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Simulate({"--trace=/philly.csv", "--policy=lottery"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("UNKNOWN_NAME")));
}

}  // namespace
}  // namespace cvtrain::client
