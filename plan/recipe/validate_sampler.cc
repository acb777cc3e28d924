#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/stages.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

constexpr int kSideMin = 8;
constexpr int kSideMax = 4096;
constexpr int kBatchMax = 65'536;

void CheckSizedBatch(const std::string& path, const v1::SizedBatch& size, Rules& rules) {
  const Interval side = Closed(kSideMin, kSideMax);
  rules.Required(path + ".height", size.height() != 0, size.height(), side);
  rules.Required(path + ".width", size.width() != 0, size.width(), side);
  rules.Required(path + ".batch_size", size.batch_size() != 0, size.batch_size(),
                 Closed(1, kBatchMax));
}

void CheckCounts(const std::string& path, const v1::ScaleRange& scales, Rules& rules) {
  if (scales.has_count()) rules.InRange(path + ".count", scales.count(), Closed(1, 64));
  if (scales.has_divisible_by()) {
    rules.InRange(path + ".divisible_by", scales.divisible_by(), Closed(1, 512));
  }
}

// The ends of a range: each inside the sides that images may have, and in order.
void CheckEnds(const std::string& path, int min, int max, Rules& rules) {
  rules.InRange(path + ".min", min, Closed(kSideMin, kSideMax));
  rules.InRange(path + ".max", max, Closed(kSideMin, kSideMax));
  if (min > max) {
    rules.Add(path + ".max", absl::StrCat("must be at least min, ", min), absl::StrCat(max));
  }
}

void CheckLinear(const v1::LinearGrowth& growth, const v1::ScaleRange& scales, int epochs,
                 Rules& rules) {
  const std::string path = "recipe.sampler.multi_scale.curriculum.linear";
  const int epochs_max = epochs > 0 ? epochs : 100'000;
  rules.Required(path + ".grow_until_epoch", growth.grow_until_epoch() != 0,
                 growth.grow_until_epoch(), Closed(1, epochs_max));
  if (growth.has_start_max() && scales.min() <= scales.max()) {
    rules.InRange(path + ".start_max", growth.start_max(), Closed(scales.min(), scales.max()));
  }
}

void CheckStages(const v1::StageList& stages, const v1::ScaleRange& scales, int epochs,
                 Rules& rules) {
  const std::string list = "recipe.sampler.multi_scale.curriculum.stages.list";
  if (stages.list_size() < 1 || stages.list_size() > limits::kStagesPerCurriculumMax) {
    rules.Add(list, absl::StrCat("must have 1 to ", limits::kStagesPerCurriculumMax, " entries"),
              absl::StrCat(stages.list_size()));
    return;
  }
  int previous = -1;
  for (int i = 0; i < stages.list_size(); ++i) {
    const v1::CurriculumStage& stage = stages.list(i);
    const std::string path = absl::StrCat(list, ".", i);
    const int from = stage.from_epoch();
    if (i == 0 && from != 0) {
      rules.Add(path + ".from_epoch", "must be 0: the first stage begins the training",
                absl::StrCat(from));
    } else if (i > 0 && from <= previous) {
      rules.Add(path + ".from_epoch",
                absl::StrCat("must be after that of the stage before, ", previous),
                absl::StrCat(from));
    } else if (epochs > 0 && from >= epochs) {
      rules.Add(path + ".from_epoch", absl::StrCat("must be before the end, epoch ", epochs),
                absl::StrCat(from));
    }
    previous = std::max(previous, from);
    CheckCounts(path + ".scales", stage.scales(), rules);
    if (stage.scales().min() != 0 || stage.scales().max() != 0) {
      CheckEnds(path + ".scales", stage.scales().min() != 0 ? stage.scales().min() : scales.min(),
                stage.scales().max() != 0 ? stage.scales().max() : scales.max(), rules);
    }
  }
}

// What follows from the sets of the stages, which must be possible.
void CheckSets(const v1::Sampler& sampler, int epochs, Rules& rules) {
  for (const StageOptions& stage : StageOptionsOf(sampler, epochs)) {
    const ScaleSetOptions& options = stage.options;
    if (!AxesAlign(options)) {
      rules.Add("recipe.sampler.multi_scale.base",
                absl::StrCat("must have height and width that are both among the ", options.count,
                             " sizes of epoch ", stage.from_epoch,
                             ", or both not: else sizes lose their pairs"),
                absl::StrCat(options.base.height, "x", options.base.width));
      return;
    }
    const int32_t smallest = RoundToDivisor(options.min, options.divisible_by);
    const int32_t batch = options.variable_batch ? BatchForSize(options.base, smallest, smallest)
                                                 : options.base.batch_size;
    if (batch > kBatchMax) {
      rules.Add("recipe.sampler.multi_scale.base.batch_size",
                absl::StrCat("must give at most ", kBatchMax, " images at the smallest size, ",
                             smallest, " pixels"),
                absl::StrCat(batch));
      return;
    }
  }
}

void CheckMultiScale(const v1::Sampler& sampler, int epochs, Rules& rules) {
  const v1::MultiScale& multi_scale = sampler.multi_scale();
  const std::string path = "recipe.sampler.multi_scale";
  const size_t violations_before = rules.violations().size();
  if (multi_scale.has_base()) {
    CheckSizedBatch(path + ".base", multi_scale.base(), rules);
  } else {
    rules.Add(path + ".base", "is required: height, width and batch_size");
  }
  const v1::ScaleRange& scales = multi_scale.scales();
  if (multi_scale.has_scales()) {
    CheckEnds(path + ".scales", scales.min(), scales.max(), rules);
    CheckCounts(path + ".scales", scales, rules);
  } else {
    rules.Add(path + ".scales", "is required: min and max");
  }
  switch (multi_scale.curriculum().kind_case()) {
    case v1::Curriculum::kLinear:
      CheckLinear(multi_scale.curriculum().linear(), scales, epochs, rules);
      break;
    case v1::Curriculum::kStages:
      CheckStages(multi_scale.curriculum().stages(), scales, epochs, rules);
      break;
    case v1::Curriculum::KIND_NOT_SET:
      if (multi_scale.has_curriculum()) {
        rules.Add(path + ".curriculum", "must be one of linear, stages, or left out");
      }
      break;
  }
  if (rules.violations().size() == violations_before && epochs > 0) {
    CheckSets(sampler, epochs, rules);
  }
}

}  // namespace

void CheckSampler(const v1::Sampler& sampler, int epochs, Rules& rules) {
  switch (sampler.kind_case()) {
    case v1::Sampler::kSingleScale:
      CheckSizedBatch("recipe.sampler.single_scale", sampler.single_scale(), rules);
      return;
    case v1::Sampler::kMultiScale:
      CheckMultiScale(sampler, epochs, rules);
      return;
    case v1::Sampler::KIND_NOT_SET:
      rules.Add("recipe.sampler", "is required: one of single_scale, multi_scale");
  }
}

}  // namespace cvtrain::plan
