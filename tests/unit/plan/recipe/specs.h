#ifndef CVTRAIN_TESTS_UNIT_PLAN_RECIPE_SPECS_H_
#define CVTRAIN_TESTS_UNIT_PLAN_RECIPE_SPECS_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/reader.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::plan {

// The smallest experiment that can run; tests change it by overrides.
inline constexpr absl::string_view kSmallExperiment = R"(api: cvtrain/v1
kind: Experiment
name: small
recipe:
  task: classification
  dataset: {name: flowers}
  model: {resnet: {depth: 18}}
  epochs: 10
  sampler:
    single_scale: {height: 96, width: 96, batch_size: 24}
  learning_rate: {constant: {value: 0.1}}
)";

// The same with a multi-scale sampler instead.
inline constexpr absl::string_view kMultiScaleExperiment = R"(api: cvtrain/v1
kind: Experiment
name: multi
recipe:
  task: classification
  dataset: {name: flowers}
  model: {resnet: {depth: 18}}
  epochs: 10
  sampler:
    multi_scale:
      base: {height: 224, width: 224, batch_size: 128}
      scales: {min: 128, max: 320}
  learning_rate: {cosine: {max: 0.1}}
)";

// Reads without validation: what validation says is what the tests look at.
inline v1::ExperimentSpec Spec(absl::string_view yaml,
                               const std::vector<std::string>& changes = {}) {
  std::vector<Override> overrides;
  for (const std::string& change : changes) overrides.push_back(ParseOverride(change).value());
  v1::ExperimentSpec spec;
  absl::Status status = ReadMessage(yaml, overrides, &spec);
  if (!status.ok()) throw status;  // a mistake of the test itself
  return spec;
}

inline v1::ExperimentSpec SmallSpec(const std::vector<std::string>& changes = {}) {
  return Spec(kSmallExperiment, changes);
}

inline v1::ExperimentSpec MultiScaleSpec(const std::vector<std::string>& changes = {}) {
  return Spec(kMultiScaleExperiment, changes);
}

inline DatasetFacts FlowerFacts() {
  return {.version = 3,
          .digest = std::string(64, 'a'),
          .num_classes = 12,
          .images_by_split = {{"train", 720}, {"test", 240}}};
}

}  // namespace cvtrain::plan

#endif  // CVTRAIN_TESTS_UNIT_PLAN_RECIPE_SPECS_H_
