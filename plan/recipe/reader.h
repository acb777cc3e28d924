#ifndef CVTRAIN_PLAN_RECIPE_READER_H_
#define CVTRAIN_PLAN_RECIPE_READER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf
namespace cvtrain::v1 {
class ExperimentSpec;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// YAML, as people write recipes, to messages. The descriptors of the messages
// are the only schema:
//
//   field names      as in the proto; unknown ones are refused with the nearest
//   enum values      lower case, without the prefix of the enum: `mode: max`
//   messages         mappings; `cosine:` and `cosine: {}` are an empty message
//   repeated         sequences
//   maps             mappings
//   numbers          decimal, finite, within the range of the field's type
//   booleans         true, false
//   text             plain or quoted; never null
//
// Refused: more than 256 KiB, nesting over 32, more than one document, anchors,
// aliases, tags, duplicate keys, text that is not UTF-8, two members of a oneof.
//
// Pure functions; thread-safe. No exception of the YAML library leaves them.

// A value that replaces one of the text: `--set recipe.epochs=5`.
struct Override {
  // Path of a field: names, and indices of lists that exist, joined by dots.
  std::string path;
  // YAML, such as `5`, `max` or `{cosine: {max: 0.1}}`.
  std::string value;
};

// Splits `path=value`. Returns INVALID_ARGUMENT (USAGE) without a path or '='.
absl::StatusOr<Override> ParseOverride(absl::string_view text);

// Reads and validates (Validate()) an experiment.
//
// Returns INVALID_ARGUMENT with all violations at once (at most 20 in text), a
// line for each: `line 7: recipe.optimizer.lr: unknown field (did you mean
// learning_rate?)`. The reason is UNKNOWN_NAME if all of them are unknown
// members of a closed vocabulary (a model, an optimizer, an enum value),
// BAD_RESOURCE_NAME if all are names that cannot be names, else RECIPE_INVALID.
absl::StatusOr<v1::ExperimentSpec> ReadExperiment(absl::string_view yaml,
                                                  absl::Span<const Override> overrides = {});

// Reads any message, without rules beyond the schema; `message` is cleared
// first, and undefined after an error. Errors as ReadExperiment.
absl::Status ReadMessage(absl::string_view yaml, absl::Span<const Override> overrides,
                         google::protobuf::Message* message);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_READER_H_
