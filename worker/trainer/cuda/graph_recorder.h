#ifndef CVTRAIN_WORKER_TRAINER_CUDA_GRAPH_RECORDER_H_
#define CVTRAIN_WORKER_TRAINER_CUDA_GRAPH_RECORDER_H_

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <memory>

#include "worker/trainer/device/device.h"

namespace cvtrain::trainer {

// CUDA graphs, one for each key, in one pool of memory: they never run at the same time. A step at
// a small size is about a thousand kernels of a few microseconds, and launching them one by one
// takes longer than running them.
class GraphRecorder : public Recorder {
 public:
  explicit GraphRecorder(c10::DeviceIndex device);

  void Run(const Key& key, absl::FunctionRef<void()> body) override;

 private:
  struct Entry {
    int runs = 0;
    std::unique_ptr<at::cuda::CUDAGraph> graph;
  };

  // Runs `body` on stream_, after what the current stream has, and what comes there after it.
  void RunBeside(absl::FunctionRef<void()> body);
  std::unique_ptr<at::cuda::CUDAGraph> Record(absl::FunctionRef<void()> body);

  const c10::DeviceIndex device_;
  const c10::cuda::CUDAStream stream_;  // the default stream cannot be recorded
  const at::cuda::MempoolId_t pool_;
  std::map<Key, Entry> entries_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_CUDA_GRAPH_RECORDER_H_
