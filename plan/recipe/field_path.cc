#include "plan/recipe/field_path.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <limits>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "plan/recipe/schema.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kNoIndex = -1;

// One field on the way, with the index of its entry if it is repeated.
struct Step {
  const FieldDescriptor* field;
  int index = kNoIndex;
};

absl::Status Invalid(absl::string_view path, absl::string_view rule) {
  return InvalidArgument(Reason::kFieldInvalid, absl::StrCat(SafeText(path), ": ", rule));
}

// The fields that `path` goes through; the last one is a scalar.
absl::StatusOr<std::vector<Step>> ParsePath(const Descriptor& root, absl::string_view path) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  if (names.size() > limits::kRecipeDepthMax) return Invalid(path, "is too deep");
  std::vector<Step> steps;
  const Descriptor* descriptor = &root;
  for (size_t i = 0; i < names.size(); ++i) {
    if (descriptor == nullptr) return Invalid(path, "goes on behind a single value");
    const FieldDescriptor* field = descriptor->FindFieldByName(names[i]);
    if (field == nullptr) {
      const std::string so_far =
          absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i) + 1, ".");
      return InvalidArgument(
          Reason::kUnknownName,
          absl::StrCat(SafeText(so_far), ": ", UnknownFieldRule(*descriptor, names[i])));
    }
    if (field->is_map()) return Invalid(path, "goes through a map: set it in the recipe");
    Step step{field};
    if (field->is_repeated()) {
      if (i + 1 == names.size() || !absl::SimpleAtoi(names[i + 1], &step.index) || step.index < 0) {
        return Invalid(path, "is a list: an index must follow");
      }
      ++i;
    }
    steps.push_back(step);
    descriptor = field->message_type();  // nullptr for a scalar
  }
  if (descriptor != nullptr) return Invalid(path, "is no single value but a group of fields");
  return steps;
}

FieldType TypeOf(const FieldDescriptor& field) {
  using Kind = FieldType::Kind;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return {Kind::kInteger,
              std::numeric_limits<int32_t>::min(),
              std::numeric_limits<int32_t>::max(),
              {}};
    case FieldDescriptor::CPPTYPE_INT64:
      return {Kind::kInteger,
              std::numeric_limits<int64_t>::min(),
              std::numeric_limits<int64_t>::max(),
              {}};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {Kind::kInteger, 0, std::numeric_limits<uint32_t>::max(), {}};
    case FieldDescriptor::CPPTYPE_UINT64:
      return {Kind::kInteger, 0, std::numeric_limits<uint64_t>::max(), {}};
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {Kind::kNumber, 0, 0, {}};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {Kind::kBool, 0, 0, {}};
    case FieldDescriptor::CPPTYPE_ENUM:
      return {Kind::kEnum, 0, 0, EnumTexts(*field.enum_type())};
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return {};
}

bool IsIndexInRange(const Message& message, const Step& step) {
  return !step.field->is_repeated() ||
         step.index < message.GetReflection()->FieldSize(message, step.field);
}

// One step of reading; nullptr where the index is out of range.
const Message* Descend(const Message& message, const Step& step) {
  const Reflection& reflection = *message.GetReflection();
  if (!step.field->is_repeated()) return &reflection.GetMessage(message, step.field);
  if (!IsIndexInRange(message, step)) return nullptr;
  return &reflection.GetRepeatedMessage(message, step.field, step.index);
}

// Whether the path can be set, before anything is.
absl::Status CheckPath(const Message& root, const std::vector<Step>& steps,
                       absl::string_view path) {
  const Message* message = &root;
  for (const Step& step : steps) {
    if (const FieldDescriptor* other = OtherMemberSet(*message, *step.field)) {
      return Invalid(path, absl::StrCat("cannot be set: the recipe has ", other->name(), ", not ",
                                        step.field->name()));
    }
    if (!IsIndexInRange(*message, step)) {
      return Invalid(path, absl::StrCat("has no entry ", step.index));
    }
    if (&step != &steps.back()) message = Descend(*message, step);
  }
  return absl::OkStatus();
}

std::optional<ScalarProblem> Store(Message& message, const Step& step, absl::string_view text) {
  const ScalarText value{.text = text};
  return step.field->is_repeated() ? SetRepeatedScalar(*step.field, step.index, value, message)
                                   : SetScalar(*step.field, value, message);
}

}  // namespace

std::string ToString(const FieldType& type) {
  switch (type.kind) {
    case FieldType::Kind::kNumber:
      return "a number";
    case FieldType::Kind::kInteger:
      return "an integer";
    case FieldType::Kind::kEnum:
      return absl::StrCat("one of ", absl::StrJoin(type.enum_values, ", "));
    case FieldType::Kind::kBool:
      return "true or false";
    case FieldType::Kind::kText:
      break;
  }
  return "text";
}

absl::StatusOr<FieldType> TypeOfField(const Descriptor& descriptor, absl::string_view path) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Step> steps, ParsePath(descriptor, path));
  return TypeOf(*steps.back().field);
}

absl::Status SetField(Message* message, absl::string_view path, absl::string_view text) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Step> steps, ParsePath(*message->GetDescriptor(), path));
  CVT_RETURN_IF_ERROR(CheckPath(*message, steps, path));

  // The value is tried on a message of its own, so that a bad one leaves no
  // empty messages behind on the way.
  const Step& last = steps.back();
  const google::protobuf::Message* prototype =
      message->GetReflection()->GetMessageFactory()->GetPrototype(last.field->containing_type());
  const std::unique_ptr<Message> scratch(prototype->New());
  if (const auto problem = SetScalar(*last.field, {.text = text}, *scratch)) {
    return Invalid(path, absl::StrCat(problem->rule, ", got '", SafeText(text, 64), "'"));
  }
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const Reflection& reflection = *message->GetReflection();
    const Step& step = steps[i];
    message = step.field->is_repeated()
                  ? reflection.MutableRepeatedMessage(message, step.field, step.index)
                  : reflection.MutableMessage(message, step.field);
  }
  CVT_CHECK(!Store(*message, last, text)) << path;
  return absl::OkStatus();
}

absl::StatusOr<std::string> GetField(const Message& root, absl::string_view path) {
  CVT_ASSIGN_OR_RETURN(const std::vector<Step> steps, ParsePath(*root.GetDescriptor(), path));
  const Message* message = &root;
  for (size_t i = 0; i + 1 < steps.size() && message != nullptr; ++i) {
    message = Descend(*message, steps[i]);
  }
  const Step& last = steps.back();
  if (message == nullptr || !IsIndexInRange(*message, last)) {
    return Invalid(path, "has no such entry");
  }
  return GetScalar(*message, *last.field, last.field->is_repeated() ? last.index : 0);
}

bool HasField(const Message& root, absl::string_view path) {
  const absl::StatusOr<std::vector<Step>> steps = ParsePath(*root.GetDescriptor(), path);
  if (!steps.ok()) return false;
  const Message* message = &root;
  for (const Step& step : *steps) {
    if (!IsIndexInRange(*message, step)) return false;
    if (!step.field->is_repeated() && !message->GetReflection()->HasField(*message, step.field)) {
      return false;
    }
    if (&step != &steps->back()) message = Descend(*message, step);
  }
  return true;
}

}  // namespace cvtrain::plan
