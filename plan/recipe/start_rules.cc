#include "plan/recipe/start_rules.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::plan {
namespace {

constexpr size_t kShownMax = 64;

absl::StatusOr<Dependency::Condition> ParseCondition(absl::string_view text) {
  if (text.empty() || text == "end") return Dependency::Condition::kEnded;
  if (text == "ok") return Dependency::Condition::kSucceeded;
  if (text == "failed") return Dependency::Condition::kFailed;
  return InvalidArgument(
      Reason::kFieldInvalid,
      absl::StrCat("'", SafeText(text, kShownMax), "': must be ok, failed or end, as in exp/7:ok"));
}

}  // namespace

std::string Dependency::NameOn() const {
  return std::visit([](const auto& name) { return FormatShort(name); }, on);
}

absl::StatusOr<Dependency> ParseDependency(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  Dependency dependency;
  CVT_ASSIGN_OR_RETURN(dependency.condition,
                       ParseCondition(parts.size() > 1 ? parts[1] : absl::string_view()));
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(parts[0], NameKind::kExperiment));
  if (const auto* experiment = std::get_if<ExperimentName>(&name)) {
    dependency.on = *experiment;
  } else if (const auto* trial = std::get_if<TrialName>(&name)) {
    dependency.on = *trial;
  } else {
    return InvalidArgument(Reason::kBadResourceName,
                           absl::StrCat("'", SafeText(parts[0], kShownMax),
                                        "': must be an experiment or a trial, as in exp/7:ok"));
  }
  return dependency;
}

absl::StatusOr<absl::Time> ParseBeginTime(absl::string_view text) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error) && time != absl::InfiniteFuture() &&
      time != absl::InfinitePast()) {
    return time;
  }
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("'", SafeText(text, kShownMax),
                                      "': must be a time with a zone, as in 2026-12-01T08:00:00Z"));
}

}  // namespace cvtrain::plan
