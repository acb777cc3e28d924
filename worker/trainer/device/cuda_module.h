#ifndef CVTRAIN_WORKER_TRAINER_DEVICE_CUDA_MODULE_H_
#define CVTRAIN_WORKER_TRAINER_DEVICE_CUDA_MODULE_H_

#include <string>

#include "absl/status/statusor.h"

namespace cvtrain::trainer {

class Device;

// What the module libcvtrain_cuda.so gives, by the names of its C functions. It is loaded when a
// GPU is asked for, so that one trainer serves machines with and without; it takes what it needs of
// the trainer from the program that loads it.
struct CudaModule {
  // cvtrain_first_gpu: the same at each call; null, and `why`, if there is none.
  Device* (*first_gpu)(std::string* why) = nullptr;
  // cvtrain_new_nccl_ranks; collective/backends.h says what it is.
  void* new_nccl_ranks = nullptr;

  // Loads it once. FAILED_PRECONDITION (DEVICE_FAULT) with the reason of the dynamic linker.
  // Thread-safe.
  static absl::StatusOr<const CudaModule*> Load();
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DEVICE_CUDA_MODULE_H_
