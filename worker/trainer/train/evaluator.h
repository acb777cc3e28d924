#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/train/host.h"
#include "worker/trainer/train/learner.h"

namespace cvtrain::v1 {
class Evaluation;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// Measures the network on the validation split: every size of the recipe under every condition,
// each process on its share of the pictures, decoded once per size. Noise is the same in every
// evaluation and under every condition, so it is drawn once for a batch, and what was drawn is
// kept, up to 64 MiB.
//
// Lives as long as the attempt. Thread-compatible. Throws c10::Error.
class Evaluator {
 public:
  // `spec` is resolved. All references must outlive this.
  Evaluator(const cvtrain::v1::Evaluation& spec, Learner& learner, ProcessGroup& group,
            TrainerHost& host);

  // Metrics by name, the same on all ranks; plan/recipe/evaluation_metrics.h says what they are
  // called. Top-k is in percent, loss in nats and without label smoothing.
  //
  // CANCELLED (STOPPING) if the attempt was stopped without a checkpoint; errors of `source`.
  absl::StatusOr<std::map<std::string, double>> Evaluate(BatchSource& source);

 private:
  // Sums over pictures.
  struct Score {
    double count = 0, top1 = 0, top5 = 0, loss = 0;
  };

  absl::Status EvaluateSize(BatchSource& source, const EvaluationView& view,
                            std::vector<Score>& scores);
  static void Put(const std::string& prefix, const Score& score,
                  std::map<std::string, double>& metrics);
  // Standard normal numbers for each value of the batch.
  at::Tensor NoiseOf(const at::Tensor& images, absl::Span<const int64_t> samples);
  Score Measure(const at::Tensor& images, const Batch& batch);
  void SumOverRanks(std::vector<Score>& scores);

  const cvtrain::v1::Evaluation& spec_;
  Learner& learner_;
  ProcessGroup& group_;
  TrainerHost& host_;
  // Standard normal numbers by (picture, side).
  std::map<std::pair<int64_t, int64_t>, at::Tensor> noise_;
  int64_t noise_bytes_ = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_EVALUATOR_H_
