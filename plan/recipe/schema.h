#ifndef CVTRAIN_PLAN_RECIPE_SCHEMA_H_
#define CVTRAIN_PLAN_RECIPE_SCHEMA_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cvtrain::plan {

// How the values of a proto are spelled as text, by its descriptors. Internal to
// the folder. Pure functions; thread-safe.

// Names of all fields, in order of declaration.
std::vector<std::string> FieldNames(const google::protobuf::Descriptor& descriptor);

// `max` for MODE_MAX.
std::string EnumText(const google::protobuf::EnumValueDescriptor& value);

// Spellings of all values but _UNSPECIFIED.
std::vector<std::string> EnumTexts(const google::protobuf::EnumDescriptor& descriptor);

// A message that is a choice: it has a oneof, whose members people name.
bool IsChoice(const google::protobuf::Descriptor& descriptor);

// "unknown field (did you mean epochs?)", or with all fields where none is near.
std::string UnknownFieldRule(const google::protobuf::Descriptor& descriptor,
                             absl::string_view name);

// The member of the oneof of `field` that is set, if it is another one.
const google::protobuf::FieldDescriptor* OtherMemberSet(
    const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

struct ScalarText {
  absl::string_view text;
  // Quoted text is never a number, a boolean or an enum value.
  bool is_quoted = false;
};

struct ScalarProblem {
  std::string rule;
  // The text is no member of a closed vocabulary.
  bool is_unknown_name = false;
};

// Sets `field`, which is not a message, or appends to it if it is repeated.
// Returns what is wrong with `value`, in which case nothing is changed.
std::optional<ScalarProblem> SetScalar(const google::protobuf::FieldDescriptor& field,
                                       const ScalarText& value, google::protobuf::Message& message);

// The same for the entry `index` of a repeated field.
std::optional<ScalarProblem> SetRepeatedScalar(const google::protobuf::FieldDescriptor& field,
                                               int index, const ScalarText& value,
                                               google::protobuf::Message& message);

// The value as SetScalar() takes it, without quotes. `index` is that of the entry
// of a repeated field.
std::string GetScalar(const google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field, int index = 0);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_SCHEMA_H_
