#include "plan/recipe/resolve.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/network/description.h"
#include "plan/network/named_layers.h"
#include "plan/recipe/defaults.h"
#include "plan/recipe/field_path.h"
#include "plan/recipe/search_points.h"
#include "plan/recipe/validate.h"

namespace cvtrain::plan {
namespace {

absl::Status Misfit(absl::string_view field, absl::string_view rule) {
  return InvalidArgument(Reason::kRecipeInvalid, absl::StrCat(field, ": ", rule));
}

absl::Status CheckSplit(absl::string_view field, const std::string& split,
                        const DatasetFacts& facts) {
  const auto found = facts.images_by_split.find(split);
  if (found == facts.images_by_split.end()) {
    std::vector<std::string> names;
    for (const auto& [name, images] : facts.images_by_split) names.push_back(name);
    return InvalidArgument(Reason::kUnknownName,
                           absl::StrCat(field, ": the data set has no split '", SafeText(split, 64),
                                        "'", DidYouMean(NearestNames(split, names))));
  }
  if (found->second < 1) return Misfit(field, absl::StrCat("split '", split, "' has no images"));
  return absl::OkStatus();
}

// Writes the facts of the data set into the recipe, or says why they do not fit.
absl::Status PinDataset(const DatasetFacts& facts, v1::Recipe& recipe) {
  v1::DatasetSource& dataset = *recipe.mutable_dataset();
  if (dataset.version() != 0 && dataset.version() != facts.version) {
    return Misfit(
        "recipe.dataset.version",
        absl::StrCat("is ", dataset.version(), ", but the data is version ", facts.version));
  }
  if (!dataset.digest().empty() && dataset.digest() != facts.digest) {
    return Misfit("recipe.dataset.digest", "is not that of the data set: leave it out");
  }
  dataset.set_version(facts.version);
  dataset.set_digest(facts.digest);
  CVT_RETURN_IF_ERROR(CheckSplit("recipe.dataset.train_split", dataset.train_split(), facts));
  CVT_RETURN_IF_ERROR(
      CheckSplit("recipe.dataset.validation_split", dataset.validation_split(), facts));

  v1::Model& model = *recipe.mutable_model();
  if (!model.has_num_classes()) model.set_num_classes(facts.num_classes);
  if (model.num_classes() < facts.num_classes) {
    return Misfit("recipe.model.num_classes",
                  absl::StrCat("must be at least ", facts.num_classes,
                               ", the classes of the data set, got ", model.num_classes()));
  }
  return absl::OkStatus();
}

// FLOPs of the first `epochs` epochs.
double FlopsUpTo(int32_t epochs, const std::vector<v1::PlannedStage>& stages) {
  double flops = 0;
  for (const v1::PlannedStage& stage : stages) {
    const int32_t of_stage = stage.to_epoch() - stage.from_epoch();
    const int32_t trained = std::clamp(epochs - stage.from_epoch(), 0, of_stage);
    if (of_stage > 0) flops += stage.flops() * trained / of_stage;
  }
  return flops;
}

// A budget that the first trial uses up before it is compared with any other.
absl::Status CheckFlopsBudget(const v1::ExperimentSpec& spec,
                              const std::vector<v1::PlannedStage>& stages) {
  if (!spec.search().budget().has_flops()) return absl::OkStatus();
  const std::vector<int32_t> rungs = SearchRungs(spec);
  const int32_t epochs = rungs.empty() ? spec.recipe().epochs() : rungs.front();
  const double least = FlopsUpTo(epochs, stages);
  if (spec.search().budget().flops() >= least) return absl::OkStatus();
  return Misfit("search.budget.flops",
                absl::StrCat("must be at least ", least, ", what one trial needs to ",
                             rungs.empty() ? "its end" : "its first rung", ", got ",
                             spec.search().budget().flops()));
}

// What only shows in the plan of the trial: too many steps, images too small for
// the network, more logical ranks than images.
absl::Status CheckPlan(const v1::ExperimentSpec& spec, const DatasetFacts& facts) {
  const int64_t images = TrainImages(spec.recipe(), facts);
  const int32_t logical_ranks = spec.resources().logical_ranks();
  if (images < logical_ranks) {
    return Misfit(
        "resources.logical_ranks",
        absl::StrCat("must be at most ", images, ", the images to train on, got ", logical_ranks));
  }
  const auto& except = spec.recipe().init_from().except();
  CVT_ASSIGN_OR_RETURN(const NetworkDescription network, DescribeNetwork(spec.recipe().model()));
  CVT_RETURN_IF_ERROR(
      NamedLayers(network, "recipe.init_from.except", {except.begin(), except.end()}).status());
  CVT_ASSIGN_OR_RETURN(
      const std::vector<v1::PlannedStage> stages,
      PlannedStages(spec.recipe(), {.images = images, .logical_ranks = logical_ranks}));
  return CheckFlopsBudget(spec, stages);
}

}  // namespace

absl::Status Resolve(v1::ExperimentSpec* spec, const DatasetFacts& facts) {
  v1::ExperimentSpec resolved = *spec;
  WriteDefaults(resolved);
  if (resolved.recipe().task() != v1::Recipe::TASK_SYNTHETIC) {
    CVT_RETURN_IF_ERROR(PinDataset(facts, *resolved.mutable_recipe()));
    CVT_RETURN_IF_ERROR(CheckPlan(resolved, facts));
  }
  // Values of a search that the recipe allowed may contradict a default that now
  // stands in it.
  CVT_RETURN_IF_ERROR(ValidateExperiment(resolved));
  *spec = std::move(resolved);
  return absl::OkStatus();
}

absl::StatusOr<v1::Recipe> ConcreteRecipe(const v1::ExperimentSpec& spec,
                                          const std::map<std::string, std::string>& parameters) {
  v1::ExperimentSpec concrete;
  *concrete.mutable_recipe() = spec.recipe();
  for (const auto& [path, value] : parameters) {
    CVT_RETURN_IF_ERROR(SetField(&concrete, path, value));
  }
  if (concrete.recipe().task() != v1::Recipe::TASK_SYNTHETIC) {
    WriteTrainingDefaults(*concrete.mutable_recipe());
  }
  if (concrete.recipe().has_augmentation()) {
    CompleteAugmentation(*concrete.mutable_recipe()->mutable_augmentation());
  }
  CVT_RETURN_IF_ERROR(ViolationsToStatus(ValidateRecipe(concrete.recipe())));
  return std::move(*concrete.mutable_recipe());
}

std::string CanonicalBytes(const v1::Recipe& recipe) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    recipe.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string RecipeDigest(const v1::Recipe& recipe) { return Sha256Hex(CanonicalBytes(recipe)); }

int64_t TrainImages(const v1::Recipe& recipe, const DatasetFacts& facts) {
  const auto found = facts.images_by_split.find(recipe.dataset().train_split());
  return found == facts.images_by_split.end() ? 0 : found->second;
}

}  // namespace cvtrain::plan
