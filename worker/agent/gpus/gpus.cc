#include "worker/agent/gpus/gpus.h"

#include <dlfcn.h>

#include <array>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace cvtrain::worker {
namespace {

// The part of NVML's C interface that is used here, declared by hand: names and layouts are those
// of nvml.h, stable since version 2 of each function.
using NvmlDevice = struct nvmlDevice_st*;
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned int* count) = nullptr;
  int (*by_index)(unsigned int index, NvmlDevice* device) = nullptr;
  int (*uuid)(NvmlDevice device, char* text, unsigned int size) = nullptr;
  int (*name)(NvmlDevice device, char* text, unsigned int size) = nullptr;
  int (*memory)(NvmlDevice device, NvmlMemory* memory) = nullptr;
};

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(::dlsym(library, name));
  return *function != nullptr;
}

bool FindAll(void* library, Nvml* nvml) {
  return Find(library, "nvmlInit_v2", &nvml->init) &&
         Find(library, "nvmlShutdown", &nvml->shutdown) &&
         Find(library, "nvmlDeviceGetCount_v2", &nvml->count) &&
         Find(library, "nvmlDeviceGetHandleByIndex_v2", &nvml->by_index) &&
         Find(library, "nvmlDeviceGetUUID", &nvml->uuid) &&
         Find(library, "nvmlDeviceGetName", &nvml->name) &&
         Find(library, "nvmlDeviceGetMemoryInfo", &nvml->memory);
}

// False if the driver does not answer for it: one that has fallen off the bus is no slot.
bool Describe(const Nvml& nvml, unsigned int index, Gpu* gpu) {
  NvmlDevice device = nullptr;
  std::array<char, 96> uuid = {};
  std::array<char, 96> model = {};
  NvmlMemory memory = {};
  if (nvml.by_index(index, &device) != 0 || nvml.uuid(device, uuid.data(), uuid.size()) != 0 ||
      nvml.name(device, model.data(), model.size()) != 0 || nvml.memory(device, &memory) != 0) {
    return false;
  }
  *gpu = {.uuid = uuid.data(),
          .model = model.data(),
          .memory_bytes = static_cast<int64_t>(memory.total)};
  return true;
}

}  // namespace

std::vector<Gpu> FindGpus(std::string* why) {
  void* library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *why = absl::StrCat("no NVIDIA driver: ", ::dlerror());
    return {};
  }
  const auto close = absl::MakeCleanup([library] { ::dlclose(library); });
  Nvml nvml;
  if (!FindAll(library, &nvml)) {
    *why = "the NVIDIA driver is too old";
    return {};
  }
  if (const int error = nvml.init(); error != 0) {
    *why = absl::StrCat("the NVIDIA driver does not start: error ", error, " of NVML");
    return {};
  }
  const auto shut_down = absl::MakeCleanup([&nvml] { nvml.shutdown(); });
  unsigned int count = 0;
  nvml.count(&count);
  std::vector<Gpu> gpus;
  for (unsigned int index = 0; index < count; ++index) {
    Gpu gpu;
    if (Describe(nvml, index, &gpu)) gpus.push_back(gpu);
  }
  if (gpus.empty()) *why = "the NVIDIA driver shows no GPU";
  return gpus;
}

}  // namespace cvtrain::worker
