#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/input/bench.h"
#include "bench/input/local_shards.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/stages.h"
#include "plan/curriculum/trial_plan.h"
#include "worker/trainer/data/shard_batch_source.h"

namespace cvtrain::bench {
namespace {

v1::Recipe RecipeOf(const LoadOptions& options) {
  v1::Recipe recipe;
  recipe.set_epochs(options.epochs);
  recipe.mutable_dataset()->set_train_split(options.split);
  recipe.mutable_dataset()->set_validation_split(options.split);
  v1::SizedBatch& batch = *recipe.mutable_sampler()->mutable_single_scale();
  batch.set_height(options.size);
  batch.set_width(options.size);
  batch.set_batch_size(options.batch);
  v1::RandomResizedCrop& crop = *recipe.mutable_augmentation()->mutable_random_resized_crop();
  crop.set_scale_min(options.scale_min);
  crop.set_scale_max(1);
  crop.set_ratio_min(3.0 / 4);
  crop.set_ratio_max(4.0 / 3);
  recipe.mutable_augmentation()->mutable_horizontal_flip()->set_probability(0.5);
  return recipe;
}

int64_t ImagesOf(const v1::DatasetVersion& version, const std::string& split) {
  for (const v1::Split& one : version.splits()) {
    if (one.name() == split) return one.images();
  }
  return 0;
}

class LoadBench {
 public:
  static absl::StatusOr<std::shared_ptr<LoadBench>> Create(const LoadOptions& options) {
    CVT_ASSIGN_OR_RETURN(LocalShards shards, LocalShards::Load(PosixFileSystem(), options.data));
    const v1::Recipe recipe = RecipeOf(options);
    CVT_ASSIGN_OR_RETURN(plan::Curriculum curriculum, plan::Curriculum::Create(recipe));
    CVT_ASSIGN_OR_RETURN(
        plan::TrialPlan plan,
        plan::TrialPlan::Create(std::move(curriculum),
                                {.images = ImagesOf(shards.version(), options.split)}));
    return std::make_shared<LoadBench>(options, std::move(shards), recipe, std::move(plan));
  }

  LoadBench(const LoadOptions& options, LocalShards shards, v1::Recipe recipe, plan::TrialPlan plan)
      : options_(options),
        shards_(std::move(shards)),
        recipe_(std::move(recipe)),
        plan_(std::move(plan)) {}

  absl::StatusOr<Pass> Run(absl::string_view argument) {
    if (argument == "epoch") return RunEpoch();
    int64_t step = 0;
    if (absl::ConsumePrefix(&argument, "first ") && absl::SimpleAtoi(argument, &step)) {
      CVT_RETURN_IF_ERROR(Open(step));
      return Take(1);
    }
    return InvalidArgument(Reason::kUsage, absl::StrCat("no such run: ", argument));
  }

 private:
  absl::StatusOr<Pass> RunEpoch() {
    if (source_ == nullptr) CVT_RETURN_IF_ERROR(Open(0));
    return Take(plan_.StepsOf(0));
  }

  absl::Status Open(int64_t step) {
    source_.reset();
    CVT_ASSIGN_OR_RETURN(
        source_, trainer::NewShardBatchSource({.recipe = recipe_,
                                               .dataset = shards_.version(),
                                               .plan = plan_,
                                               .share = {.first = 0, .count = 1}},
                                              shards_,
                                              {.decode_threads = options_.threads,
                                               .nice = 0,
                                               .picture_cache_bytes = options_.cache_bytes}));
    return source_->StartTraining(step);
  }

  absl::StatusOr<Pass> Take(int64_t batches) {
    Pass pass;
    for (int64_t i = 0; i < batches; ++i) {
      CVT_ASSIGN_OR_RETURN(const trainer::Batch batch, source_->NextTraining());
      pass.images += batch.count;
      pass.bytes += static_cast<int64_t>(batch.pixels.size());
    }
    return pass;
  }

  const LoadOptions options_;
  LocalShards shards_;
  const v1::Recipe recipe_;
  const plan::TrialPlan plan_;
  std::unique_ptr<trainer::BatchSource> source_;  // uses all others
};

}  // namespace

absl::StatusOr<Runner> NewLoadBench(const LoadOptions& options) {
  CVT_ASSIGN_OR_RETURN(const std::shared_ptr<LoadBench> bench, LoadBench::Create(options));
  return [bench](absl::string_view argument) { return bench->Run(argument); };
}

}  // namespace cvtrain::bench
