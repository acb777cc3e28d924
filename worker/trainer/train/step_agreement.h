#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_STEP_AGREEMENT_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_STEP_AGREEMENT_H_

#include "cvtrain/v1/trial.pb.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/data/work_times.h"
#include "worker/trainer/train/host.h"

namespace cvtrain::trainer {

// What all ranks know of a step when it is done.
struct StepSums {
  double task_loss = 0;         // mean over logical ranks
  double augment_loss = 0;      // mean over logical ranks
  double mse_mean = 0;          // mean over logical ranks of their pictures' mean
  double mse_median = 0;        // of this rank's pictures; not exchanged
  InputStall stall;             // of all ranks together
  double replaced_samples = 0;  // pictures that could not be decoded, all ranks, this step
};

// The one small exchange of a step: sums what is reported, and decides for all ranks alike whether
// they stop here. Requests reach ranks at different times; the first rank that has one stops all.
//
// `sums` holds this rank's share of each mean, and becomes the whole. Returns the cause that the
// ranks stop with, unspecified to go on; of several, the smallest. A world of one exchanges
// nothing. Throws c10::Error.
cvtrain::v1::Cause AgreeOnStep(ProcessGroup& group, const StopRequest& request, StepSums& sums);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_STEP_AGREEMENT_H_
