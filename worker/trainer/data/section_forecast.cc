#include "worker/trainer/data/section_forecast.h"

#include <algorithm>

#include "common/limits.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/shard/shard_format.h"
#include "plan/augment/picture_draw.h"

namespace cvtrain::trainer {
namespace {

// Of each size of picture at each scale. A section that one picture in a hundred needs is found by
// so many with a probability of 0.92.
constexpr int kDraws = 256;

// Sizes that fewer pictures have are left out; of more than so many, the others are close enough.
constexpr double kShareMin = 0.02;
constexpr size_t kPicturesMax = 8;

// Photographs are three by four, and what is not so is close enough.
plan::PixelSize PhotoOf(int short_side) {
  return {.width = short_side * 4 / 3, .height = short_side};
}

}  // namespace

SectionForecast::SectionForecast(const cvtrain::v1::DatasetVersion& dataset) {
  // What the catalogue says was checked when it came; a list that no shard can have must not be
  // written past the record all the same.
  for (const int32_t rung : dataset.rungs()) {
    if (rungs_.size() < static_cast<size_t>(formats::kShardRungsMax)) rungs_.push_back(rung);
  }
  int64_t images = 1;
  for (const cvtrain::v1::SideCount& count : dataset.short_sides()) images += count.images();
  for (const cvtrain::v1::SideCount& count : dataset.short_sides()) {
    const bool counts =
        static_cast<double>(count.images()) >= kShareMin * static_cast<double>(images);
    if (!counts || pictures_.size() == kPicturesMax) continue;
    pictures_.push_back(PhotoOf(std::clamp(count.side(), 1, limits::kImageSideMax)));
  }
  if (pictures_.empty()) pictures_.push_back(PhotoOf(formats::kDefaultSourceSide));
}

SectionSet SectionForecast::SectionOf(plan::PixelSize picture, const plan::CropRect& crop,
                                      plan::PixelSize target) const {
  formats::ShardRecord record;
  record.source = {.width = picture.width, .height = picture.height};
  for (size_t rung = 0; rung <= rungs_.size(); ++rung) {
    const bool is_there =
        rung == rungs_.size() || std::min(picture.width, picture.height) > rungs_[rung];
    record.extents[rung].length = is_there ? 1 : 0;
  }
  return SectionSet::Of(formats::PickRung(record, rungs_,
                                          {.crop_width = crop.width,
                                           .crop_height = crop.height,
                                           .target_width = target.width,
                                           .target_height = target.height}));
}

SectionSet SectionForecast::OfTraining(const cvtrain::v1::Augmentation& augmentation,
                                       absl::Span<const plan::Scale> scales) {
  SectionSet sections;
  for (const plan::Scale& scale : scales) {
    // Neighbouring stages share most of their sizes.
    const auto [it, is_new] = of_size_.try_emplace({scale.height, scale.width});
    if (is_new) it->second = OfSize(augmentation, {.width = scale.width, .height = scale.height});
    sections |= it->second;
  }
  return sections;
}

SectionSet SectionForecast::OfSize(const cvtrain::v1::Augmentation& augmentation,
                                   plan::PixelSize target) const {
  SectionSet sections;
  for (const plan::PixelSize picture : pictures_) {
    for (int draw = 0; draw < kDraws; ++draw) {
      const plan::SampleKey key = {.step = {}, .position = draw};
      sections |=
          SectionOf(picture, plan::DrawPicture(augmentation, picture, target, key).crop, target);
    }
  }
  return sections;
}

SectionSet SectionForecast::OfEvaluation(int resize, int crop) const {
  SectionSet sections;
  for (const plan::PixelSize picture : pictures_) {
    sections |= SectionOf(picture, plan::CentreCrop(picture.width, picture.height, resize, crop),
                          {.width = crop, .height = crop});
  }
  return sections;
}

}  // namespace cvtrain::trainer
