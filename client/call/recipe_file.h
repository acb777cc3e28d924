#ifndef CVTRAIN_CLIENT_CALL_RECIPE_FILE_H_
#define CVTRAIN_CLIENT_CALL_RECIPE_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/files/cli.h"
#include "cvtrain/v1/experiment.pb.h"
#include "plan/recipe/reader.h"

namespace cvtrain::client {

// The experiment that a file describes, `-` for standard input, with fields replaced as --set says.
// Errors of plan::ReadExperiment() and of the file, which they name.
absl::StatusOr<v1::ExperimentSpec> ReadRecipeFile(const Cli& cli, const std::string& path,
                                                  const std::vector<plan::Override>& overrides);

// Each PATH=VALUE of --set.
absl::StatusOr<std::vector<plan::Override>> ParseOverrides(const std::vector<std::string>& set);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_RECIPE_FILE_H_
