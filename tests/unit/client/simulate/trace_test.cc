// Readers of traces: what they read, and what each broken field gets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/simulate/philly_trace.h"
#include "client/simulate/shockwave_trace.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> GoodFields() {
  return {"LM (batch size 10)",
          "python3 main.py",
          "language_modeling",
          "--steps",
          "1",
          "134583",
          "2",
          "gns",
          "1",
          "-1.0",
          "1418",
          "55"};
}

std::string Line(const std::vector<std::string>& fields) {
  return absl::StrCat(absl::StrJoin(fields, "\t"), "\n");
}

TEST(ShockwaveTraceTest, ReadsALine) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto jobs, ReadShockwaveTrace(Line(GoodFields()) + "\n\r\n"));
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].line, 1u);
  EXPECT_EQ(jobs[0].model, TraceModel::kLanguageModel);
  EXPECT_EQ(jobs[0].mode, BatchMode::kNoiseScale);
  EXPECT_EQ(jobs[0].batch_size, 10);
  EXPECT_EQ(jobs[0].steps, 134583);
  EXPECT_EQ(jobs[0].gpus, 2);
  EXPECT_EQ(jobs[0].weight, 1);
  EXPECT_EQ(jobs[0].arrival_seconds, 55);
}

struct BrokenField {
  size_t index;
  const char* value;
  const char* name;
};

TEST(ShockwaveTraceTest, NamesLineFieldAndRuleOfWhatIsBroken) {
  const BrokenField kBroken[] = {
      {0, "", "type"},
      {0, "LM", "type"},
      {0, "LM (batch size 0)", "type"},
      {0, "LM (batch size -1)", "type"},
      {0, "LM (batch size 1e9)", "type"},
      {0, "GPT (batch size 8)", "type"},
      {5, "", "total steps"},
      {5, "0", "total steps"},
      {5, "-3", "total steps"},
      {5, "1.5", "total steps"},
      {5, "99999999999999999999", "total steps"},
      {6, "0", "gpus"},
      {6, "1025", "gpus"},
      {6, "two", "gpus"},
      {7, "", "mode"},
      {7, "GNS", "mode"},
      {8, "0", "weight"},
      {8, "nan", "weight"},
      {8, "-1", "weight"},
      {10, "", "duration"},
      {10, "inf", "duration"},
      {10, "-1", "duration"},
      {11, "", "arrival"},
      {11, "-1", "arrival"},
      {11, "nan", "arrival"},
      {11, "soon\x1b[2J", "arrival"},
  };
  for (const BrokenField& broken : kBroken) {
    std::vector<std::string> fields = GoodFields();
    fields[broken.index] = broken.value;
    const absl::Status status = ReadShockwaveTrace(Line(GoodFields()) + Line(fields)).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")))
        << broken.name << " " << broken.value;
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(absl::StrCat("line 2, ", broken.name, ": must be ")),
                      HasSubstr("got "), Not(HasSubstr("\x1b"))));
  }
}

TEST(ShockwaveTraceTest, RefusesOtherNumbersOfFieldsAndNoJobs) {
  std::vector<std::string> fields = GoodFields();
  fields.pop_back();
  EXPECT_THAT(ReadShockwaveTrace(Line(fields)).status().message(),
              HasSubstr("line 1: must have 12 fields separated by tabs, has 11"));
  EXPECT_THAT(ReadShockwaveTrace("\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
}

TEST(ShockwaveTraceTest, RefusesArrivalsOutOfOrder) {
  std::vector<std::string> earlier = GoodFields();
  earlier.back() = "54";
  EXPECT_THAT(ReadShockwaveTrace(Line(GoodFields()) + Line(earlier)).status().message(),
              HasSubstr("line 2, arrival: must not be before"));
}

TEST(ThroughputsTest, ReadsWhatJobsMakeAlone) {
  CVT_ASSERT_OK_AND_ASSIGN(const Throughputs throughputs,
                           Throughputs::Parse(R"json({"k80": {}, "v100": {
          "('LM (batch size 10)', 2)": {"null": 12.5, "('LM (batch size 5)', 2)": [1, 2]},
          "('LM (batch size 320)', 1)": {"null": 0.0},
          "('A3C', 1)": {"null": 3}}})json"));
  EXPECT_EQ(throughputs.StepsPerSecond(TraceModel::kLanguageModel, 10, 2), 12.5);
  EXPECT_EQ(throughputs.StepsPerSecond(TraceModel::kLanguageModel, 10, 1), 0);
  EXPECT_EQ(throughputs.StepsPerSecond(TraceModel::kLanguageModel, 320, 1), 0);
}

TEST(ThroughputsTest, NamesTheEntryThatIsBroken) {
  for (const char* json : {
           "",
           "[]",
           "{}",
           R"json({"v100": []})json",
           R"json({"v100": {"LM (batch size 10)": {"null": 1}}})json",
           R"json({"v100": {"('LM (batch size 10)', 0)": {"null": 1}}})json",
           R"json({"v100": {"('LM (batch size 10)', 1)": {}}})json",
           R"json({"v100": {"('LM (batch size 10)', 1)": {"null": "fast"}}})json",
           R"json({"v100": {"('LM (batch size 10)', 1)": {"null": -1}}})json",
           R"json({"v100": {"('LM (batch size 10)', 1)": {"null": NaN}}})json",
           R"json({"v100": {"('LM (batch size 10)', 1)": {"null": 1e-9}}})json",
       }) {
    EXPECT_THAT(Throughputs::Parse(json),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")))
        << json;
  }
  EXPECT_THAT(Throughputs::Parse(R"json({"v100": {"('LM (batch size 10)', 1)": {}}})json")
                  .status()
                  .message(),
              HasSubstr("('LM (batch size 10)', 1): must have a member null"));
}

constexpr char kHeader[] = "timestamp,duration,num_gpus,gpu_time,cluster\n";

std::vector<std::string> GoodRow() {
  return {"2017-10-09 07:01:55", "66.0", "1", "66.0", "11cb48"};
}

std::string Row(const std::vector<std::string>& fields) {
  return absl::StrCat(absl::StrJoin(fields, ","), "\n");
}

TEST(PhillyTraceTest, ReadsARow) {
  const std::string text = kHeader + Row(GoodRow()) + "\n";
  EXPECT_TRUE(IsPhillyTrace(text));
  EXPECT_FALSE(IsPhillyTrace(Line(GoodFields())));
  CVT_ASSERT_OK_AND_ASSIGN(const auto jobs, ReadPhillyTrace(text));
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].line, 2u);
  EXPECT_EQ(jobs[0].submitted,
            absl::FromCivil(absl::CivilSecond(2017, 10, 9, 7, 1, 55), absl::UTCTimeZone()));
  EXPECT_EQ(jobs[0].duration_seconds, 66);
  EXPECT_EQ(jobs[0].gpus, 1);
}

TEST(PhillyTraceTest, NamesLineFieldAndRuleOfWhatIsBroken) {
  const BrokenField kBroken[] = {
      {0, "", "timestamp"},
      {0, "yesterday", "timestamp"},
      {0, "2017-13-09 07:01:55", "timestamp"},
      {1, "", "duration"},
      {1, "-1", "duration"},
      {1, "nan", "duration"},
      {1, "1e10", "duration"},
      {2, "0", "num_gpus"},
      {2, "1.5", "num_gpus"},
      {2, "", "num_gpus"},
      {3, "", "gpu_time"},
      {3, "x", "gpu_time"},
      {4, "", "cluster"},
  };
  for (const BrokenField& broken : kBroken) {
    std::vector<std::string> fields = GoodRow();
    fields[broken.index] = broken.value;
    const absl::Status status = ReadPhillyTrace(kHeader + Row(GoodRow()) + Row(fields)).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
    EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("line 3, ", broken.name, ": must be ")))
        << broken.value;
  }
}

TEST(PhillyTraceTest, RefusesAnotherHeaderOtherColumnsAndBadQuotes) {
  EXPECT_THAT(ReadPhillyTrace("time,duration\n").status().message(), HasSubstr("line 1: must be"));
  EXPECT_THAT(
      ReadPhillyTrace(std::string(kHeader) + "2017-10-09 07:01:55,66.0\n").status().message(),
      HasSubstr("line 2: must have 5 columns, has 2"));
  EXPECT_THAT(ReadPhillyTrace(std::string(kHeader) + "\"2017"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD")));
}

TEST(SelectJobsTest, KeepsThoseThatCountBySubmission) {
  const absl::Time day = absl::FromCivil(absl::CivilDay(2017, 10, 9), absl::UTCTimeZone());
  const auto at = [&](int hours, double seconds, int gpus) {
    PhillyJob job;
    job.submitted = day + absl::Hours(hours);
    job.duration_seconds = seconds;
    job.gpus = gpus;
    return job;
  };
  const std::vector<PhillyJob> jobs = {at(5, 60, 1), at(0, 60, 1),  at(-1, 60, 1),  at(24, 60, 1),
                                       at(1, 59, 1), at(1, 60, 65), at(1, 3600, 10)};
  PhillySelection selection;
  selection.from = day;
  selection.until = day + absl::Hours(24);
  selection.duration_seconds_min = 60;
  selection.gpus_max = 64;
  selection.gpu_hours_below = 10;
  const std::vector<PhillyJob> selected = SelectJobs(jobs, selection);
  ASSERT_THAT(selected, SizeIs(2));
  EXPECT_EQ(selected[0].submitted, day);
  EXPECT_EQ(selected[1].submitted, day + absl::Hours(5));
}

}  // namespace
}  // namespace cvtrain::client
