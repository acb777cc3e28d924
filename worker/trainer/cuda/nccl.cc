#include "worker/trainer/cuda/nccl.h"

#include <c10/util/Exception.h>
#include <dlfcn.h>

namespace cvtrain::trainer {
namespace {

template <typename Function>
void Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(::dlsym(library, name));
  TORCH_CHECK_WITH(DistBackendError, *function != nullptr, "NCCL has no ", name);
}

Nccl Load() {
  void* library = ::dlopen("libnccl.so.2", RTLD_NOW);
  TORCH_CHECK_WITH(DistBackendError, library != nullptr, "no NCCL: ", ::dlerror());
  Nccl nccl;
  Find(library, "ncclGetUniqueId", &nccl.GetUniqueId);
  Find(library, "ncclCommInitRank", &nccl.CommInitRank);
  Find(library, "ncclCommAbort", &nccl.CommAbort);
  Find(library, "ncclCommGetAsyncError", &nccl.CommGetAsyncError);
  Find(library, "ncclAllReduce", &nccl.AllReduce);
  Find(library, "ncclBroadcast", &nccl.Broadcast);
  Find(library, "ncclGetErrorString", &nccl.GetErrorString);
  return nccl;
}

}  // namespace

const Nccl& Nccl::Get() {
  static const Nccl nccl = Load();
  return nccl;
}

}  // namespace cvtrain::trainer
