#include "worker/trainer/collective/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/errors.h"
#include "common/thread.h"
#include "tests/unit/worker/trainer/support/fakes.h"

namespace cvtrain::trainer {
namespace {

// Runs `body` as each rank of a world of two, on a thread each.
void OnTwoRanks(const std::function<void(ProcessGroup&)>& body) {
  InMemoryStore store;
  std::vector<std::unique_ptr<Thread>> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.push_back(std::make_unique<Thread>("rank", [&, rank](StopToken) {
      const auto group = ProcessGroup::Create({.rank = rank, .world_size = 2}, store);
      body(*group);
    }));
  }
}

TEST(ProcessGroupTest, AWorldOfOneConnectsNothing) {
  InMemoryStore store;
  const auto group = ProcessGroup::Create({}, store);
  at::Tensor numbers = at::ones({3});
  group->SumOverRanks(numbers);
  group->BroadcastFromFirst({numbers});
  EXPECT_TRUE(at::equal(numbers, at::ones({3})));
  EXPECT_EQ(group->NewReducer({}), nullptr);
  EXPECT_EQ(store.calls(), 0);
}

TEST(ProcessGroupTest, SumsMaximizesAndBroadcasts) {
  OnTwoRanks([](ProcessGroup& group) {
    const double own = group.rank() + 1;
    at::Tensor sum = at::full({2}, own, at::kDouble);
    group.SumOverRanks(sum);
    EXPECT_EQ(sum[1].item<double>(), 3);
    at::Tensor largest = at::full({2}, own, at::kDouble);
    group.MaxOverRanks(largest);
    EXPECT_EQ(largest[0].item<double>(), 2);
    std::vector<at::Tensor> buffers = {at::full({3}, own),
                                       at::full({}, group.rank() + 1, at::kLong)};
    group.BroadcastFromFirst(buffers);
    EXPECT_TRUE(at::equal(buffers[0], at::ones({3})));
    EXPECT_EQ(buffers[1].item<int64_t>(), 1);
  });
}

// Parameters of several buckets, one of them a scalar, as RangeAugment's are.
std::vector<at::Tensor> MakeParameters() {
  std::vector<at::Tensor> parameters = {at::zeros({1024, 1024}), at::zeros({3, 5}), at::zeros({})};
  for (at::Tensor& parameter : parameters) {
    parameter.requires_grad_();
    parameter.mutable_grad() = at::zeros_like(parameter);
  }
  return parameters;
}

at::Tensor LossOf(const std::vector<at::Tensor>& parameters, double factor) {
  at::Tensor loss = at::zeros({});
  for (const at::Tensor& parameter : parameters) loss = loss + parameter.sum() * factor;
  return loss;
}

TEST(ProcessGroupTest, AveragesGradientsStepAfterStep) {
  OnTwoRanks([](ProcessGroup& group) {
    std::vector<at::Tensor> parameters = MakeParameters();
    const auto reducer = group.NewReducer(parameters);
    for (int step = 1; step <= 3; ++step) {
      for (at::Tensor& parameter : parameters) parameter.mutable_grad().zero_();
      reducer->ReduceInNextBackward();
      LossOf(parameters, step * (group.rank() == 0 ? 1 : 5)).backward();
      for (const at::Tensor& parameter : parameters) {
        EXPECT_TRUE(at::equal(parameter.grad(), at::full_like(parameter, 3.0 * step)));
      }
    }
  });
}

TEST(ProcessGroupTest, ReducesWhatEarlierBackwardsAccumulated) {
  OnTwoRanks([](ProcessGroup& group) {
    std::vector<at::Tensor> parameters = MakeParameters();
    const auto reducer = group.NewReducer(parameters);
    for (int step = 0; step < 2; ++step) {
      for (at::Tensor& parameter : parameters) parameter.mutable_grad().zero_();
      LossOf(parameters, 10).backward();
      reducer->ReduceInNextBackward();
      LossOf(parameters, group.rank() == 0 ? 2 : 4).backward();
      for (const at::Tensor& parameter : parameters) {
        EXPECT_TRUE(at::equal(parameter.grad(), at::full_like(parameter, 13)));
      }
    }
  });
}

TEST(ProcessGroupTest, ThrowsWhenTheStoreIsGone) {
  InMemoryStore store;
  store.Fail(Unavailable(Reason::kPeerGone, "the agent is gone"));
  EXPECT_THROW(ProcessGroup::Create({.rank = 0, .world_size = 2}, store), std::exception);
}

}  // namespace
}  // namespace cvtrain::trainer
