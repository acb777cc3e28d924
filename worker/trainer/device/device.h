#ifndef CVTRAIN_WORKER_TRAINER_DEVICE_DEVICE_H_
#define CVTRAIN_WORKER_TRAINER_DEVICE_DEVICE_H_

#include <c10/core/Device.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cvtrain::trainer {

// Launches the same work again without launching each of its kernels.
class Recorder {
 public:
  // What the work depends on beside the content of tensors: shapes and switches.
  using Key = std::array<int64_t, 8>;

  virtual ~Recorder() = default;

  // Does what `body` does. With the same `key`, `body` must launch the same operations on the same
  // tensors, and read nothing back: after a few runs it is recorded, and from then on not called.
  // Throws c10::Error.
  virtual void Run(const Key& key, absl::FunctionRef<void()> body) = 0;
};

// Where the tensors of an attempt live and are computed: the CPU, or one GPU. All that the rest of
// the trainer knows of GPUs beside at::Device. Functions throw c10::Error unless they return a
// status. Thread-compatible, but for what says otherwise; lives as long as the process.
class Device {
 public:
  virtual ~Device() = default;

  static Device& Cpu();
  // The first GPU that this process sees. The first call loads LibTorch's CUDA part, which takes up
  // to a second; later ones return the same device.
  //
  // FAILED_PRECONDITION (DEVICE_FAULT) if there is no GPU, or its driver or the module
  // libcvtrain_cuda.so beside this program cannot be loaded: the message says which.
  static absl::StatusOr<Device*> Gpu();

  virtual at::Device place() const = 0;
  bool is_gpu() const { return place().is_cuda(); }
  // For people: "cpu", "NVIDIA H100 80GB HBM3".
  virtual std::string name() const = 0;

  // Bytes that tensors on it may have; 0: all that it has. More throws c10::OutOfMemoryError. Not
  // for the CPU, whose limit is the allocator's: see train/memory_limit.h.
  virtual void SetMemoryLimit(int64_t bytes) = 0;

  // Host memory that copies go to while Pin() holds it: they run beside computing then.
  virtual void Pin(absl::Span<char> memory) = 0;
  virtual void Unpin(absl::Span<char> memory) = 0;

  // Copying the state of a moment while computing goes on. Mark() is that moment, on the thread
  // that computes. CopyFromMark(), on any other one thread, runs `copy`, whose copies to the host
  // see what had been launched by then, and returns when they are complete.
  virtual void Mark() = 0;
  virtual void CopyFromMark(absl::FunctionRef<void()> copy) = 0;

  // Null where launching costs nothing.
  virtual std::unique_ptr<Recorder> NewRecorder() = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DEVICE_DEVICE_H_
