#include "worker/trainer/train/picture_conditions.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/picture/picture_span.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::trainer {
namespace {

using cvtrain::v1::EvaluationCondition;

constexpr int64_t kDrawnBytesMax = int64_t{64} << 20;

static_assert(EvaluationCondition::Corruption_MAX == formats::kCorruptionKinds);
static_assert(EvaluationCondition::CORRUPTION_SATURATE ==
              static_cast<int>(formats::CorruptionKind::kSaturate));
static_assert(EvaluationCondition::CORRUPTION_FOG ==
              static_cast<int>(formats::CorruptionKind::kFog));
static_assert(EvaluationCondition::LEVELS_IMAGENET_C ==
              static_cast<int>(formats::CorruptionLevels::kImagenetC));
static_assert(EvaluationCondition::LEVELS_CIFAR10_C ==
              static_cast<int>(formats::CorruptionLevels::kCifar10C));

// In the order of channel, row, column, whatever the memory format of the pictures is.
at::Tensor NormalNumbersOf(int64_t sample, at::IntArrayRef shape) {
  at::Tensor numbers = at::empty(shape, at::kFloat);
  KeyedStream stream = plan::EvaluationNoiseStream(sample);
  float* out = numbers.data_ptr<float>();
  for (int64_t i = 0; i < numbers.numel(); ++i) out[i] = static_cast<float>(stream.Normal());
  return numbers;
}

}  // namespace

void PictureConditions::Start(const Batch& batch) {
  batch_ = &batch;
  clean_ = learner_.ToUnit(batch);
  noise_ = at::Tensor();
}

absl::StatusOr<at::Tensor> PictureConditions::Under(const EvaluationCondition& condition,
                                                    int32_t severity) {
  if (condition.corruption() != EvaluationCondition::CORRUPTION_UNSPECIFIED) {
    return Corrupt({.kind = static_cast<formats::CorruptionKind>(condition.corruption()),
                    .severity = severity,
                    .levels = static_cast<formats::CorruptionLevels>(condition.levels())});
  }
  if (condition.noise() == 0) return clean_;
  if (!noise_.defined()) noise_ = DrawNoise();
  return clean_.add(noise_, condition.noise()).clamp_(0, 1);
}

at::Tensor PictureConditions::DrawNoise() {
  std::vector<at::Tensor> noise;
  const int64_t side = clean_.size(-1);
  for (const int64_t sample : batch_->samples) {
    const auto known = drawn_.find({sample, side});
    if (known != drawn_.end()) {
      noise.push_back(known->second);
      continue;
    }
    noise.push_back(NormalNumbersOf(sample, clean_.sizes().slice(1)));
    const auto bytes = static_cast<int64_t>(noise.back().nbytes());
    if (drawn_bytes_ + bytes > kDrawnBytesMax) continue;
    drawn_.emplace(std::pair(sample, side), noise.back());
    drawn_bytes_ += bytes;
  }
  return at::stack(noise).to(clean_.device());
}

absl::StatusOr<at::Tensor> PictureConditions::Corrupt(const formats::Corruption& corruption) {
  corrupted_.assign(batch_->pixels.begin(), batch_->pixels.end());
  corruptors_.resize(static_cast<size_t>(std::max(at::get_num_threads(), 1)));
  const size_t picture_bytes = corrupted_.size() / static_cast<size_t>(batch_->count);
  std::vector<absl::Status> results(static_cast<size_t>(batch_->count));
  at::parallel_for(0, batch_->count, 1, [&](int64_t begin, int64_t end) {
    formats::Corruptor& corruptor = corruptors_[static_cast<size_t>(at::get_thread_num())];
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const formats::PictureSpan picture(
          absl::MakeSpan(corrupted_).subspan(i * picture_bytes, picture_bytes), batch_->width,
          batch_->height);
      results[i] = corruptor.Apply(
          corruption,
          plan::CorruptionStream(batch_->samples[i], static_cast<int32_t>(corruption.kind),
                                 corruption.severity),
          picture);
    }
  });
  for (const absl::Status& result : results) CVT_RETURN_IF_ERROR(result);
  Batch corrupted;
  corrupted.count = batch_->count;
  corrupted.height = batch_->height;
  corrupted.width = batch_->width;
  corrupted.pixels = corrupted_;
  return learner_.ToUnit(corrupted);
}

}  // namespace cvtrain::trainer
