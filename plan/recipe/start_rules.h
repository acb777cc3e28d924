#ifndef CVTRAIN_PLAN_RECIPE_START_RULES_H_
#define CVTRAIN_PLAN_RECIPE_START_RULES_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"

// What `begin_after` and `after` of an experiment say. Pure functions; thread-safe.
namespace cvtrain::plan {

// What must have ended before, and how.
struct Dependency {
  enum class Condition { kEnded, kSucceeded, kFailed };

  std::variant<ExperimentName, TrialName> on;
  Condition condition = Condition::kEnded;

  // "trial/7.1"
  std::string NameOn() const;
};

// Of "exp/7:ok", "trial/7.1:failed", "exp/7:end", "exp/7"; "sweep/7" is another spelling.
//
// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME, FIELD_INVALID) with the forms that would do.
absl::StatusOr<Dependency> ParseDependency(absl::string_view text);

// Of "2026-12-01T08:00:00Z", RFC 3339 with a zone. INVALID_ARGUMENT (FIELD_INVALID).
absl::StatusOr<absl::Time> ParseBeginTime(absl::string_view text);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_START_RULES_H_
