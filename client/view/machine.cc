// Machine-readable forms of client/view/show.h.
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/view/show.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "plan/recipe/writer.h"

namespace cvtrain::client {
namespace {

// Quoted. Messages may carry what somebody typed, which need not be UTF-8.
std::string JsonString(absl::string_view text) {
  google::protobuf::StringValue value;
  value.set_value(IsValidUtf8(text) ? std::string(text) : EscapeText(text));
  std::string json;
  CVT_CHECK(google::protobuf::util::MessageToJsonString(value, &json).ok()) << "a bad string";
  return json;
}

}  // namespace

absl::StatusOr<OutputFormat> ParseOutputFormat(const std::string& text) {
  if (text == "table" || text.empty()) return OutputFormat::kTable;
  if (text == "wide") return OutputFormat::kWide;
  if (text == "json") return OutputFormat::kJson;
  if (text == "yaml") return OutputFormat::kYaml;
  if (text == "name") return OutputFormat::kName;
  return InvalidArgument(
      Reason::kUsage,
      absl::StrCat("--output: must be table, wide, json, yaml or name, got ", text));
}

std::string JsonText(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  CVT_CHECK(google::protobuf::util::MessageToJsonString(message, &text, options).ok())
      << "a message that cannot be JSON: " << message.GetTypeName();
  return text;
}

std::string MetricsJson(const std::map<std::string, SeriesMap>& trials) {
  std::vector<std::string> objects;
  for (const auto& [trial, all] : trials) {
    const std::string series = absl::StrJoin(all, ",", [](std::string* out, const auto& entry) {
      absl::StrAppend(out, JsonText(entry.second));
    });
    objects.push_back(
        absl::StrCat("{\"trial\": ", JsonString(trial), ", \"series\": [", series, "]}"));
  }
  return absl::StrCat("{\"trials\": [", absl::StrJoin(objects, ",\n"), "]}\n");
}

std::string ErrorJson(const absl::Status& status) {
  const std::string violations = absl::StrJoin(
      FieldViolationsOf(status), ", ", [](std::string* out, const FieldViolation& violation) {
        absl::StrAppend(out, "{\"field\": ", JsonString(violation.field),
                        ", \"rule\": ", JsonString(violation.rule),
                        ", \"value\": ", JsonString(violation.value), "}");
      });
  return absl::StrCat("{\"code\": ", JsonString(absl::StatusCodeToString(status.code())),
                      ", \"reason\": ", JsonString(ReasonNameOf(status)),
                      ", \"message\": ", JsonString(status.message()),
                      ", \"exit_code\": ", static_cast<int>(ExitCodeFor(status)),
                      ", \"limit\": ", JsonString(LimitNameOf(status)), ", \"violations\": [",
                      violations, "]}\n");
}

std::string YamlText(const google::protobuf::Message& message) { return plan::WriteYaml(message); }

}  // namespace cvtrain::client
