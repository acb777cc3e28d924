#ifndef CVTRAIN_BENCH_INPUT_BENCH_H_
#define CVTRAIN_BENCH_INPUT_BENCH_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/side/side.h"

namespace cvtrain::bench {

// Of a file that lists pictures or crops.
inline constexpr size_t kListBytesMax = 256 << 20;

struct DecodeOptions {
  std::string list;   // file: one path of a JPEG file in each line
  std::string crops;  // file: x, y, width, height as i32 for each image of pass 0, then of pass 1
  int size = 128;     // of the square results
  int threads = 2;
  std::string dump;  // file that takes the pixels of the last pass; none if empty
};
// Decodes the same bytes at the same crops as a peer; the argument is the number of the pass.
absl::StatusOr<Runner> NewDecodeBench(const DecodeOptions& options);

struct CreateOptions {
  std::string from;
  std::string to;     // folder, which exists
  std::string rungs;  // "72,112"; the default ladder if empty
  int source_side = 500;
  int quality = 90;
  int threads = 2;
};
// Makes shards of an image folder, and writes version.pb beside them.
absl::StatusOr<Runner> NewCreateBench(const CreateOptions& options);

struct LadderOptions {
  std::string data;   // folder that a CreateBench has filled
  std::string list;   // file: names of the files that pictures were made from, one in each line
  std::string crops;  // file: x, y, width, height as doubles, of the picture, in 0..1, for each
  int size = 128;     // of the square results
  std::string dump;   // file that takes the pixels
};
// What training would see of those crops.
absl::StatusOr<Runner> NewLadderBench(const LadderOptions& options);

struct LoadOptions {
  std::string data;  // folder that a CreateBench has filled
  std::string split = "train";
  int size = 128;
  int batch = 64;
  int threads = 2;
  int64_t cache_bytes = 0;
  double scale_min = 0.25;
  int epochs = 1000;
};
// Runs the trainer's own loader. The argument is `epoch`, which takes the batches of one epoch and
// of the next one in the next run; or `first STEP`, which makes a new loader and waits for the
// first batch of that step.
absl::StatusOr<Runner> NewLoadBench(const LoadOptions& options);

// Corrupts pictures of `size` x `size` pixels, as evaluations do, by the numbers of ImageNet-C; the
// argument is `fog 3`: a corruption and its severity.
absl::StatusOr<Runner> NewCorruptBench(int size);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_INPUT_BENCH_H_
