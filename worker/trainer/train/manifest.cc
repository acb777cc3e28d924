#include "worker/trainer/train/manifest.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/build_info.h"
#include "common/ids.h"

namespace cvtrain::trainer {

storage::v1::CheckpointManifest ManifestOf(const v1::Start& start) {
  storage::v1::CheckpointManifest manifest;
  const auto attempt = AttemptName::Parse(start.attempt());
  if (attempt.ok()) manifest.set_trial(attempt->trial().ToString());
  manifest.set_attempt(start.attempt());
  manifest.set_plan_version(start.plan_version());
  manifest.set_seed(start.recipe().seed());
  manifest.set_logical_ranks(start.logical_ranks());
  manifest.set_recipe_digest(start.recipe_digest());
  manifest.set_dataset_digest(start.dataset().digest());
  manifest.set_program_version(start.program_version());
  manifest.set_build_id(GetBuildInfo().build_id);
  return manifest;
}

RestoreExpectation ExpectationOf(const v1::Start& start) {
  return {.checkpoint = start.resume().checkpoint(),
          .step = start.resume().step(),
          .recipe_digest = start.recipe_digest(),
          .dataset_digest = start.dataset().digest(),
          .plan_version = start.plan_version(),
          .seed = start.recipe().seed(),
          .logical_ranks = start.logical_ranks()};
}

void PutNumbers(const std::string& name, const std::vector<int64_t>& numbers,
                storage::v1::CheckpointManifest& manifest) {
  if (numbers.empty()) return;
  storage::v1::NamedState& state = *manifest.add_states();
  state.set_name(name);
  state.set_value(absl::StrJoin(numbers, " "));
}

std::vector<int64_t> NumbersOf(const storage::v1::CheckpointManifest& manifest,
                               const std::string& name) {
  std::vector<int64_t> numbers;
  for (const storage::v1::NamedState& state : manifest.states()) {
    if (state.name() != name) continue;
    for (const absl::string_view word : absl::StrSplit(state.value(), ' ')) {
      if (!absl::SimpleAtoi(word, &numbers.emplace_back())) return {};  // of another version
    }
  }
  return numbers;
}

}  // namespace cvtrain::trainer
