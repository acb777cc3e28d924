#ifndef CVTRAIN_PLAN_NETWORK_NAMED_LAYERS_H_
#define CVTRAIN_PLAN_NETWORK_NAMED_LAYERS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/network/description.h"

namespace cvtrain::plan {

// Which layers `names` name, by index, as v1.Recipe.frozen says; empty if `names` is. `field` is
// where they stand in the recipe. Pure functions; thread-safe.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) if a name is none of a layer with weights.
absl::StatusOr<std::vector<bool>> NamedLayers(const NetworkDescription& network,
                                              const std::string& field,
                                              const std::vector<std::string>& names);

// Which layers are not trained: those of v1.Recipe.frozen.
//
// Errors as NamedLayers(); the same if nothing is left to train.
absl::StatusOr<std::vector<bool>> FrozenLayers(const NetworkDescription& network,
                                               const std::vector<std::string>& names);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_NAMED_LAYERS_H_
