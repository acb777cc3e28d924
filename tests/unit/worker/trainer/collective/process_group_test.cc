// What every process group promises, whatever its backend: one suite for all.

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
#include "worker/trainer/collective/gradient_reducer.h"

namespace cvtrain::trainer {
namespace {

using Backend = ProcessGroup::Backend;

struct World {
  Backend backend;
  int ranks;
};

class ProcessGroupTest : public ::testing::TestWithParam<World> {
 protected:
  // Runs `body` as each rank, on a thread each.
  static void OnRanks(const std::function<void(ProcessGroup&)>& body) {
    InMemoryStore store;
    std::vector<std::unique_ptr<Thread>> threads;
    for (int rank = 0; rank < GetParam().ranks; ++rank) {
      threads.push_back(std::make_unique<Thread>("rank", [&, rank](StopToken) {
        const auto group = ProcessGroup::Create(
            {.rank = rank, .world_size = GetParam().ranks, .backend = GetParam().backend}, store);
        body(*group);
      }));
    }
  }
  // 1 + 2 + ... over the ranks.
  static double SumOfRanks() { return GetParam().ranks * (GetParam().ranks + 1) / 2.0; }
};

INSTANTIATE_TEST_SUITE_P(Backends, ProcessGroupTest,
                         ::testing::Values(World{Backend::kSharedMemory, 2},
                                           World{Backend::kSharedMemory, 3},
                                           World{Backend::kSharedMemory, 5},
                                           World{Backend::kGloo, 2}, World{Backend::kGloo, 3}),
                         [](const auto& the) {
                           return (the.param.backend == Backend::kGloo ? "Gloo" : "SharedMemory") +
                                  std::to_string(the.param.ranks);
                         });

TEST_P(ProcessGroupTest, SumsAndMaximizesEachType) {
  OnRanks([](ProcessGroup& group) {
    const int own = group.rank() + 1;
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kLong}) {
      at::Tensor sum = at::full({2, 3}, own, type);
      group.SumOverRanks(sum);
      EXPECT_TRUE(at::equal(sum, at::full({2, 3}, SumOfRanks(), type)));
      at::Tensor largest = at::full({}, own, type);
      group.MaxOverRanks(largest);
      EXPECT_EQ(largest.item<int64_t>(), GetParam().ranks);
    }
  });
}

// From nothing to several pieces, odd, and in another memory format.
TEST_P(ProcessGroupTest, SumsTensorsOfAnySize) {
  OnRanks([](ProcessGroup& group) {
    for (int64_t size : {0, 1, 7, 1000, 65'536, 65'537, 400'003}) {
      const at::Tensor base = at::arange(size, at::kDouble);
      at::Tensor sum = base * (group.rank() + 1);
      group.SumOverRanks(sum);
      EXPECT_TRUE(at::equal(sum, base * SumOfRanks())) << size;
    }
    at::Tensor image = at::ones({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
    image.select(1, 2).fill_(2);
    const at::Tensor expected = image * GetParam().ranks;
    group.SumOverRanks(image);
    EXPECT_TRUE(at::equal(image, expected));
  });
}

TEST_P(ProcessGroupTest, BroadcastsWhatTheFirstHas) {
  OnRanks([](ProcessGroup& group) {
    for (int round = 0; round < 3; ++round) {
      const double own = group.rank() == 0 ? round : -1;
      std::vector<at::Tensor> tensors;
      for (int64_t size : {1, 300'000, 0, 5, 70'001}) tensors.push_back(at::full({size}, own));
      tensors.push_back(at::full({}, static_cast<int64_t>(own), at::kLong));
      tensors.push_back(at::full({2, 3, 4, 4}, own).contiguous(at::MemoryFormat::ChannelsLast));
      group.BroadcastFromFirst(tensors);
      for (const at::Tensor& tensor : tensors) {
        EXPECT_TRUE(at::equal(tensor, at::full_like(tensor, round)));
      }
    }
  });
}

// Ranks come to each operation in ever another order, and go on at once.
TEST_P(ProcessGroupTest, KeepsOperationsApart) {
  OnRanks([](ProcessGroup& group) {
    for (int round = 0; round < 300; ++round) {
      if ((round + group.rank()) % 3 == 0) WaitForStop(StopToken(), absl::Microseconds(200));
      at::Tensor sum = at::full({16}, round + group.rank(), at::kDouble);
      group.SumOverRanks(sum);
      ASSERT_EQ(sum[0].item<double>(), GetParam().ranks * round + SumOfRanks() - GetParam().ranks);
      if (round % 5 != 0) continue;
      at::Tensor first = at::full({4}, group.rank() == 0 ? round : -1);
      group.BroadcastFromFirst({first});
      ASSERT_EQ(first[3].item<float>(), round);
    }
  });
}

TEST_P(ProcessGroupTest, SumsBucketsWhileOthersAreUnderWay) {
  OnRanks([](ProcessGroup& group) {
    const std::vector<int64_t> sizes = {1, 1000, 300'000, 17};
    std::vector<at::Tensor> buckets = group.NewBuckets(sizes);
    buckets.push_back(at::zeros({100}));  // of other memory
    for (int round = 1; round <= 20; ++round) {
      std::vector<std::unique_ptr<PendingSum>> sums;
      for (size_t i = 0; i < buckets.size(); ++i) {
        if (round == 1) {
          EXPECT_EQ(buckets[i].abs().max().item<float>(), 0);
        }
        buckets[i].fill_(round * (group.rank() + 1) + static_cast<double>(i));
        if (round % 4 == group.rank()) WaitForStop(StopToken(), absl::Microseconds(300));
        sums.push_back(group.StartSum(buckets[i]));
      }
      for (const auto& sum : sums) sum->Wait();
      for (size_t i = 0; i < buckets.size(); ++i) {
        const double expected = round * SumOfRanks() + GetParam().ranks * static_cast<double>(i);
        ASSERT_TRUE(at::equal(buckets[i], at::full_like(buckets[i], expected))) << i;
      }
    }
  });
}

TEST_P(ProcessGroupTest, GivesAllRanksTheSameBits) {
  std::vector<at::Tensor> results(static_cast<size_t>(GetParam().ranks));
  OnRanks([&](ProcessGroup& group) {
    at::Tensor numbers = at::randn({100'000}) * (group.rank() + 1);
    std::vector<at::Tensor> buckets = group.NewBuckets({numbers.numel()});
    buckets[0].copy_(numbers);
    group.StartSum(buckets[0])->Wait();
    results[static_cast<size_t>(group.rank())] = buckets[0].clone();
  });
  for (const at::Tensor& result : results) EXPECT_TRUE(at::equal(result, results[0]));
}

// Parameters of several buckets, one of them a scalar, as RangeAugment's are.
std::vector<at::Tensor> MakeParameters() {
  std::vector<at::Tensor> parameters = {
      at::zeros({1024, 1024}), at::zeros({3, 5}),
      at::zeros({4, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast), at::zeros({})};
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

void ExpectGradients(const std::vector<at::Tensor>& parameters, double expected) {
  for (const at::Tensor& parameter : parameters) {
    EXPECT_TRUE(at::equal(parameter.grad(), at::full_like(parameter, expected)));
    EXPECT_EQ(parameter.grad().strides(), parameter.strides());
  }
}

TEST_P(ProcessGroupTest, SumsGradientsStepAfterStep) {
  OnRanks([](ProcessGroup& group) {
    std::vector<at::Tensor> parameters = MakeParameters();
    GradientReducer reducer(group, parameters);
    for (int step = 1; step <= 3; ++step) {
      for (at::Tensor& parameter : parameters) parameter.mutable_grad().zero_();
      reducer.ReduceInNextBackward();
      LossOf(parameters, step * (group.rank() + 1)).backward();
      ExpectGradients(parameters, step * SumOfRanks());
    }
  });
}

TEST_P(ProcessGroupTest, SumsWhatEarlierBackwardsAccumulated) {
  OnRanks([](ProcessGroup& group) {
    std::vector<at::Tensor> parameters = MakeParameters();
    GradientReducer reducer(group, parameters);
    for (int step = 0; step < 2; ++step) {
      for (at::Tensor& parameter : parameters) parameter.mutable_grad().zero_();
      LossOf(parameters, 10).backward();
      reducer.ReduceInNextBackward();
      LossOf(parameters, group.rank() + 1).backward();
      ExpectGradients(parameters, 10 * GetParam().ranks + SumOfRanks());
    }
    // Or all at once, when no backward pass is to come.
    for (at::Tensor& parameter : parameters) parameter.mutable_grad().zero_();
    LossOf(parameters, group.rank() + 1).backward();
    ExpectGradients(parameters, group.rank() + 1);
    reducer.Reduce();
    ExpectGradients(parameters, SumOfRanks());
  });
}

// One rank ends while the others wait for it.
TEST_P(ProcessGroupTest, ThrowsWhenARankIsGone) {
  OnRanks([](ProcessGroup& group) {
    at::Tensor numbers = at::ones({8}, at::kDouble);
    group.SumOverRanks(numbers);
    if (group.rank() == 1) return;
    EXPECT_THROW(
        {
          // The first may succeed: it may be over before the other is gone.
          for (int i = 0; i < 3; ++i) group.SumOverRanks(numbers);
        },
        std::exception);
  });
}

TEST_P(ProcessGroupTest, ThrowsWhenTheStoreIsGone) {
  InMemoryStore store;
  store.Fail(Unavailable(Reason::kPeerGone, "the agent is gone"));
  EXPECT_THROW(
      ProcessGroup::Create({.rank = 0, .world_size = 2, .backend = GetParam().backend}, store),
      std::exception);
}

TEST(OneRankTest, ConnectsNothing) {
  InMemoryStore store;
  const auto group = ProcessGroup::Create({}, store);
  at::Tensor numbers = at::ones({3});
  group->SumOverRanks(numbers);
  group->BroadcastFromFirst({numbers});
  EXPECT_TRUE(at::equal(numbers, at::ones({3})));
  EXPECT_EQ(store.calls(), 0);
}

TEST(AutomaticBackendTest, IsSharedMemoryOnOneMachine) {
  InMemoryStore store;
  std::vector<std::unique_ptr<Thread>> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.push_back(std::make_unique<Thread>("rank", [&, rank](StopToken) {
      const auto group = ProcessGroup::Create({.rank = rank, .world_size = 2}, store);
      EXPECT_EQ(group->backend_name(), "shared memory");
    }));
  }
}

}  // namespace
}  // namespace cvtrain::trainer
