#include "worker/agent/session/attempt_key.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::worker {

absl::StatusOr<AttemptKey> AttemptKey::Parse(absl::string_view attempt, int64_t generation) {
  CVT_ASSIGN_OR_RETURN(const AttemptName name, AttemptName::Parse(attempt));
  if (generation < 1) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("lease_generation: must be at least 1, got ", generation));
  }
  return AttemptKey{.attempt = name, .generation = generation};
}

std::string AttemptKey::DirectoryName() const {
  return absl::StrCat("e", attempt.trial().experiment().number(), "-t", attempt.trial().number(),
                      "-a", attempt.number(), "-g", generation);
}

absl::StatusOr<AttemptKey> AttemptKey::FromDirectoryName(absl::string_view name) {
  constexpr absl::string_view kPrefixes = "etag";
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '-');
  std::array<int64_t, 4> numbers = {};
  bool good = parts.size() == numbers.size();
  for (size_t i = 0; good && i < numbers.size(); ++i) {
    good = !parts[i].empty() && parts[i][0] == kPrefixes[i] &&
           absl::SimpleAtoi(parts[i].substr(1), &numbers[i]) && numbers[i] >= 1;
  }
  const AttemptKey key = {
      .attempt = AttemptName(TrialName(ExperimentName(numbers[0]), numbers[1]), numbers[2]),
      .generation = numbers[3]};
  // Other spellings of the same numbers ("e012") are refused by comparing.
  if (!good || key.DirectoryName() != name) {
    return InvalidArgument(Reason::kBadResourceName,
                           absl::StrCat("not the directory of an attempt: ", name));
  }
  return key;
}

std::string AttemptKey::ToString() const {
  return absl::StrCat(attempt.ToString(), ", generation ", generation);
}

}  // namespace cvtrain::worker
