// Machine-readable forms of client/view/show.h.
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "client/view/show.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "plan/recipe/writer.h"

namespace cvtrain::client {

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

std::string YamlText(const google::protobuf::Message& message) { return plan::WriteYaml(message); }

}  // namespace cvtrain::client
