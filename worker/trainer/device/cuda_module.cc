#include "worker/trainer/device/cuda_module.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "common/env.h"
#include "common/errors.h"

namespace cvtrain::trainer {
namespace {

constexpr char kFile[] = "libcvtrain_cuda.so";

absl::StatusOr<CudaModule> Open() {
  const auto failed = [](absl::string_view what) {
    return FailedPrecondition(
        Reason::kDeviceFault,
        absl::StrCat("cannot use a GPU: ", what,
                     "; a worker with GPUs needs NVIDIA's driver, the CUDA libraries of LibTorch "
                     "(scripts/setup --gpu) and ",
                     kFile, " beside cvtrain-trainer; without, start it with --gpus=0"));
  };
  void* library =
      ::dlopen(absl::StrCat(ProgramFolder(), "/", kFile).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return failed(::dlerror());
  CudaModule module;
  module.first_gpu =
      reinterpret_cast<Device* (*)(std::string*)>(::dlsym(library, "cvtrain_first_gpu"));
  module.new_nccl_ranks = ::dlsym(library, "cvtrain_new_nccl_ranks");
  if (module.first_gpu == nullptr || module.new_nccl_ranks == nullptr) {
    return failed(absl::StrCat(kFile, " is of another build"));
  }
  return module;
}

}  // namespace

absl::StatusOr<const CudaModule*> CudaModule::Load() {
  static const absl::StatusOr<CudaModule>* const module = new absl::StatusOr<CudaModule>(Open());
  if (!module->ok()) return module->status();
  return &**module;
}

}  // namespace cvtrain::trainer
