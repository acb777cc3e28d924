#include "worker/trainer/train/evaluator.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/evaluation_metrics.h"

namespace cvtrain::trainer {
namespace {

constexpr int64_t kTop = 5;

}  // namespace

Evaluator::Evaluator(const cvtrain::v1::Evaluation& spec, Learner& learner, ProcessGroup& group,
                     TrainerHost& host)
    : spec_(spec), learner_(learner), group_(group), host_(host), conditions_(learner) {}

absl::StatusOr<Evaluator::Result> Evaluator::Evaluate(BatchSource& source) {
  at::NoGradGuard no_grad;
  learner_.ShareBuffers();
  Result result;
  absl::Status status;
  learner_.WithEvaluatedWeights([&] { status = EvaluateAll(source, result); });
  CVT_RETURN_IF_ERROR(status);
  return result;
}

absl::Status Evaluator::EvaluateAll(BatchSource& source, Result& result) {
  at::Tensor confusion;
  if (spec_.confusion_matrix()) {
    const int64_t classes = learner_.network().description().num_classes;
    confusion = at::zeros({classes * classes}, at::kLong);
  }
  for (int size = 0; size < spec_.sizes_size(); ++size) {
    const EvaluationView view = {.resize = spec_.sizes(size).resize(),
                                 .crop = spec_.sizes(size).crop(),
                                 .batch_size = spec_.batch_size()};
    std::vector<Score> scores(static_cast<size_t>(spec_.conditions_size()));
    CVT_RETURN_IF_ERROR(EvaluateSize(source, view, scores, size == 0 ? confusion : at::Tensor()));
    SumOverRanks(scores);

    Values mean;
    const double share = 1.0 / spec_.conditions_size();
    for (int i = 0; i < spec_.conditions_size(); ++i) {
      const Values values = ValuesOf(scores[static_cast<size_t>(i)]);
      Put(plan::EvaluationPrefix(spec_, size, i), values, result.metrics);
      mean.top1 += share * values.top1;
      mean.top5 += share * values.top5;
      mean.loss += share * values.loss;
      mean.ece += share * values.ece;
    }
    if (size == 0 && spec_.conditions_size() > 1) {
      Put(plan::EvaluationMeanPrefix(), mean, result.metrics);
    }
  }
  if (confusion.defined()) {
    group_.SumOverRanks(confusion);
    const int64_t* counts = confusion.data_ptr<int64_t>();
    result.confusion.assign(counts, counts + confusion.numel());
  }
  return absl::OkStatus();
}

void Evaluator::Score::Add(const Score& other) {
  count += other.count;
  top1 += other.top1;
  top5 += other.top5;
  loss += other.loss;
  for (size_t i = 0; i < kBins; ++i) {
    bins[i].count += other.bins[i].count;
    bins[i].confidence += other.bins[i].confidence;
    bins[i].right += other.bins[i].right;
  }
}

double Evaluator::Score::CalibrationError() const {
  double sum = 0;
  for (const Bin& bin : bins) sum += std::abs(bin.confidence - bin.right);
  return sum / count;
}

Evaluator::Values Evaluator::ValuesOf(const Score& score) {
  return {.top1 = 100 * score.top1 / score.count,
          .top5 = 100 * score.top5 / score.count,
          .loss = score.loss / score.count,
          .ece = 100 * score.CalibrationError()};
}

void Evaluator::Put(const std::string& prefix, const Values& values,
                    std::map<std::string, double>& metrics) {
  metrics[prefix + "/top1"] = values.top1;
  metrics[prefix + "/top5"] = values.top5;
  metrics[prefix + "/loss"] = values.loss;
  metrics[prefix + "/ece"] = values.ece;
}

absl::Status Evaluator::EvaluateSize(BatchSource& source, const EvaluationView& view,
                                     std::vector<Score>& scores, at::Tensor confusion) {
  CVT_RETURN_IF_ERROR(source.StartEvaluation(view));
  while (true) {
    CVT_ASSIGN_OR_RETURN(const std::optional<Batch> batch, source.NextEvaluation());
    if (!batch.has_value()) return absl::OkStatus();
    conditions_.Start(*batch);
    for (int i = 0; i < spec_.conditions_size(); ++i) {
      CVT_ASSIGN_OR_RETURN(const Score score, MeasureUnder(spec_.conditions(i), *batch,
                                                           i == 0 ? confusion : at::Tensor()));
      scores[static_cast<size_t>(i)].Add(score);
    }
  }
}

absl::StatusOr<Evaluator::Score> Evaluator::MeasureUnder(
    const cvtrain::v1::EvaluationCondition& condition, const Batch& batch,
    const at::Tensor& confusion) {
  Score sum;
  const int passes = std::max(condition.severities_size(), 1);
  for (int i = 0; i < passes; ++i) {
    if (host_.stop_request().mode == StopRequest::Mode::kNow) {
      return Cancelled(Reason::kStopping, "the attempt was stopped");
    }
    const int32_t severity = condition.severities().empty() ? 0 : condition.severities(i);
    CVT_ASSIGN_OR_RETURN(const at::Tensor images, conditions_.Under(condition, severity));
    sum.Add(Measure(images, batch, confusion));
    host_.NoteActivity();
  }
  return sum;
}

Evaluator::Score Evaluator::Measure(const at::Tensor& images, const Batch& batch,
                                    at::Tensor confusion) {
  const at::Tensor logits = learner_.Forward(learner_.Prepare(images), Network::Mode::kEvaluate);
  const at::Tensor labels = learner_.LabelsOf(batch);
  // The place of the right class among the logits: how many are larger. What is not a number
  // counts as larger, and is smaller than nothing: a network of NaN is never right.
  const at::Tensor own = logits.gather(1, labels.unsqueeze(1));
  const at::Tensor place = logits.le(own).logical_not().sum(1);
  const at::Tensor right = place.lt(1);
  Score score = {
      .count = static_cast<double>(batch.count),
      .top1 = right.sum().item<double>(),
      .top5 = place.lt(kTop).sum().item<double>(),
      .loss = at::cross_entropy_loss(logits.to(at::kDouble), labels, {}, at::Reduction::Sum)
                  .item<double>(),
      .bins = {}};
  const auto [confidence, first] = at::softmax(logits.to(at::kDouble), 1).max(1);
  if (confusion.defined()) {
    confusion.add_(at::bincount(labels * logits.size(1) + first, {}, confusion.numel()).cpu());
  }
  // Bins are open below: a confidence of 1/15 is in the first.
  const at::Tensor bin = confidence.nan_to_num(0)
                             .mul(static_cast<double>(kBins))
                             .ceil()
                             .sub(1)
                             .clamp(0, static_cast<double>(kBins) - 1)
                             .to(at::kLong);
  const auto sums = [&](const at::Tensor& values) {
    return at::bincount(bin, values, kBins).to(at::kDouble).cpu().contiguous();
  };
  const at::Tensor counts = sums({}), confidences = sums(confidence),
                   rights = sums(right.to(at::kDouble));
  for (size_t i = 0; i < kBins; ++i) {
    score.bins[i] = {.count = counts.data_ptr<double>()[i],
                     .confidence = confidences.data_ptr<double>()[i],
                     .right = rights.data_ptr<double>()[i]};
  }
  return score;
}

void Evaluator::SumOverRanks(std::vector<Score>& scores) {
  constexpr size_t kNumbers = 4 + 3 * kBins;
  static_assert(sizeof(Score) == kNumbers * sizeof(double));
  at::Tensor sums = at::from_blob(
      scores.data(), {static_cast<int64_t>(scores.size()), static_cast<int64_t>(kNumbers)},
      at::kDouble);
  group_.SumOverRanks(sums);
}

}  // namespace cvtrain::trainer
