#include "plan/recipe/message_reader.h"

#include <google/protobuf/descriptor.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "plan/recipe/schema.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Keys come from outside, and paths are shown to people.
std::string Join(const std::string& path, absl::string_view name) {
  const std::string safe = SafeText(name, 64);
  return path.empty() ? safe : absl::StrCat(path, ".", safe);
}

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return absl::StrCat("'", SafeText(node.text, 64), "'");
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a mapping";
  }
  return "";
}

}  // namespace

void MessageReader::Read(const YamlNode& root, Message& message) {
  if (root.kind == YamlNode::Kind::kNull) {
    Report(0, {"recipe file", "is empty", ""});
    return;
  }
  ReadMessage(root, "", message);
}

void MessageReader::ReadMessage(const YamlNode& node, const std::string& path, Message& message) {
  if (node.kind == YamlNode::Kind::kNull) return;  // `cosine:` is an empty message
  if (node.kind != YamlNode::Kind::kMap) {
    Report(node.line, {path.empty() ? "recipe file" : path, "must be a mapping", Describe(node)});
    return;
  }
  const google::protobuf::Descriptor& descriptor = *message.GetDescriptor();
  for (const YamlEntry& entry : node.entries) {
    const std::string field_path = Join(path, entry.key);
    lines_[field_path] = entry.line;
    const FieldDescriptor* field = descriptor.FindFieldByName(entry.key);
    if (field == nullptr) {
      Report(entry.line, {field_path, UnknownFieldRule(descriptor, entry.key), ""},
             IsChoice(descriptor) ? ReadProblem::Kind::kUnknownName : ReadProblem::Kind::kOther);
      continue;
    }
    if (const FieldDescriptor* other = OtherMemberSet(message, *field)) {
      Report(entry.line,
             {field_path, absl::StrCat("cannot be given together with ", other->name()), ""});
      continue;
    }
    ReadField(entry.value, field_path, *field, message);
  }
}

void MessageReader::ReadField(const YamlNode& node, const std::string& path,
                              const FieldDescriptor& field, Message& message) {
  if (field.is_map()) {
    ReadMap(node, path, field, message);
  } else if (field.is_repeated()) {
    ReadRepeated(node, path, field, message);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    ReadMessage(node, path, *message.GetReflection()->MutableMessage(&message, &field));
  } else {
    ReadScalar(node, path, field, message);
  }
}

void MessageReader::ReadRepeated(const YamlNode& node, const std::string& path,
                                 const FieldDescriptor& field, Message& message) {
  if (node.kind != YamlNode::Kind::kSequence) {
    Report(node.line, {path, "must be a list", Describe(node)});
    return;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string item_path = absl::StrCat(path, ".", i);
    lines_[item_path] = item.line;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      ReadMessage(item, item_path, *message.GetReflection()->AddMessage(&message, &field));
    } else {
      ReadScalar(item, item_path, field, message);
    }
  }
}

void MessageReader::ReadMap(const YamlNode& node, const std::string& path,
                            const FieldDescriptor& field, Message& message) {
  if (node.kind == YamlNode::Kind::kNull) return;
  if (node.kind != YamlNode::Kind::kMap) {
    Report(node.line, {path, "must be a mapping", Describe(node)});
    return;
  }
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  for (const YamlEntry& entry : node.entries) {
    const std::string entry_path = Join(path, entry.key);
    lines_[entry_path] = entry.line;
    Message& pair = *message.GetReflection()->AddMessage(&message, &field);
    if (const auto problem = SetScalar(key, {.text = entry.key}, pair)) {
      Report(entry.line, {entry_path, absl::StrCat("the key ", problem->rule), ""});
    }
    ReadField(entry.value, entry_path, value, pair);
  }
}

void MessageReader::ReadScalar(const YamlNode& node, const std::string& path,
                               const FieldDescriptor& field, Message& message) {
  std::optional<ScalarProblem> problem;
  if (node.kind == YamlNode::Kind::kScalar) {
    problem = SetScalar(field, {.text = node.text, .is_quoted = node.is_quoted}, message);
  } else if (node.kind == YamlNode::Kind::kNull) {
    problem = ScalarProblem{"must have a value"};
  } else {
    problem = ScalarProblem{"must be a single value"};
  }
  if (problem) {
    Report(node.line, {path, problem->rule, Describe(node)},
           problem->is_unknown_name ? ReadProblem::Kind::kUnknownName : ReadProblem::Kind::kOther);
  }
}

void MessageReader::Report(int line, FieldViolation violation, ReadProblem::Kind kind) {
  problems_.push_back({std::move(violation), line, kind});
}

}  // namespace cvtrain::plan
