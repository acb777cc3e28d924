#ifndef CVTRAIN_CLIENT_DATASET_JSON_H_
#define CVTRAIN_CLIENT_DATASET_JSON_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::client {

// A value of a JSON text. Thread-compatible.
struct Json {
  enum class Kind { kNull, kBool, kNumber, kText, kList, kObject };
  Kind kind = Kind::kNull;
  double number = 0;  // of a number; of a bool, 0 or 1
  std::string text = {};
  std::vector<Json> items = {};
  std::vector<std::pair<std::string, Json>> members = {};  // in the order of the text

  // Null if it is no object, or has none of this name.
  const Json* Find(absl::string_view name) const;
  // A number without a fraction, in +-2^53.
  std::optional<int64_t> AsInteger() const;
};

inline constexpr int kJsonDepthMax = 32;
// Values of one tree.
inline constexpr size_t kJsonValuesMax = 4'000'000;

// Reads one value. Returns INVALID_ARGUMENT (DATA_BAD), with the place, if `text` is none;
// RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is deeper or larger than a tree may be.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// Reads an object whose members may be long lists, and keeps one of their items at a time: calls
// `take` for each item of each list right below the object, with the name of the list. Other
// members are left out. An error of `take` ends it, and is returned; else errors are as above.
using TakeJsonItem = std::function<absl::Status(absl::string_view list, Json item)>;
absl::Status ParseJsonLists(absl::string_view text, const TakeJsonItem& take);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_JSON_H_
