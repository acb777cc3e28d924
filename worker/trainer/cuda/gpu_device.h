#ifndef CVTRAIN_WORKER_TRAINER_CUDA_GPU_DEVICE_H_
#define CVTRAIN_WORKER_TRAINER_CUDA_GPU_DEVICE_H_

#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>
#include <memory>
#include <string>

#include "worker/trainer/device/device.h"

namespace cvtrain::trainer {

// One GPU of this process.
class GpuDevice : public Device {
 public:
  // Throws c10::Error if the driver has no such GPU.
  explicit GpuDevice(c10::DeviceIndex index);

  at::Device place() const override { return at::Device(at::DeviceType::CUDA, index_); }
  std::string name() const override;
  void SetMemoryLimit(int64_t bytes) override;
  void Pin(absl::Span<char> memory) override;
  void Unpin(absl::Span<char> memory) override;
  void Mark() override;
  void CopyFromMark(absl::FunctionRef<void()> copy) override;
  std::unique_ptr<Recorder> NewRecorder() override;

 private:
  const c10::DeviceIndex index_;
  const c10::cuda::CUDAStream copies_;  // beside the stream that computes
  c10::cuda::CUDAEvent mark_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_CUDA_GPU_DEVICE_H_
