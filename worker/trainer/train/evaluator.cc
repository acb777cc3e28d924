#include "worker/trainer/train/evaluator.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <optional>
#include <utility>

#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/keys.h"
#include "plan/recipe/evaluation_metrics.h"

namespace cvtrain::trainer {
namespace {

constexpr int64_t kTop = 5;

constexpr int64_t kNoiseBytesMax = int64_t{64} << 20;

// Drawn in the order of channel, row, column, whatever the memory format of the pictures is.
at::Tensor DrawNoise(int64_t sample, at::IntArrayRef shape) {
  at::Tensor noise = at::empty(shape, at::kFloat);
  KeyedStream stream = plan::EvaluationNoiseStream(sample);
  float* out = noise.data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) out[i] = static_cast<float>(stream.Normal());
  return noise;
}

}  // namespace

Evaluator::Evaluator(const cvtrain::v1::Evaluation& spec, Learner& learner, ProcessGroup& group,
                     TrainerHost& host)
    : spec_(spec), learner_(learner), group_(group), host_(host) {}

absl::StatusOr<std::map<std::string, double>> Evaluator::Evaluate(BatchSource& source) {
  at::NoGradGuard no_grad;
  learner_.ShareBuffers();
  std::map<std::string, double> metrics;
  for (int size = 0; size < spec_.sizes_size(); ++size) {
    const EvaluationView view = {.resize = spec_.sizes(size).resize(),
                                 .crop = spec_.sizes(size).crop(),
                                 .batch_size = spec_.batch_size()};
    std::vector<Score> scores(static_cast<size_t>(spec_.conditions_size()));
    CVT_RETURN_IF_ERROR(EvaluateSize(source, view, scores));
    SumOverRanks(scores);

    Score mean;
    for (int i = 0; i < spec_.conditions_size(); ++i) {
      const Score& score = scores[static_cast<size_t>(i)];
      Put(plan::EvaluationPrefix(spec_, size, i), score, metrics);
      mean.count += 1;
      mean.top1 += score.top1 / score.count;
      mean.top5 += score.top5 / score.count;
      mean.loss += score.loss / score.count;
    }
    if (size == 0 && spec_.conditions_size() > 1) {
      Put(plan::EvaluationMeanPrefix(), mean, metrics);
    }
  }
  return metrics;
}

void Evaluator::Put(const std::string& prefix, const Score& score,
                    std::map<std::string, double>& metrics) {
  metrics[prefix + "/top1"] = 100 * score.top1 / score.count;
  metrics[prefix + "/top5"] = 100 * score.top5 / score.count;
  metrics[prefix + "/loss"] = score.loss / score.count;
}

absl::Status Evaluator::EvaluateSize(BatchSource& source, const EvaluationView& view,
                                     std::vector<Score>& scores) {
  CVT_RETURN_IF_ERROR(source.StartEvaluation(view));
  while (true) {
    if (host_.stop_request().mode == StopRequest::Mode::kNow) {
      return Cancelled(Reason::kStopping, "the attempt was stopped");
    }
    CVT_ASSIGN_OR_RETURN(const std::optional<Batch> batch, source.NextEvaluation());
    if (!batch.has_value()) return absl::OkStatus();
    const at::Tensor images = learner_.ToUnit(*batch);
    at::Tensor noise;  // drawn for the first condition that has it
    for (int i = 0; i < spec_.conditions_size(); ++i) {
      const double deviation = spec_.conditions(i).noise();
      if (deviation > 0 && !noise.defined()) noise = NoiseOf(images, batch->samples);
      const Score one =
          Measure(deviation > 0 ? images.add(noise, deviation).clamp_(0, 1) : images, *batch);
      Score& score = scores[static_cast<size_t>(i)];
      score.count += one.count;
      score.top1 += one.top1;
      score.top5 += one.top5;
      score.loss += one.loss;
      host_.NoteActivity();
    }
  }
}

at::Tensor Evaluator::NoiseOf(const at::Tensor& images, absl::Span<const int64_t> samples) {
  std::vector<at::Tensor> noise;
  for (int64_t sample : samples) {
    const auto known = noise_.find({sample, images.size(-1)});
    if (known != noise_.end()) {
      noise.push_back(known->second);
      continue;
    }
    noise.push_back(DrawNoise(sample, images.sizes().slice(1)));
    const auto bytes = static_cast<int64_t>(noise.back().nbytes());
    if (noise_bytes_ + bytes > kNoiseBytesMax) continue;
    noise_.emplace(std::pair(sample, images.size(-1)), noise.back());
    noise_bytes_ += bytes;
  }
  return at::stack(noise);
}

Evaluator::Score Evaluator::Measure(const at::Tensor& images, const Batch& batch) {
  const at::Tensor logits = learner_.Forward(learner_.Prepare(images), Network::Mode::kEvaluate);
  const at::Tensor labels =
      at::from_blob(const_cast<int64_t*>(batch.labels.data()), {batch.count}, at::kLong);
  // The place of the right class among the logits: how many are larger. What is not a number
  // counts as larger, and is smaller than nothing: a network of NaN is never right.
  const at::Tensor own = logits.gather(1, labels.unsqueeze(1));
  const at::Tensor place = logits.le(own).logical_not().sum(1);
  return {.count = static_cast<double>(batch.count),
          .top1 = place.lt(1).sum().item<double>(),
          .top5 = place.lt(kTop).sum().item<double>(),
          .loss = at::cross_entropy_loss(logits.to(at::kDouble), labels, {}, at::Reduction::Sum)
                      .item<double>()};
}

void Evaluator::SumOverRanks(std::vector<Score>& scores) {
  static_assert(sizeof(Score) == 4 * sizeof(double));
  at::Tensor sums =
      at::from_blob(scores.data(), {static_cast<int64_t>(scores.size()), 4}, at::kDouble);
  group_.SumOverRanks(sums);
}

}  // namespace cvtrain::trainer
