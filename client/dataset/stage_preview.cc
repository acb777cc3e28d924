#include "client/dataset/stage_preview.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/ladder/picture_reader.h"
#include "formats/picture/picture_editor.h"
#include "formats/shard/shard_reader.h"
#include "plan/augment/picture_draw.h"
#include "plan/curriculum/forecast.h"
#include "plan/curriculum/sample_order.h"
#include "plan/curriculum/trial_plan.h"

namespace cvtrain::client {
namespace {

// Reads pictures of one split by position, as training does.
class Pictures {
 public:
  Pictures(const v1::Recipe& recipe, const v1::DatasetVersion& version, const OpenShard& open)
      : recipe_(recipe), open_(open) {
    for (const v1::Shard& shard : version.shards()) {
      if (shard.split() == recipe.dataset().train_split()) shards_[shard.first_image()] = &shard;
    }
  }

  absl::StatusOr<formats::Image> Read(int64_t position, const plan::Scale& size,
                                      const plan::SampleKey& key) {
    CVT_CHECK(!shards_.empty() && shards_.begin()->first <= position) << position;
    const auto [first, shard] = *std::prev(shards_.upper_bound(position));
    CVT_ASSIGN_OR_RETURN(formats::ShardReader * reader, Open(*shard));
    const int64_t record = position - first;
    const formats::ShardRecord facts = reader->record(record);
    const plan::PictureDraw draw = plan::DrawPicture(
        recipe_.augmentation(), {.width = facts.source.width, .height = facts.source.height},
        {.width = size.width, .height = size.height}, key);
    formats::Image image;
    image.Resize(size.width, size.height);
    const absl::Status decoded = decoder_.Read(
        *reader, record,
        {.crop = draw.crop, .width = size.width, .height = size.height, .flip = draw.flip},
        absl::MakeSpan(image.pixels));
    if (!decoded.ok()) return Annotate(decoded, "decoding picture", reader->key(record));
    editor_.Apply(draw.steps, image);
    return image;
  }

 private:
  absl::StatusOr<formats::ShardReader*> Open(const v1::Shard& shard) {
    std::unique_ptr<formats::ShardReader>& reader = readers_[shard.index()];
    if (reader == nullptr) {
      CVT_ASSIGN_OR_RETURN(auto file, open_(shard));
      CVT_ASSIGN_OR_RETURN(
          reader, formats::ShardReader::Open(std::move(file), absl::StrCat(shard.index())));
      if (reader->info().records != shard.images()) {
        return DataLoss(Reason::kShardBad, absl::StrCat("shard ", shard.index(),
                                                        " is not the one that the version lists"));
      }
    }
    return reader.get();
  }

  const v1::Recipe& recipe_;
  const OpenShard& open_;
  std::map<int64_t, const v1::Shard*> shards_;  // by first image
  std::map<int32_t, std::unique_ptr<formats::ShardReader>> readers_;
  formats::PictureReader decoder_;
  formats::PictureEditor editor_;
};

// Which of `count` sizes are shown, ascending: evenly, with the first and the last.
std::vector<int> ChosenSizes(int count, int max) {
  std::vector<int> chosen;
  const int wanted = std::min(count, std::max(1, max));
  for (int i = 0; i < wanted; ++i) {
    chosen.push_back(wanted == 1 ? 0 : (i * (count - 1) + (wanted - 1) / 2) / (wanted - 1));
  }
  return chosen;
}

// The first step of a stage at a size.
struct FoundStep {
  plan::StepPosition position;
  plan::PlannedStep step;
};
std::optional<FoundStep> FindStep(const plan::TrialPlan& plan, const plan::Stage& stage,
                                  int scale_index) {
  for (int32_t epoch = stage.from_epoch; epoch < stage.to_epoch; ++epoch) {
    const std::vector<plan::PlannedStep> steps = plan.EpochSteps(epoch);
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].scale_index != scale_index) continue;
      return FoundStep{.position = {.epoch = epoch, .step_in_epoch = static_cast<int64_t>(i)},
                       .step = steps[i]};
    }
  }
  return std::nullopt;
}

std::string CaptionOf(const plan::Stage& stage, const FoundStep& found) {
  const plan::Scale& size = found.step.scale;
  return absl::StrCat("stage ", stage.index + 1, ", epochs ", stage.from_epoch + 1, "-",
                      stage.to_epoch, ": ", size.height, "x", size.width, ", batch ",
                      size.batch_size);
}

absl::StatusOr<SheetRow> ShowStep(const plan::TrialPlan& plan, const FoundStep& found, int pictures,
                                  Pictures& reader) {
  constexpr int32_t kLogicalRank = 0;
  const plan::RankStepKey key = {.seed = plan.seed(),
                                 .epoch = found.position.epoch,
                                 .step_in_epoch = found.position.step_in_epoch,
                                 .logical_rank = kLogicalRank};
  const plan::SampleOrder order(plan, found.position.epoch);
  std::vector<int64_t> batch = order.Batch(found.step, kLogicalRank);
  batch.resize(std::min(batch.size(), static_cast<size_t>(pictures)));
  SheetRow row;
  for (size_t i = 0; i < batch.size(); ++i) {
    CVT_ASSIGN_OR_RETURN(formats::Image tile,
                         reader.Read(batch[i], found.step.scale,
                                     {.step = key, .position = static_cast<int32_t>(i)}));
    row.tiles.push_back(std::move(tile));
  }
  return row;
}

int64_t TrainImages(const v1::Recipe& recipe, const v1::DatasetVersion& version) {
  for (const v1::Split& split : version.splits()) {
    if (split.name() == recipe.dataset().train_split()) return split.images();
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::vector<SheetRow>> PreviewStages(const v1::Recipe& recipe,
                                                    const v1::DatasetVersion& version,
                                                    int32_t logical_ranks,
                                                    const StagePreviewOptions& options,
                                                    const OpenShard& open) {
  const int64_t images = TrainImages(recipe, version);
  if (images == 0) {
    return InvalidArgument(Reason::kRecipeInvalid, absl::StrCat(version.name(), ": has no split ",
                                                                recipe.dataset().train_split()));
  }
  CVT_ASSIGN_OR_RETURN(const plan::TrialPlan plan,
                       plan::PlanTrial(recipe, {.images = images, .logical_ranks = logical_ranks}));
  const std::vector<plan::Stage>& stages = plan.curriculum().stages();
  if (options.stage >= static_cast<int>(stages.size())) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("stage ", options.stage + 1, ": the recipe has ", stages.size(), " stages"));
  }
  Pictures reader(recipe, version, open);
  std::vector<SheetRow> rows;
  int64_t height = 0;
  for (const plan::Stage& stage : stages) {
    if (options.stage >= 0 && stage.index != options.stage) continue;
    for (const int scale : ChosenSizes(static_cast<int>(stage.scales.size()), options.sizes_max)) {
      const std::optional<FoundStep> found = FindStep(plan, stage, scale);
      if (!found.has_value()) continue;
      // Nothing is decoded for a sheet that cannot be made.
      height += found->step.scale.height + kSheetRowHeight;
      if (height > kSheetSideMax) return SheetTooLarge();
      CVT_ASSIGN_OR_RETURN(SheetRow row, ShowStep(plan, *found, options.pictures, reader));
      row.caption = CaptionOf(stage, *found);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace cvtrain::client
