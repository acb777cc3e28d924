#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_

#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/snapshot/restore.h"

namespace cvtrain::trainer {

// The part of a checkpoint's manifest that is the same for the whole attempt: where it comes from.
storage::v1::CheckpointManifest ManifestOf(const v1::Start& start);

// What the resume point of `start` must agree with.
RestoreExpectation ExpectationOf(const v1::Start& start);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_
