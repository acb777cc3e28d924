#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "client/view/show.h"
#include "common/errors.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

// Reads JSON as any program would.
google::protobuf::Struct Parse(const std::string& json) {
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

TEST(MachineTest, KnowsTheFormatsOfOutput) {
  EXPECT_THAT(ParseOutputFormat("yaml"), testing::IsOkAndHolds(OutputFormat::kYaml));
  EXPECT_THAT(ParseOutputFormat("xml"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::Reason("USAGE")));
}

TEST(MachineTest, JsonHasTheFieldNamesOfTheProtos) {
  EXPECT_THAT(JsonText(RunningTrial()), HasSubstr("\"best_objective\": 87.92"));
}

TEST(MachineTest, YamlHasTimesAsRfc3339) {
  v1::Trial trial = RunningTrial();
  trial.mutable_start_time()->set_seconds(1'714'521'541);
  trial.mutable_start_time()->set_nanos(250'000'000);
  const std::string yaml = YamlText(trial);
  EXPECT_THAT(yaml, HasSubstr("create_time: \"2024-04-30T23:59:00Z\"\n"));
  EXPECT_THAT(yaml, HasSubstr("start_time: \"2024-04-30T23:59:01.25Z\"\n"));
  EXPECT_THAT(yaml, HasSubstr("eta: 12m5s\n"));
}

TEST(MachineTest, MetricsJsonHasAnObjectForEachTrial) {
  std::map<std::string, SeriesMap> trials;
  for (const char* trial : {"experiments/1/trials/1", "experiments/1/trials/2"}) {
    v1::MetricSeries& series = trials[trial]["loss"];
    series.set_metric("loss");
    series.add_steps(1);
    series.add_values(trial[21] == '1' ? 0.5 : 0.25);
  }
  const auto parsed = Parse(MetricsJson(trials));
  const auto& list = parsed.fields().at("trials").list_value();
  ASSERT_EQ(list.values_size(), 2);
  const auto& second = list.values(1).struct_value().fields();
  EXPECT_EQ(second.at("trial").string_value(), "experiments/1/trials/2");
  const auto& series = second.at("series").list_value().values(0).struct_value().fields();
  EXPECT_EQ(series.at("metric").string_value(), "loss");
  EXPECT_EQ(series.at("values").list_value().values(0).number_value(), 0.25);
}

TEST(MachineTest, ErrorJsonHasCodeReasonMessageAndViolations) {
  const auto parsed = Parse(ErrorJson(
      FieldViolations({{.field = "recipe.epochs", .rule = "must be positive", .value = "\"0\"\n"}},
                      Reason::kRecipeInvalid)));
  const auto& fields = parsed.fields();
  EXPECT_EQ(fields.at("code").string_value(), "INVALID_ARGUMENT");
  EXPECT_EQ(fields.at("reason").string_value(), "RECIPE_INVALID");
  EXPECT_EQ(fields.at("exit_code").number_value(), 3);
  EXPECT_THAT(fields.at("message").string_value(), HasSubstr("recipe.epochs"));
  const auto& violation = fields.at("violations").list_value().values(0).struct_value().fields();
  EXPECT_EQ(violation.at("field").string_value(), "recipe.epochs");
  EXPECT_EQ(violation.at("rule").string_value(), "must be positive");
  EXPECT_EQ(violation.at("value").string_value(), "\"0\"\n");
}

TEST(MachineTest, ErrorJsonNamesTheLimit) {
  const auto parsed = Parse(ErrorJson(LimitExceeded("slots_per_trial_max", "too many")));
  EXPECT_EQ(parsed.fields().at("limit").string_value(), "slots_per_trial_max");
}

TEST(MachineTest, ErrorJsonTakesTextThatIsNotUtf8) {
  const auto parsed = Parse(ErrorJson(InvalidArgument(Reason::kUsage, "bad \xff id")));
  EXPECT_EQ(parsed.fields().at("message").string_value(), "bad \\xff id");
}

}  // namespace
}  // namespace cvtrain::client
