#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_TRAINING_LOOP_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_TRAINING_LOOP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/unique_fd.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "plan/curriculum/learning_rate.h"
#include "plan/curriculum/psnr_target.h"
#include "plan/curriculum/sample_order.h"
#include "plan/curriculum/trial_plan.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/snapshot/snapshotter.h"
#include "worker/trainer/train/attempt.h"
#include "worker/trainer/train/evaluator.h"
#include "worker/trainer/train/learner.h"
#include "worker/trainer/train/progress_meter.h"
#include "worker/trainer/train/save_record.h"
#include "worker/trainer/train/step_agreement.h"

namespace cvtrain::trainer {

// One rank of an attempt at a classification trial:
//
//   restore or draw the start
//   with the first batch: rank 0 says that the attempt has started
//   for each step: its batches, forward and backward of each logical rank, the update;
//                  the ranks agree whether to go on; rank 0 reports
//     at the end of an epoch   evaluation where it is due, then the learned ranges
//     at the end of a stage    what it took (a fact)
//     where the policy says    a checkpoint, by rank 0; never waits for a buffer
//     when a stop was asked    a checkpoint, then the end; a rank that is alone does not wait for
//                              data before it
//     after one was lost       another one
//   after the last step: a checkpoint, which waits for a buffer
//
// The first step of each size finds out whether it fits into the memory: where it does not, on any
// rank, all run it again in micro-batches of half the size, with the same gradient, and so all
// steps that follow; a checkpoint keeps their number. Batch norm then sees smaller batches, which
// is logged.
//
// Evaluations come before the checkpoint of the same step, so a trial that goes on from it has
// reported them. Everything random comes from plan/curriculum's keys, so an attempt that goes on
// from a checkpoint continues as if it had not been interrupted, to the bit at the same ranks,
// threads and instruction set.
//
// Thread-compatible. Run() is guarded: nothing is thrown.
class TrainingLoop {
 public:
  // `start` and `services` must outlive this.
  TrainingLoop(const v1::Start& start, const AttemptServices& services);
  ~TrainingLoop();

  // Runs to the end, whatever it is. Returns OK when the last step is done and its checkpoint is
  // handed over; CANCELLED (STOPPING) when it ended because of a stop request, see stopped();
  // FAILED_PRECONDITION (DIVERGED) if a loss is not a number; errors of the parts.
  absl::Status Run(const UniqueFd& checkpoint);

  int64_t step() const { return step_; }
  std::string sample_digest() const { return digest_.Hex(); }
  // What the ranks agreed to stop with; unspecified if they did not.
  cvtrain::v1::Cause stopped_with() const { return stopped_with_; }

 private:
  // What belongs to the epoch under way.
  struct Epoch {
    int32_t number = 0;
    std::vector<plan::PlannedStep> steps;
    plan::SampleOrder order;
    double target_mse = 0;
  };
  // What StageMeasured counts, over all attempts.
  struct StageTotals {
    int32_t stage = 0;
    int64_t steps = 0;
    int64_t images = 0;
    absl::Duration duration;
  };

  absl::Status Prepare(const UniqueFd& checkpoint);
  absl::Status LoadInitialWeights(const UniqueFd& checkpoint);
  void RestoreStates(const storage::v1::CheckpointManifest& manifest);
  absl::Status Train();
  void EnterEpoch(int32_t number);
  absl::Status Step();
  absl::Status WaitForData();
  absl::Status StopHere();
  absl::StatusOr<StepSums> AccumulateStep(const plan::StepPosition& position,
                                          const plan::Scale& scale);
  // One logical rank of a size that was not run before, in more parts where the memory does not
  // suffice.
  absl::StatusOr<Learner::RankLoss> AccumulateCarefully(const Batch& batch,
                                                        const plan::RankStepKey& key);
  void NoteMicroBatches(int64_t batch_size);
  absl::Status FinishEpoch();
  absl::Status Evaluate();
  absl::Status SaveIfDue();
  absl::Status Save(Snapshotter::WhenBusy when_busy);

  double FlopsOf(const plan::Scale& scale);  // of a step, all ranks
  bool EndsEpoch() const;
  bool EvaluationIsDue(int32_t epochs_done) const;
  int64_t ImagesOfStep(const plan::Scale& scale) const;  // all ranks

  void ReportStarted();
  void ReportStep(const plan::StepPosition& position, const plan::PlannedStep& planned,
                  const StepSums& sums, const Learner::Update& update, absl::Duration duration);
  void ReportProgress(const plan::Scale& scale);
  void LogStart() const;
  void LogEpoch() const;
  void ReportEvaluation(const Evaluator::Result& evaluation);
  void ReportRanges();
  void ReportStage();
  void Point(absl::string_view metric, double value);

  const v1::Start& start_;
  const cvtrain::v1::Recipe& recipe_;
  const AttemptServices& services_;
  const bool reports_;  // rank 0

  // Made by Prepare(), in this order; the source and the reducer refer to what is above them.
  std::optional<plan::TrialPlan> plan_;
  std::optional<plan::LearningRateSchedule> rates_;
  std::optional<plan::PsnrTargetTable> targets_;
  LogicalShare share_;
  std::unique_ptr<ProcessGroup> group_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<BatchSource> source_;
  std::optional<Evaluator> evaluator_;
  std::unique_ptr<Snapshotter> snapshotter_;  // rank 0 only
  std::optional<ProgressMeter> meter_;

  int64_t step_ = 0;  // steps done
  plan::SampleDigest digest_;
  std::optional<Epoch> epoch_;
  StageTotals stage_;
  std::set<plan::Scale> fitting_;  // sizes that were run in this attempt with these micro-batches
  std::map<plan::Scale, double> image_flops_;  // a training step's, per image; filled as needed
  SaveRecord saves_;
  bool started_ = false;  // rank 0 has said so
  double last_loss_ = 0;
  std::string last_scores_;  // of the last evaluation, for the log
  cvtrain::v1::Cause stopped_with_ = cvtrain::v1::CAUSE_UNSPECIFIED;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_TRAINING_LOOP_H_
