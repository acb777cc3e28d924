#include "plan/network/named_layers.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "plan/network/parameters.h"

namespace cvtrain::plan {
namespace {

constexpr char kBackbone[] = "backbone";

std::vector<TensorSpec> ParametersOf(const NetworkDescription& network) {
  std::vector<TensorSpec> parameters = StateTensors(network);
  parameters.erase(std::remove_if(parameters.begin(), parameters.end(),
                                  [](const TensorSpec& spec) { return !spec.IsParameter(); }),
                   parameters.end());
  return parameters;
}

// Whether `name` is a parameter of what `wanted` names: the parameter itself without its last word,
// or a part of the network that it belongs to.
bool Names(const std::string& wanted, const std::string& parameter) {
  return absl::StartsWith(parameter, wanted) &&
         (parameter.size() == wanted.size() || parameter[wanted.size()] == '.');
}

// What people may have meant: `layer1`, `layer1.0`, `layer1.0.conv1`.
std::vector<std::string> NamesIn(const std::vector<TensorSpec>& parameters) {
  std::vector<std::string> names = {kBackbone};
  for (const TensorSpec& parameter : parameters) {
    for (size_t dot = parameter.name.find('.'); dot != std::string::npos;
         dot = parameter.name.find('.', dot + 1)) {
      names.push_back(parameter.name.substr(0, dot));
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

absl::StatusOr<std::vector<bool>> NamedLayers(const NetworkDescription& network,
                                              const std::string& field,
                                              const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<bool>();
  const std::vector<TensorSpec> parameters = ParametersOf(network);
  std::vector<bool> named(network.layers.size(), false);
  for (const std::string& name : names) {
    bool found = false;
    for (const TensorSpec& parameter : parameters) {
      const bool fits = name == kBackbone ? parameter.layer != parameters.back().layer
                                          : Names(name, parameter.name);
      if (!fits) continue;
      named[static_cast<size_t>(parameter.layer)] = true;
      found = true;
    }
    if (!found) {
      return InvalidArgument(
          Reason::kRecipeInvalid,
          absl::StrCat(field, ": '", SafeText(name, 64), "' is no layer of ", network.family,
                       " that has weights", DidYouMean(NearestNames(name, NamesIn(parameters)))));
    }
  }
  return named;
}

absl::StatusOr<std::vector<bool>> FrozenLayers(const NetworkDescription& network,
                                               const std::vector<std::string>& names) {
  CVT_ASSIGN_OR_RETURN(std::vector<bool> frozen, NamedLayers(network, "recipe.frozen", names));
  if (frozen.empty()) return frozen;
  for (const TensorSpec& parameter : ParametersOf(network)) {
    if (!frozen[static_cast<size_t>(parameter.layer)]) return frozen;
  }
  return InvalidArgument(Reason::kRecipeInvalid,
                         "recipe.frozen: leaves nothing to train: leave out a layer, such as the "
                         "last one (backbone is all but that)");
}

}  // namespace cvtrain::plan
