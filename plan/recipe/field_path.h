#ifndef CVTRAIN_PLAN_RECIPE_FIELD_PATH_H_
#define CVTRAIN_PLAN_RECIPE_FIELD_PATH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace cvtrain::plan {

// Single scalar fields by path, such as
// `recipe.augmentation.range_augment.target_psnr.end`, with values spelled as in
// YAML. A step into a list is the index of an entry that exists:
// `recipe.model.small_resnet.widths.0`. Pure functions; thread-safe.

struct FieldType {
  enum class Kind { kNumber, kInteger, kEnum, kBool, kText };
  Kind kind = Kind::kText;
  // Of the wire type, for integers.
  int64_t integer_min = 0;
  uint64_t integer_max = 0;
  // Spelled as in YAML, for enums.
  std::vector<std::string> enum_values;
};

// "a number", "an integer", "one of sgd, adam", "true or false", "text".
std::string ToString(const FieldType& type);

// Returns INVALID_ARGUMENT (UNKNOWN_NAME) if `descriptor` has no such field,
// with the nearest names, and (FIELD_INVALID) if it is not a single scalar.
absl::StatusOr<FieldType> TypeOfField(const google::protobuf::Descriptor& descriptor,
                                      absl::string_view path);

// Sets a scalar; messages on the way that are not set are made.
//
// Errors as TypeOfField; INVALID_ARGUMENT (FIELD_INVALID) too if `text` does not
// spell a value of the type, if an index is out of range, or if the path goes
// through a member of a oneof whose other member is set: a value cannot change
// which model or sampler there is. `message` is unchanged after an error.
absl::Status SetField(google::protobuf::Message* message, absl::string_view path,
                      absl::string_view text);

// The value as SetField() takes it; that of the type where it is not set.
// Errors as TypeOfField, and for an index out of range.
absl::StatusOr<std::string> GetField(const google::protobuf::Message& message,
                                     absl::string_view path);

// True if `path` itself is set: present, if its presence is tracked.
bool HasField(const google::protobuf::Message& message, absl::string_view path);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_FIELD_PATH_H_
