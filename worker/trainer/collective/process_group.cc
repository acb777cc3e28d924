#include "worker/trainer/collective/process_group.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <string>

#include "worker/trainer/collective/backends.h"
#include "worker/trainer/collective/relay_store.h"
#include "worker/trainer/device/cuda_module.h"

namespace cvtrain::trainer {
namespace {

class Done : public PendingSum {
 public:
  void Wait() override {}
};

class OneRank : public ProcessGroup {
 public:
  int32_t rank() const override { return 0; }
  int32_t world_size() const override { return 1; }
  std::string backend_name() const override { return "none"; }
  void SumOverRanks(at::Tensor&) override {}
  void MaxOverRanks(at::Tensor&) override {}
  void BroadcastFromFirst(const std::vector<at::Tensor>&) override {}
  std::unique_ptr<PendingSum> StartSum(const at::Tensor&) override {
    return std::make_unique<Done>();
  }
};

}  // namespace

std::vector<at::Tensor> ProcessGroup::NewBuckets(const std::vector<int64_t>& sizes) {
  std::vector<at::Tensor> buckets;
  for (int64_t size : sizes) buckets.push_back(at::zeros({size}, at::kFloat));
  return buckets;
}

std::unique_ptr<ProcessGroup> ProcessGroup::Create(const Options& options,
                                                   StoreTransport& transport) {
  if (options.world_size == 1) return std::make_unique<OneRank>();
  const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
  auto store = c10::make_intrusive<RelayStore>(transport, timeout);
  if (options.place.is_cuda()) {
    const auto module = CudaModule::Load();
    TORCH_CHECK_WITH(DistBackendError, module.ok(), module.status().ToString());
    const auto new_ranks = reinterpret_cast<NewNcclRanks>((*module)->new_nccl_ranks);
    return std::unique_ptr<ProcessGroup>(new_ranks(&options, store.get()));
  }
  if (options.backend != Backend::kGloo) {
    std::string why;
    std::unique_ptr<ProcessGroup> shared = NewSharedRanks(options, store, &why);
    if (shared != nullptr) return shared;
    TORCH_CHECK_WITH(DistBackendError, options.backend == Backend::kAutomatic,
                     "no shared memory for these ranks: ", why);
  }
  return NewGlooRanks(options, store);
}

}  // namespace cvtrain::trainer
