#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cvtrain/storage/v1/checkpoint.pb.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/snapshot/restore.h"

namespace cvtrain::trainer {

// The part of a checkpoint's manifest that is the same for the whole attempt: where it comes from.
storage::v1::CheckpointManifest ManifestOf(const v1::Start& start);

// What the resume point of `start` must agree with.
RestoreExpectation ExpectationOf(const v1::Start& start);

// Small states of a loop that are no tensors, as whole numbers in text. An absent one is empty.
void PutNumbers(const std::string& name, const std::vector<int64_t>& numbers,
                storage::v1::CheckpointManifest& manifest);
std::vector<int64_t> NumbersOf(const storage::v1::CheckpointManifest& manifest,
                               const std::string& name);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_MANIFEST_H_
