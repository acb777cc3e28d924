#include "worker/trainer/collective/process_group.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <unordered_map>
#include <utility>

#include "worker/trainer/collective/relay_store.h"

namespace cvtrain::trainer {
namespace {

// Small enough that a bucket stays in the last-level cache while it is summed. The first one is
// smaller still, so that its sum starts early in the backward pass.
constexpr size_t kFirstBucketBytes = size_t{1} << 20;
constexpr size_t kBucketBytes = size_t{4} << 20;

class OneRank : public ProcessGroup {
 public:
  int32_t rank() const override { return 0; }
  int32_t world_size() const override { return 1; }
  void SumOverRanks(at::Tensor&) override {}
  void MaxOverRanks(at::Tensor&) override {}
  void BroadcastFromFirst(const std::vector<at::Tensor>&) override {}
  std::unique_ptr<GradientReducer> NewReducer(std::vector<at::Tensor>) override { return nullptr; }
};

class BucketReducer : public GradientReducer {
 public:
  BucketReducer(const c10::intrusive_ptr<c10d::ProcessGroup>& group,
                std::vector<at::Tensor> parameters) {
    const std::vector<bool> sparse(parameters.size(), false);
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(
        parameters, {kFirstBucketBytes, kBucketBytes}, sparse));
    // The backward pass reaches the last parameters first.
    std::reverse(buckets.begin(), buckets.end());
    reducer_ = std::make_unique<c10d::Reducer>(
        std::move(parameters), std::move(buckets), group, sparse,
        static_cast<int64_t>(kBucketBytes), /*find_unused_parameters=*/false,
        /*gradient_as_bucket_view=*/true, std::unordered_map<size_t, std::string>(),
        static_cast<int64_t>(kFirstBucketBytes), /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, std::vector<int64_t>());
  }

  // Without a call of rebuild_buckets(), the layout stays that of the constructor.
  void ReduceInNextBackward() override {
    reducer_->prepare_for_forward();
    reducer_->prepare_for_backward({});
  }

 private:
  std::unique_ptr<c10d::Reducer> reducer_;
};

class GlooRanks : public ProcessGroup {
 public:
  GlooRanks(const Options& options, StoreTransport& transport) : options_(options) {
    const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
    auto store = c10::make_intrusive<RelayStore>(transport, timeout);
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo_options->threads = 1;
    gloo_options->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(options.address));
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.world_size,
                                                        gloo_options);
    group_ = c10::make_intrusive<c10d::ProcessGroup>(store, options.rank, options.world_size);
    group_->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo_);
    group_->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  }

  int32_t rank() const override { return options_.rank; }
  int32_t world_size() const override { return options_.world_size; }

  void SumOverRanks(at::Tensor& tensor) override { AllReduce(tensor, c10d::ReduceOp::SUM); }
  void MaxOverRanks(at::Tensor& tensor) override { AllReduce(tensor, c10d::ReduceOp::MAX); }

  void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) override {
    std::vector<c10::intrusive_ptr<c10d::Work>> under_way;
    for (const at::Tensor& tensor : tensors) {
      std::vector<at::Tensor> one = {tensor};
      under_way.push_back(gloo_->broadcast(one));
    }
    for (const auto& work : under_way) work->wait();
  }

  std::unique_ptr<GradientReducer> NewReducer(std::vector<at::Tensor> parameters) override {
    return std::make_unique<BucketReducer>(group_, std::move(parameters));
  }

 private:
  void AllReduce(at::Tensor& tensor, c10d::ReduceOp::RedOpType operation) {
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    std::vector<at::Tensor> one = {tensor};
    gloo_->allreduce(one, options)->wait();
  }

  const Options options_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
  c10::intrusive_ptr<c10d::ProcessGroup> group_;
};

}  // namespace

std::unique_ptr<ProcessGroup> ProcessGroup::Create(const Options& options,
                                                   StoreTransport& transport) {
  if (options.world_size == 1) return std::make_unique<OneRank>();
  return std::make_unique<GlooRanks>(options, transport);
}

}  // namespace cvtrain::trainer
