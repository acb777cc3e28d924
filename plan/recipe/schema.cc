#include "plan/recipe/schema.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// A value of any scalar type of the wire.
using Scalar = std::variant<bool, int32_t, int64_t, uint32_t, uint64_t, float, double, std::string,
                            const EnumValueDescriptor*>;

constexpr size_t kFieldsListedMax = 12;

// Sizes of numbers that people write without an exponent.

// The part that all values of an enum begin with: that of its zero value before
// `UNSPECIFIED`.
absl::string_view EnumPrefix(const EnumDescriptor& descriptor) {
  absl::string_view zero = descriptor.value(0)->name();
  const size_t end = zero.rfind("UNSPECIFIED");
  return end == absl::string_view::npos ? absl::string_view() : zero.substr(0, end);
}

bool IsIntegerText(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
}

template <typename Integer>
std::optional<ScalarProblem> ParseInteger(const ScalarText& value, Scalar& scalar) {
  if (value.is_quoted || !IsIntegerText(value.text)) {
    return ScalarProblem{"must be an integer"};
  }
  absl::string_view digits = value.text;
  if (digits[0] == '+') digits.remove_prefix(1);
  Integer parsed = 0;
  if (!absl::SimpleAtoi(digits, &parsed)) {
    return ScalarProblem{absl::StrCat("must be in [", std::numeric_limits<Integer>::min(), ", ",
                                      std::numeric_limits<Integer>::max(), "]")};
  }
  scalar = parsed;
  return std::nullopt;
}

std::optional<ScalarProblem> ParseNumber(const ScalarText& value, double& parsed) {
  const std::string lower = absl::AsciiStrToLower(value.text);
  absl::string_view word = lower;
  if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.remove_prefix(1);
  if (!word.empty() && word[0] == '.') word.remove_prefix(1);
  if (!value.is_quoted && (word == "nan" || word == "inf" || word == "infinity")) {
    return ScalarProblem{"must be finite"};
  }
  if (value.is_quoted || value.text.empty() ||
      value.text.find_first_not_of("0123456789+-.eE") != absl::string_view::npos ||
      !absl::SimpleAtod(value.text, &parsed)) {
    return ScalarProblem{"must be a number"};
  }
  if (!std::isfinite(parsed)) {
    return ScalarProblem{"must be finite"};
  }
  return std::nullopt;
}

std::optional<ScalarProblem> ParseBool(const ScalarText& value, Scalar& scalar) {
  if (value.is_quoted || (value.text != "true" && value.text != "false")) {
    return ScalarProblem{"must be true or false"};
  }
  scalar = value.text == "true";
  return std::nullopt;
}

std::optional<ScalarProblem> ParseEnum(const EnumDescriptor& descriptor, const ScalarText& value,
                                       Scalar& scalar) {
  for (int i = 0; i < descriptor.value_count(); ++i) {
    const EnumValueDescriptor* candidate = descriptor.value(i);
    if (candidate->number() != 0 && EnumText(*candidate) == value.text) {
      scalar = candidate;
      return std::nullopt;
    }
  }
  const std::vector<std::string> texts = EnumTexts(descriptor);
  return ScalarProblem{absl::StrCat("must be one of ", absl::StrJoin(texts, ", "),
                                    DidYouMean(NearestNames(value.text, texts, 1))),
                       true};
}

std::optional<ScalarProblem> ParseScalar(const FieldDescriptor& field, const ScalarText& value,
                                         Scalar& scalar) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return ParseInteger<int32_t>(value, scalar);
    case FieldDescriptor::CPPTYPE_INT64:
      return ParseInteger<int64_t>(value, scalar);
    case FieldDescriptor::CPPTYPE_UINT32:
      return ParseInteger<uint32_t>(value, scalar);
    case FieldDescriptor::CPPTYPE_UINT64:
      return ParseInteger<uint64_t>(value, scalar);
    case FieldDescriptor::CPPTYPE_BOOL:
      return ParseBool(value, scalar);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ParseEnum(*field.enum_type(), value, scalar);
    case FieldDescriptor::CPPTYPE_STRING:
      scalar = std::string(value.text);
      return std::nullopt;
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double parsed = 0;
      std::optional<ScalarProblem> problem = ParseNumber(value, parsed);
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        scalar = parsed;
      } else {
        scalar = static_cast<float>(parsed);
      }
      return problem;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return ScalarProblem{"must be a mapping"};
}

// Stores a scalar in one of three ways, by a reflection call for its type.
struct Storer {
  enum class How { kSet, kAdd, kSetEntry };

  Message& message;
  const FieldDescriptor& field;
  How how;
  int index = 0;

  template <typename T, typename SetT, typename AddT, typename SetEntryT>
  void Store(T value, SetT set, AddT add, SetEntryT set_entry) const {
    const Reflection& reflection = *message.GetReflection();
    switch (how) {
      case How::kSet:
        (reflection.*set)(&message, &field, std::move(value));
        return;
      case How::kAdd:
        (reflection.*add)(&message, &field, std::move(value));
        return;
      case How::kSetEntry:
        (reflection.*set_entry)(&message, &field, index, std::move(value));
        return;
    }
  }

  using R = Reflection;
  void operator()(bool v) const { Store(v, &R::SetBool, &R::AddBool, &R::SetRepeatedBool); }
  void operator()(int32_t v) const { Store(v, &R::SetInt32, &R::AddInt32, &R::SetRepeatedInt32); }
  void operator()(int64_t v) const { Store(v, &R::SetInt64, &R::AddInt64, &R::SetRepeatedInt64); }
  void operator()(uint32_t v) const {
    Store(v, &R::SetUInt32, &R::AddUInt32, &R::SetRepeatedUInt32);
  }
  void operator()(uint64_t v) const {
    Store(v, &R::SetUInt64, &R::AddUInt64, &R::SetRepeatedUInt64);
  }
  void operator()(float v) const { Store(v, &R::SetFloat, &R::AddFloat, &R::SetRepeatedFloat); }
  void operator()(double v) const { Store(v, &R::SetDouble, &R::AddDouble, &R::SetRepeatedDouble); }
  void operator()(const std::string& v) const {
    Store(v, &R::SetString, &R::AddString, &R::SetRepeatedString);
  }
  void operator()(const EnumValueDescriptor* v) const {
    Store(v, &R::SetEnum, &R::AddEnum, &R::SetRepeatedEnum);
  }
};

}  // namespace

std::vector<std::string> FieldNames(const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) {
    names.push_back(descriptor.field(i)->name());
  }
  return names;
}

std::string EnumText(const EnumValueDescriptor& value) {
  absl::string_view name = value.name();
  name.remove_prefix(EnumPrefix(*value.type()).size());
  return absl::AsciiStrToLower(name);
}

std::vector<std::string> EnumTexts(const EnumDescriptor& descriptor) {
  std::vector<std::string> texts;
  for (int i = 0; i < descriptor.value_count(); ++i) {
    if (descriptor.value(i)->number() != 0) texts.push_back(EnumText(*descriptor.value(i)));
  }
  return texts;
}

bool IsChoice(const Descriptor& descriptor) { return descriptor.real_oneof_decl_count() > 0; }

std::string UnknownFieldRule(const Descriptor& descriptor, absl::string_view name) {
  const std::vector<std::string> names = FieldNames(descriptor);
  const std::vector<std::string> nearest = NearestNames(name, names);
  const char* what = IsChoice(descriptor) ? "unknown name" : "unknown field";
  if (!nearest.empty() || names.size() > kFieldsListedMax) {
    return absl::StrCat(what, DidYouMean(nearest));
  }
  return absl::StrCat(what, " (known: ", absl::StrJoin(names, ", "), ")");
}

const FieldDescriptor* OtherMemberSet(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::OneofDescriptor* oneof = field.real_containing_oneof();
  if (oneof == nullptr) return nullptr;
  const FieldDescriptor* set = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  return set == &field ? nullptr : set;
}

std::optional<ScalarProblem> SetScalar(const FieldDescriptor& field, const ScalarText& value,
                                       Message& message) {
  Scalar scalar;
  if (std::optional<ScalarProblem> problem = ParseScalar(field, value, scalar)) return problem;
  const Storer::How how = field.is_repeated() ? Storer::How::kAdd : Storer::How::kSet;
  std::visit(Storer{message, field, how}, scalar);
  return std::nullopt;
}

std::optional<ScalarProblem> SetRepeatedScalar(const FieldDescriptor& field, int index,
                                               const ScalarText& value, Message& message) {
  Scalar scalar;
  if (std::optional<ScalarProblem> problem = ParseScalar(field, value, scalar)) return problem;
  std::visit(Storer{message, field, Storer::How::kSetEntry, index}, scalar);
  return std::nullopt;
}

std::string GetScalar(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(many ? r.GetRepeatedInt32(message, &field, index)
                               : r.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(many ? r.GetRepeatedInt64(message, &field, index)
                               : r.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(many ? r.GetRepeatedUInt32(message, &field, index)
                               : r.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(many ? r.GetRepeatedUInt64(message, &field, index)
                               : r.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return FormatNumber(many ? r.GetRepeatedFloat(message, &field, index)
                               : r.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return FormatNumber(many ? r.GetRepeatedDouble(message, &field, index)
                               : r.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(many ? *r.GetRepeatedEnum(message, &field, index)
                           : *r.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  CVT_CHECK(false) << field.full_name() << " is not a scalar";
  return "";
}

}  // namespace cvtrain::plan
