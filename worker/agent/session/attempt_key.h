#ifndef CVTRAIN_WORKER_AGENT_SESSION_ATTEMPT_KEY_H_
#define CVTRAIN_WORKER_AGENT_SESSION_ATTEMPT_KEY_H_

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"

namespace cvtrain::worker {

// An attempt under one lease generation: what a worker holds, spools for and
// publishes. Two generations of one attempt have nothing in common. A value type.
struct AttemptKey {
  AttemptName attempt;
  int64_t generation = 0;

  // Checks text from the wire. INVALID_ARGUMENT (BAD_RESOURCE_NAME) for a name that is
  // none, (FIELD_INVALID) for a generation below 1.
  static absl::StatusOr<AttemptKey> Parse(absl::string_view attempt, int64_t generation);

  // "e12-t3-a2-g4": the name of its directory in the spool. Made of numbers only, so
  // nothing from outside gets into a path.
  std::string DirectoryName() const;
  // INVALID_ARGUMENT (BAD_RESOURCE_NAME) for anything that DirectoryName() does not make.
  static absl::StatusOr<AttemptKey> FromDirectoryName(absl::string_view name);

  // "experiments/12/trials/3/attempts/2, generation 4", for logs.
  std::string ToString() const;

  friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_ATTEMPT_KEY_H_
