#ifndef CVTRAIN_BENCH_TRAIN_BENCH_H_
#define CVTRAIN_BENCH_TRAIN_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/side/side.h"

namespace cvtrain::bench {

// Which of several processes this one is, and where they meet.
struct RankOptions {
  int rank = 0;
  int world = 1;
  std::string store;    // a folder, empty at first
  std::string backend;  // "shared" or "gloo"
};

struct StepOptions {
  std::string model;  // a v1.Model as text, or "mlp:WIDTH:DEPTH"
  int classes = 1000;
  std::string data;     // file: BATCH x SIZE x SIZE x 3 bytes, then BATCH labels as i64
  std::string weights;  // file that takes the weights at the start, one tensor after another
  int size = 64;
  int batch = 16;
  int threads = 2;
  std::string device = "cpu";      // or "gpu", the first one
  std::string precision = "fp32";  // or "bf16"
  std::string format = "best";     // or "planes", "rows": where channels are
  RankOptions ranks;
};
// Trains steps on one batch that is in memory: to float, forward, loss, backward, update. The
// argument is how many. Says the `loss` of the last one. With several ranks, gradients are
// averaged.
absl::StatusOr<Runner> NewStepBench(const StepOptions& options);

// Sums over ranks. The argument is `BYTES COUNT`: so many sums, one after the other, of a bucket of
// so many bytes of float32; `seconds` is that of one of them.
absl::StatusOr<Runner> NewAllReduceBench(const RankOptions& options);

struct CheckpointOptions {
  int64_t bytes = int64_t{1} << 30;  // of the state
  std::string file;                  // takes a checkpoint of it
  int threads = 2;
  int products = 100;  // of matrices, which stand for the passes of a step
};
// The trainer's part of a checkpoint. The argument is `train`, a step without one, `save`, the same
// step after one, which says how long training stood still, or `restore`, from the file, which is
// in the page cache, into the tensors.
absl::StatusOr<Runner> NewCheckpointBench(const CheckpointOptions& options);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_TRAIN_BENCH_H_
