#include "plan/recipe/writer.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "common/text.h"
#include "plan/recipe/schema.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsPlainCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/' ||
         c == '-' || c == '+' || c == '@' || c == '%';
}

bool IsNullWord(absl::string_view text) {
  return text == "null" || text == "Null" || text == "NULL" || text == "~";
}

// Text that YAML reads back as itself without quotes. Spaces are fine inside.
bool IsPlain(absl::string_view text) {
  if (text.empty() || IsNullWord(text)) return false;
  const auto first = static_cast<unsigned char>(text.front());
  const bool starts_plain = absl::ascii_isalnum(first) || text.front() == '/' ||
                            ((text.front() == '-' || text.front() == '.') && text.size() > 1 &&
                             absl::ascii_isdigit(static_cast<unsigned char>(text[1])));
  return starts_plain && text.back() != ' ' && std::all_of(text.begin(), text.end(), [](char c) {
           return IsPlainCharacter(c) || c == ' ';
         });
}

// EscapeText() spells what a terminal would obey the way that YAML does.
std::string TextScalar(absl::string_view text) {
  if (IsPlain(text)) return std::string(text);
  return absl::StrCat("\"", absl::StrReplaceAll(EscapeText(text), {{"\"", "\\\""}}), "\"");
}

std::string ScalarYaml(const Message& message, const FieldDescriptor& field, int index = 0) {
  const std::string text = GetScalar(message, field, index);
  return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING ? TextScalar(text) : text;
}

// A point in time or a span as people write it; empty for any other message.
std::string TimeText(const Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  const bool is_time = type == "google.protobuf.Timestamp";
  if (!is_time && type != "google.protobuf.Duration") return "";
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& fields = *message.GetDescriptor();
  const absl::Duration span =
      absl::Seconds(reflection.GetInt64(message, fields.FindFieldByName("seconds"))) +
      absl::Nanoseconds(reflection.GetInt32(message, fields.FindFieldByName("nanos")));
  return is_time ? absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", absl::UnixEpoch() + span,
                                    absl::UTCTimeZone())
                 : absl::FormatDuration(span);
}

class Writer {
 public:
  // The fields of `message`, each on lines of its own behind `indent` spaces.
  void WriteFields(const Message& message, int indent) {
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    // In order of declaration, which people read, not of number.
    std::sort(fields.begin(), fields.end(),
              [](const auto* a, const auto* b) { return a->index() < b->index(); });
    for (const FieldDescriptor* field : fields) {
      WriteField(message, *field, indent);
    }
  }

  std::string Take() { return std::move(text_); }

 private:
  void WriteField(const Message& message, const FieldDescriptor& field, int indent) {
    if (field.is_map()) {
      WriteMap(message, field, indent);
    } else if (field.is_repeated()) {
      WriteRepeated(message, field, indent);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Message& child = message.GetReflection()->GetMessage(message, &field);
      WriteChild(field.name(), child, indent);
    } else {
      Line(indent, field.name(), ScalarYaml(message, field));
    }
  }

  void WriteChild(absl::string_view key, const Message& child, int indent) {
    if (const std::string time = TimeText(child); !time.empty()) {
      Line(indent, key, TextScalar(time));
      return;
    }
    std::vector<const FieldDescriptor*> fields;
    child.GetReflection()->ListFields(child, &fields);
    Line(indent, key, fields.empty() ? "{}" : "");
    WriteFields(child, indent + 2);
  }

  void WriteRepeated(const Message& message, const FieldDescriptor& field, int indent) {
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, &field);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      std::vector<std::string> items;
      for (int i = 0; i < size; ++i) items.push_back(ScalarYaml(message, field, i));
      Line(indent, field.name(), absl::StrCat("[", absl::StrJoin(items, ", "), "]"));
      return;
    }
    Line(indent, field.name(), "");
    for (int i = 0; i < size; ++i) {
      WriteItem(reflection.GetRepeatedMessage(message, &field, i), indent + 2);
    }
  }

  // `- name: x`, then the other fields below the first.
  void WriteItem(const Message& item, int indent) {
    const size_t begin = text_.size();
    WriteFields(item, indent + 2);
    if (text_.size() == begin) {
      absl::StrAppend(&text_, std::string(static_cast<size_t>(indent), ' '), "- {}\n");
      return;
    }
    text_[begin + static_cast<size_t>(indent)] = '-';
  }

  void WriteMap(const Message& message, const FieldDescriptor& field, int indent) {
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    const FieldDescriptor& key = *field.message_type()->map_key();
    const FieldDescriptor& value = *field.message_type()->map_value();
    std::vector<std::pair<std::string, const Message*>> entries;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      entries.emplace_back(GetScalar(entry, key), &entry);
    }
    std::sort(entries.begin(), entries.end());
    Line(indent, field.name(), "");
    for (const auto& [name, entry] : entries) {
      if (value.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        WriteChild(TextScalar(name), entry->GetReflection()->GetMessage(*entry, &value),
                   indent + 2);
      } else {
        Line(indent + 2, TextScalar(name), ScalarYaml(*entry, value));
      }
    }
  }

  void Line(int indent, absl::string_view key, absl::string_view value) {
    absl::StrAppend(&text_, std::string(static_cast<size_t>(indent), ' '), key, ":",
                    value.empty() ? "" : " ", value, "\n");
  }

  std::string text_;
};

}  // namespace

std::string WriteYaml(const Message& message) {
  Writer writer;
  writer.WriteFields(message, 0);
  std::string text = writer.Take();
  return text.empty() ? "{}\n" : text;
}

}  // namespace cvtrain::plan
