#include "plan/curriculum/stages.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

constexpr int32_t kScaleCountDefault = 5;
constexpr int32_t kDivisibleByDefault = 32;

Scale ToScale(const v1::SizedBatch& size) {
  return {size.height(), size.width(), size.batch_size()};
}

// The range of the whole sampler.
ScaleSetOptions SamplerOptions(const v1::MultiScale& sampler) {
  const v1::ScaleRange& scales = sampler.scales();
  return {.base = ToScale(sampler.base()),
          .min = scales.min(),
          .max = scales.max(),
          .count = scales.has_count() ? scales.count() : kScaleCountDefault,
          .divisible_by = scales.has_divisible_by() ? scales.divisible_by() : kDivisibleByDefault,
          .include_base = !sampler.has_include_base() || sampler.include_base(),
          .variable_batch = !sampler.has_variable_batch() || sampler.variable_batch()};
}

std::vector<StageOptions> LinearStages(const v1::LinearGrowth& growth,
                                       const ScaleSetOptions& sampler, int32_t epochs) {
  std::vector<StageOptions> stages;
  const double start = growth.has_start_max() ? growth.start_max() : sampler.min;
  const int32_t grow_until = std::max(growth.grow_until_epoch(), 1);
  const int32_t last = std::min(grow_until, epochs - 1);
  for (int32_t epoch = 0; epoch <= last; ++epoch) {
    const double share = static_cast<double>(epoch) / grow_until;
    ScaleSetOptions options = sampler;
    options.max = static_cast<int32_t>(std::lround(start + (sampler.max - start) * share));
    if (stages.empty() || stages.back().options.max != options.max) {
      stages.push_back({epoch, options});
    }
  }
  return stages;
}

std::vector<StageOptions> ListedStages(const v1::StageList& list, const ScaleSetOptions& sampler) {
  std::vector<StageOptions> stages;
  for (const v1::CurriculumStage& stage : list.list()) {
    ScaleSetOptions options = sampler;
    const v1::ScaleRange& scales = stage.scales();
    if (scales.min() != 0) options.min = scales.min();
    if (scales.max() != 0) options.max = scales.max();
    if (scales.has_count()) options.count = scales.count();
    if (scales.has_divisible_by()) options.divisible_by = scales.divisible_by();
    if (stage.has_include_base()) options.include_base = stage.include_base();
    stages.push_back({stage.from_epoch(), options});
  }
  return stages;
}

bool IsPossible(const ScaleSetOptions& options) {
  return options.min > 0 && options.min <= options.max && options.count > 0 &&
         options.divisible_by > 0 && options.base.height > 0 && options.base.width > 0 &&
         options.base.batch_size > 0;
}

absl::Status Impossible(absl::string_view field, absl::string_view rule) {
  return InvalidArgument(Reason::kRecipeInvalid, absl::StrCat(field, ": ", rule));
}

}  // namespace

std::vector<StageOptions> StageOptionsOf(const v1::Sampler& sampler, int32_t epochs) {
  if (!sampler.has_multi_scale()) {
    return {};
  }
  const v1::MultiScale& multi_scale = sampler.multi_scale();
  const ScaleSetOptions options = SamplerOptions(multi_scale);
  switch (multi_scale.curriculum().kind_case()) {
    case v1::Curriculum::kLinear:
      return LinearStages(multi_scale.curriculum().linear(), options, epochs);
    case v1::Curriculum::kStages:
      return ListedStages(multi_scale.curriculum().stages(), options);
    case v1::Curriculum::KIND_NOT_SET:
      break;
  }
  return {{0, options}};
}

absl::StatusOr<Curriculum> Curriculum::Create(const v1::Recipe& recipe) {
  const int32_t epochs = recipe.epochs();
  if (epochs < 1) {
    return Impossible("recipe.epochs", "must be at least 1");
  }
  Curriculum curriculum;
  if (recipe.sampler().has_single_scale()) {
    curriculum.base_ = ToScale(recipe.sampler().single_scale());
    if (curriculum.base_.Area() <= 0 || curriculum.base_.batch_size < 1) {
      return Impossible("recipe.sampler.single_scale", "needs height, width and batch_size");
    }
    curriculum.stages_.push_back({0, 0, epochs, {curriculum.base_}});
    return curriculum;
  }

  for (const StageOptions& stage : StageOptionsOf(recipe.sampler(), epochs)) {
    if (!IsPossible(stage.options)) {
      return Impossible("recipe.sampler.multi_scale", "has an impossible range of sizes");
    }
    std::vector<Stage>& stages = curriculum.stages_;
    const int32_t from_epoch_min = stages.empty() ? 0 : stages.back().from_epoch + 1;
    if (stage.from_epoch < from_epoch_min || (stages.empty() && stage.from_epoch != 0)) {
      return Impossible("recipe.sampler.multi_scale.curriculum.stages",
                        "must begin at epoch 0 and be in order");
    }
    if (stage.from_epoch >= epochs) {
      break;
    }
    std::vector<Scale> scales = ScaleSet(stage.options);
    if (stages.empty() || stages.back().scales != scales) {
      if (!stages.empty()) stages.back().to_epoch = stage.from_epoch;
      stages.push_back(
          {static_cast<int32_t>(stages.size()), stage.from_epoch, epochs, std::move(scales)});
    }
    curriculum.base_ = stage.options.base;
  }
  if (curriculum.stages_.empty()) {
    return Impossible("recipe.sampler", "needs one of single_scale, multi_scale");
  }
  return curriculum;
}

const Stage& Curriculum::StageOf(int32_t epoch) const {
  auto after =
      std::upper_bound(stages_.begin(), stages_.end(), epoch,
                       [](int32_t value, const Stage& stage) { return value < stage.from_epoch; });
  return after == stages_.begin() ? stages_.front() : *(after - 1);
}

}  // namespace cvtrain::plan
