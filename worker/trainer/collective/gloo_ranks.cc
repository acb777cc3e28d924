#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <csignal>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>
#include <vector>

#include "worker/trainer/collective/backends.h"

namespace cvtrain::trainer {
namespace {

class GlooSum : public PendingSum {
 public:
  explicit GlooSum(c10::intrusive_ptr<c10d::Work> work) : work_(std::move(work)) {}
  void Wait() override { work_->wait(); }

 private:
  const c10::intrusive_ptr<c10d::Work> work_;
};

class GlooRanks : public ProcessGroup {
 public:
  GlooRanks(const Options& options, c10::intrusive_ptr<c10d::Store> store) : options_(options) {
    // It writes to sockets of ranks that may be gone: that is its error, not the process's end.
    std::signal(SIGPIPE, SIG_IGN);
    const auto timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo_options->threads = 1;
    gloo_options->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(options.address));
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(std::move(store), options.rank,
                                                        options.world_size, gloo_options);
  }

  int32_t rank() const override { return options_.rank; }
  int32_t world_size() const override { return options_.world_size; }
  std::string backend_name() const override { return "Gloo"; }

  void SumOverRanks(at::Tensor& tensor) override { AllReduce(tensor, c10d::ReduceOp::SUM)->wait(); }
  void MaxOverRanks(at::Tensor& tensor) override { AllReduce(tensor, c10d::ReduceOp::MAX)->wait(); }

  void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) override {
    std::vector<c10::intrusive_ptr<c10d::Work>> under_way;
    for (const at::Tensor& tensor : tensors) {
      std::vector<at::Tensor> one = {tensor};
      under_way.push_back(gloo_->broadcast(one));
    }
    for (const auto& work : under_way) work->wait();
  }

  std::unique_ptr<PendingSum> StartSum(const at::Tensor& bucket) override {
    return std::make_unique<GlooSum>(AllReduce(bucket, c10d::ReduceOp::SUM));
  }

 private:
  c10::intrusive_ptr<c10d::Work> AllReduce(const at::Tensor& tensor,
                                           c10d::ReduceOp::RedOpType operation) {
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    std::vector<at::Tensor> one = {tensor};
    return gloo_->allreduce(one, options);
  }

  const Options options_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
};

}  // namespace

std::unique_ptr<ProcessGroup> NewGlooRanks(const ProcessGroup::Options& options,
                                           c10::intrusive_ptr<c10d::Store> store) {
  return std::make_unique<GlooRanks>(options, std::move(store));
}

}  // namespace cvtrain::trainer
