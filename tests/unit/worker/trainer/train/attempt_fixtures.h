#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_ATTEMPT_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_ATTEMPT_FIXTURES_H_

#include <cstdint>
#include <map>
#include <string>

#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "worker/trainer/train/attempt.h"

namespace cvtrain::trainer {

// All that one rank has around it, and what its attempt left.
struct Rank {
  FakeHost host;
  FakeSink sink;
  AttemptResult result;
};

inline storage::v1::CheckpointManifest ManifestIn(const std::string& file) {
  return formats::CheckpointView::Open(file, "checkpoint")->manifest();
}

// The tensors of a checkpoint by name, as bytes.
inline std::map<std::string, std::string> TensorsOf(const std::string& file) {
  const auto view = formats::CheckpointView::Open(file, "checkpoint");
  CVT_CHECK_OK(view.status());
  std::map<std::string, std::string> tensors;
  for (int i = 0; i < view->tensor_count(); ++i) {
    const auto tensor = view->tensor(i);
    tensors[std::string(tensor.name)] = std::string(tensor.data);
  }
  return tensors;
}

// The checkpoint that an attempt took last.
inline std::string LastFile(const Rank& rank) {
  const auto taken = rank.sink.taken();
  CVT_CHECK(!taken.empty()) << rank.result.message;
  return taken.back().file;
}

// `start`, to go on from the checkpoint in `file`.
inline v1::Start ResumeFrom(v1::Start start, const std::string& file) {
  start.mutable_resume()->set_checkpoint("checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11");
  start.mutable_resume()->set_step(ManifestIn(file).step());
  start.mutable_resume()->set_size_bytes(static_cast<int64_t>(file.size()));
  return start;
}

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_TRAIN_ATTEMPT_FIXTURES_H_
