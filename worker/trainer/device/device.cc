#include "worker/trainer/device/device.h"

#include "common/errors.h"
#include "common/status_macros.h"
#include "worker/trainer/device/cuda_module.h"

namespace cvtrain::trainer {
namespace {

class CpuDevice : public Device {
 public:
  at::Device place() const override { return at::Device(at::DeviceType::CPU); }
  std::string name() const override { return "cpu"; }
  void SetMemoryLimit(int64_t) override {}
  void Pin(absl::Span<char>) override {}
  void Unpin(absl::Span<char>) override {}
  void Mark() override {}
  void CopyFromMark(absl::FunctionRef<void()> copy) override { copy(); }
  std::unique_ptr<Recorder> NewRecorder() override { return nullptr; }
};

}  // namespace

Device& Device::Cpu() {
  static CpuDevice device;
  return device;
}

absl::StatusOr<Device*> Device::Gpu() {
  CVT_ASSIGN_OR_RETURN(const CudaModule* module, CudaModule::Load());
  std::string why;
  Device* gpu = module->first_gpu(&why);
  if (gpu == nullptr) return FailedPrecondition(Reason::kDeviceFault, why);
  return gpu;
}

}  // namespace cvtrain::trainer
