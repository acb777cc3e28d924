#include "worker/trainer/cuda/gpu_device.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <algorithm>

#include "worker/trainer/cuda/graph_recorder.h"

namespace cvtrain::trainer {
namespace {

// From one that is able to run anything; LibTorch's state of CUDA must be there before.
c10::cuda::CUDAStream NewStream(c10::DeviceIndex index) {
  at::globalContext().lazyInitDevice(at::DeviceType::CUDA);
  return c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index);
}

}  // namespace

GpuDevice::GpuDevice(c10::DeviceIndex index)
    : index_(index), copies_(NewStream(index)), mark_(cudaEventDisableTiming) {
  c10::cuda::set_device(index);
}

std::string GpuDevice::name() const {
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, index_));
  return properties.name;
}

void GpuDevice::SetMemoryLimit(int64_t bytes) {
  size_t free = 0;
  size_t total = 0;
  const c10::cuda::CUDAGuard guard(index_);
  C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const double share =
      bytes == 0 ? 1.0 : std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total));
  c10::cuda::CUDACachingAllocator::setMemoryFraction(share, index_);
}

// What cannot be pinned is copied through LibTorch's own pinned memory, or more slowly.
void GpuDevice::Pin(absl::Span<char> memory) {
  if (memory.empty()) return;
  const c10::cuda::CUDAGuard guard(index_);
  C10_CUDA_CHECK_WARN(cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterPortable));
}

void GpuDevice::Unpin(absl::Span<char> memory) {
  if (memory.empty()) return;
  const c10::cuda::CUDAGuard guard(index_);
  C10_CUDA_CHECK_WARN(cudaHostUnregister(memory.data()));
}

void GpuDevice::Mark() { mark_.record(c10::cuda::getCurrentCUDAStream(index_)); }

void GpuDevice::CopyFromMark(absl::FunctionRef<void()> copy) {
  const c10::cuda::CUDAStreamGuard guard(copies_);
  mark_.block(copies_);
  copy();
  copies_.synchronize();
}

std::unique_ptr<Recorder> GpuDevice::NewRecorder() {
  return std::make_unique<GraphRecorder>(index_);
}

}  // namespace cvtrain::trainer

extern "C" __attribute__((visibility("default"))) cvtrain::trainer::Device* cvtrain_first_gpu(
    std::string* why) {
  using cvtrain::trainer::GpuDevice;
  static std::string problem;
  static GpuDevice* const device = []() -> GpuDevice* {
    try {
      if (c10::cuda::device_count() > 0) return new GpuDevice(0);
      problem = "the driver shows no GPU to this process";
    } catch (const c10::Error& error) {
      problem = error.what_without_backtrace();
    }
    return nullptr;
  }();
  *why = problem;
  return device;
}
