#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/train/host.h"
#include "worker/trainer/train/learner.h"
#include "worker/trainer/train/picture_conditions.h"

namespace cvtrain::v1 {
class Evaluation;
class EvaluationCondition;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// Measures the network on the validation split: every size of the recipe under every condition,
// each process on its share of the pictures, decoded once per size. A condition with a corruption
// is one pass of the network for each of its severities; its values are over the pictures of them
// all.
//
// The network is the averaged one where the recipe has an ema. Lives as long as the attempt.
// Thread-compatible. Throws c10::Error.
class Evaluator {
 public:
  // `spec` is resolved. All references must outlive this.
  Evaluator(const cvtrain::v1::Evaluation& spec, Learner& learner, ProcessGroup& group,
            TrainerHost& host);

  // The same on all ranks.
  struct Result {
    // By name; plan/recipe/evaluation_metrics.h says what they are called. Top-k and the
    // calibration error are in percent, loss in nats and without label smoothing.
    std::map<std::string, double> metrics;
    // classes x classes counts, row by row: true class, then the one put first. Empty unless the
    // recipe asks for it. Under all severities of the first condition, if it has a corruption.
    std::vector<int64_t> confusion;
  };
  // CANCELLED (STOPPING) if the attempt was stopped without a checkpoint; errors of `source`;
  // INTERNAL (OUT_OF_MEMORY) if a corruption has no memory.
  absl::StatusOr<Result> Evaluate(BatchSource& source);

 private:
  // Of the pictures whose confidence lies in one of equal parts of 0..1.
  static constexpr size_t kBins = 15;
  struct Bin {
    double count = 0, confidence = 0, right = 0;
  };
  // Sums over pictures.
  struct Score {
    double count = 0, top1 = 0, top5 = 0, loss = 0;
    std::array<Bin, kBins> bins;

    void Add(const Score& other);
    // Expected calibration error, from 0 to 1.
    double CalibrationError() const;
  };
  // Means over pictures: what is reported.
  struct Values {
    double top1 = 0, top5 = 0, loss = 0, ece = 0;
  };

  absl::Status EvaluateAll(BatchSource& source, Result& result);
  // `confusion`: where counts go for the first condition, if defined.
  absl::Status EvaluateSize(BatchSource& source, const EvaluationView& view,
                            std::vector<Score>& scores, at::Tensor confusion);
  static Values ValuesOf(const Score& score);
  static void Put(const std::string& prefix, const Values& values,
                  std::map<std::string, double>& metrics);
  // Of the pictures of the batch that `conditions_` has begun, under all severities. Looks for a
  // stop before each pass: a batch may have 160.
  absl::StatusOr<Score> MeasureUnder(const cvtrain::v1::EvaluationCondition& condition,
                                     const Batch& batch, const at::Tensor& confusion);
  Score Measure(const at::Tensor& images, const Batch& batch, at::Tensor confusion);
  void SumOverRanks(std::vector<Score>& scores);

  const cvtrain::v1::Evaluation& spec_;
  Learner& learner_;
  ProcessGroup& group_;
  TrainerHost& host_;
  PictureConditions conditions_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_
