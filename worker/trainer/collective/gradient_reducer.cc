#include "worker/trainer/collective/gradient_reducer.h"

#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

namespace cvtrain::trainer {
namespace {

using torch::autograd::variable_list;

// Small enough that a bucket stays in the last-level cache while it is summed. The first one is
// smaller still, so that its sum starts early in the backward pass. Elements.
constexpr int64_t kFirstBucket = (int64_t{1} << 20) / 4;
constexpr int64_t kBucket = (int64_t{4} << 20) / 4;

// Gradients begin at cache lines.
int64_t Padded(int64_t elements) { return (elements + 15) / 16 * 16; }

class AfterAccumulation : public torch::autograd::FunctionPostHook {
 public:
  explicit AfterAccumulation(std::function<void()> action) : action_(std::move(action)) {}
  variable_list operator()(const variable_list& outputs, const variable_list&) override {
    action_();
    return outputs;
  }

 private:
  const std::function<void()> action_;
};

}  // namespace

struct GradientReducer::Hook {
  std::shared_ptr<torch::autograd::Node> accumulator;
  uintptr_t key = 0;
};

GradientReducer::GradientReducer(ProcessGroup& group, std::vector<at::Tensor> parameters)
    : group_(group) {
  LayOut(parameters);
}

GradientReducer::~GradientReducer() {
  for (const Hook& hook : hooks_) hook.accumulator->del_post_hook(hook.key);
}

void GradientReducer::LayOut(const std::vector<at::Tensor>& parameters) {
  at::NoGradGuard no_grad;
  // The backward pass reaches the last parameters first.
  std::vector<int64_t> sizes = {0};
  std::vector<std::pair<size_t, int64_t>> places(parameters.size());  // bucket, offset
  for (size_t i = parameters.size(); i-- > 0;) {
    const int64_t elements = Padded(parameters[i].numel());
    const int64_t limit = sizes.size() == 1 ? kFirstBucket : kBucket;
    if (sizes.back() > 0 && sizes.back() + elements > limit) sizes.push_back(0);
    places[i] = {sizes.size() - 1, sizes.back()};
    sizes.back() += elements;
  }
  for (at::Tensor& tensor : group_.NewBuckets(sizes)) {
    buckets_.push_back({.tensor = std::move(tensor), .sum = nullptr});
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& parameter = parameters[i];
    const auto [index, offset] = places[i];
    Bucket& bucket = buckets_[index];
    ++bucket.parameters;
    parameter.mutable_grad() =
        bucket.tensor.as_strided(parameter.sizes(), parameter.strides(), offset);
    auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
    const uintptr_t key = accumulator->add_post_hook(
        std::make_unique<AfterAccumulation>([this, index = index] { NoteReady(index); }));
    hooks_.push_back({std::move(accumulator), key});
  }
}

void GradientReducer::ReduceInNextBackward() {
  TORCH_CHECK(!armed_, "the backward pass before has not made all gradients");
  armed_ = true;
  started_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters;
}

void GradientReducer::NoteReady(size_t bucket) {
  if (!armed_) return;
  if (--buckets_[bucket].missing > 0) return;
  StartReady();
  if (started_ < buckets_.size()) return;
  // When all gradients of the pass are there, those of other leaves too.
  torch::autograd::Engine::get_default_engine().queue_callback([this] { Finish(); });
}

// In the same order on all ranks, whatever order their gradients come in.
void GradientReducer::StartReady() {
  for (; started_ < buckets_.size() && buckets_[started_].missing == 0; ++started_) {
    buckets_[started_].sum = group_.StartSum(buckets_[started_].tensor);
  }
}

void GradientReducer::Finish() {
  armed_ = false;
  for (Bucket& bucket : buckets_) {
    bucket.sum->Wait();
    bucket.sum.reset();
  }
}

void GradientReducer::Reduce() {
  TORCH_CHECK(!armed_, "the backward pass before has not made all gradients");
  for (Bucket& bucket : buckets_) bucket.sum = group_.StartSum(bucket.tensor);
  Finish();
}

}  // namespace cvtrain::trainer
