#include "worker/trainer/cuda/graph_recorder.h"

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

namespace cvtrain::trainer {
namespace {

// Before a recording: libraries set themselves up, cuDNN tries its algorithms, and gradients get
// their memory, none of which may be in it. LibTorch's own tools take three.
constexpr int kRunsBefore = 3;
// A graph of a ResNet-50 has 2 MB of its own beside the pool. Sizes beyond are launched as ever.
constexpr size_t kGraphsMax = 64;

}  // namespace

GraphRecorder::GraphRecorder(c10::DeviceIndex device)
    : device_(device),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)),
      pool_(at::cuda::graph_pool_handle()) {}

void GraphRecorder::Run(const Key& key, absl::FunctionRef<void()> body) {
  if (!entries_.contains(key) && entries_.size() >= kGraphsMax) {
    RunBeside(body);
    return;
  }
  Entry& entry = entries_[key];
  if (entry.graph == nullptr) {
    if (entry.runs++ < kRunsBefore) {
      RunBeside(body);
      return;
    }
    entry.graph = Record(body);
  }
  RunBeside([&] { entry.graph->replay(); });
}

void GraphRecorder::RunBeside(absl::FunctionRef<void()> body) {
  const c10::cuda::CUDAStream outside = c10::cuda::getCurrentCUDAStream(device_);
  c10::cuda::CUDAEvent before(cudaEventDisableTiming);
  c10::cuda::CUDAEvent after(cudaEventDisableTiming);
  before.record(outside);
  before.block(stream_);
  {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    body();
  }
  after.record(stream_);
  after.block(outside);
}

// Recording runs nothing.
std::unique_ptr<at::cuda::CUDAGraph> GraphRecorder::Record(absl::FunctionRef<void()> body) {
  C10_CUDA_CHECK(cudaDeviceSynchronize());
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  const c10::cuda::CUDAStreamGuard guard(stream_);
  // Other threads decode and copy meanwhile; the backward pass has a thread of its own that must be
  // recorded, so it cannot be this thread's work only.
  graph->capture_begin(pool_, cudaStreamCaptureModeRelaxed);
  body();
  graph->capture_end();
  return graph;
}

}  // namespace cvtrain::trainer
