#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/text.h"
#include "plan/recipe/checks.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kValueShownBytesMax = 64;

bool HasControlCharacter(absl::string_view text, bool allow_newline) {
  return std::any_of(text.begin(), text.end(), [=](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && !(allow_newline && c == '\n')) || byte == 0x7f;
  });
}

void CheckString(const std::string& text, const std::string& path, bool allow_newline,
                 Rules& rules) {
  if (text.size() > limits::kStringSizeBytesMax) {
    rules.Add(path, absl::StrCat("must be at most ", limits::kStringSizeBytesMax, " bytes"),
              absl::StrCat(text.size()));
  } else if (!IsValidUtf8(text)) {
    rules.Add(path, "must be UTF-8");
  } else if (HasControlCharacter(text, allow_newline)) {
    rules.Add(path, "must have no control characters", SafeText(text, kValueShownBytesMax));
  }
}

// One scalar, or one entry of a repeated scalar.
void CheckScalar(const Message& message, const FieldDescriptor& field, int index,
                 const std::string& path, Rules& rules) {
  const google::protobuf::Reflection& r = *message.GetReflection();
  const bool many = field.is_repeated();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    CheckString(many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field),
                path, field.name() == "description", rules);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    const double value =
        many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field);
    if (!std::isfinite(value)) rules.Add(path, "must be finite", FormatNumber(value));
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const int value =
        many ? r.GetRepeatedEnumValue(message, &field, index) : r.GetEnumValue(message, &field);
    if (field.enum_type()->FindValueByNumber(value) == nullptr) {
      rules.Add(path, "must be a known value", absl::StrCat(value));
    }
  }
}

}  // namespace

void CheckText(const Message& message, const std::string& path, Rules& rules) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string field_path =
        path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!field->is_repeated()) {
      if (is_message) {
        CheckText(reflection.GetMessage(message, field), field_path, rules);
      } else {
        CheckScalar(message, *field, 0, field_path, rules);
      }
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      const std::string entry_path = absl::StrCat(field_path, ".", i);
      if (is_message) {
        CheckText(reflection.GetRepeatedMessage(message, field, i), entry_path, rules);
      } else {
        CheckScalar(message, *field, i, entry_path, rules);
      }
    }
  }
}

}  // namespace cvtrain::plan
