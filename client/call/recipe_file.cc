#include "client/call/recipe_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

absl::StatusOr<std::string> ReadText(const Cli& cli, const std::string& path) {
  if (path == "-") return cli.read_input(limits::kRecipeSizeBytesMax + 1);
  absl::StatusOr<std::string> text = ReadFile(cli.files, path, limits::kRecipeSizeBytesMax + 1);
  if (ReasonOf(text.status()) != Reason::kLimitExceeded) return text;
  return InvalidArgument(
      Reason::kRecipeInvalid,
      absl::StrCat(path, ": ", text.status().message(), "; a recipe has at most ",
                   FormatBytes(limits::kRecipeSizeBytesMax)));
}

}  // namespace

absl::StatusOr<v1::ExperimentSpec> ReadRecipeFile(const Cli& cli, const std::string& path,
                                                  const std::vector<plan::Override>& overrides) {
  CVT_ASSIGN_OR_RETURN(const std::string text, ReadText(cli, path));
  absl::StatusOr<v1::ExperimentSpec> spec = plan::ReadExperiment(text, overrides);
  if (!spec.ok()) return Annotate(spec.status(), "reading", path);
  return spec;
}

absl::StatusOr<std::vector<plan::Override>> ParseOverrides(const std::vector<std::string>& set) {
  std::vector<plan::Override> overrides;
  for (const std::string& text : set) {
    CVT_ASSIGN_OR_RETURN(plan::Override one, plan::ParseOverride(text));
    overrides.push_back(std::move(one));
  }
  return overrides;
}

}  // namespace cvtrain::client
