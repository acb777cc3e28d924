#include "worker/trainer/train/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <dnnl.hpp>
#include <stdexcept>

#include "tests/support/status_matchers.h"
#include "worker/trainer/train/memory_limit.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

// For every tensor of this program, as in the trainer.
const bool kInstalled = [] {
  InstallMemoryLimit();
  return true;
}();

TEST(GuardTest, PassesAStatusThrough) {
  EXPECT_THAT(Guard("working", [] { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(Guard("working", [] { return absl::NotFoundError("thing"); }),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(GuardTest, TurnsErrorsOfLibTorchIntoInternal) {
  const absl::Status status = Guard("adding", [] {
    at::ones({2}).add(at::ones({3}));
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL")));
}

TEST(GuardTest, TurnsCollectiveErrorsIntoPeerGone) {
  const auto fail = []() -> absl::Status {
    C10_THROW_ERROR(DistBackendError, "connection closed by peer");
  };
  EXPECT_THAT(Guard("summing", 2, fail),
              StatusIs(absl::StatusCode::kUnavailable, Reason("PEER_GONE")));
  EXPECT_THAT(Guard("summing", 1, fail), StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL")));
}

// Gloo throws its own errors. Without peers the same must not look like a lost worker, which is
// tried again without end.
TEST(GuardTest, BlamesAPeerOnlyIfThereIsOne) {
  const auto fail = []() -> absl::Status { throw std::runtime_error("cannot do that"); };
  EXPECT_THAT(Guard("working", 2, fail),
              StatusIs(absl::StatusCode::kUnavailable, Reason("PEER_GONE")));
  EXPECT_THAT(Guard("working", 1, fail), StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL")));
}

TEST(GuardTest, KnowsWhatOneDnnThrows) {
  const auto fail = [](dnnl_status_t status) {
    return Guard("convolving", 2,
                 [=]() -> absl::Status { throw dnnl::error(status, "could not execute"); });
  };
  EXPECT_THAT(fail(dnnl_out_of_memory),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("OUT_OF_MEMORY")));
  EXPECT_THAT(fail(dnnl_unimplemented), StatusIs(absl::StatusCode::kInternal, Reason("INTERNAL")));
}

TEST(GuardTest, TurnsTheSlotsLimitIntoOutOfMemory) {
  SetMemoryLimit(TensorMemoryBytes() + (int64_t{1} << 20));
  const auto allocate = [](int64_t bytes) {
    return Guard("allocating", [=] {
      at::empty({bytes}, at::kByte);
      return absl::OkStatus();
    });
  };
  EXPECT_THAT(allocate(1 << 16), IsOk());
  EXPECT_THAT(allocate(1 << 21),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("OUT_OF_MEMORY")));
  SetMemoryLimit(0);
  EXPECT_THAT(allocate(1 << 21), IsOk());
}

TEST(MemoryLimitTest, ABlockThatWasGivenBackIsForTheNextTensorOfItsSize) {
  constexpr int64_t kBytes = 1 << 20;
  // What has been held before may be kept.
  at::empty({4 * kBytes}, at::kByte);
  const void* first = at::empty({kBytes}, at::kByte).data_ptr();
  EXPECT_EQ(at::empty({kBytes}, at::kByte).data_ptr(), first);
  // A much smaller one gets another, and two at a time do not share one.
  EXPECT_NE(at::empty({kBytes / 2}, at::kByte).data_ptr(), first);
  const at::Tensor one = at::empty({kBytes}, at::kByte);
  const at::Tensor two = at::empty({kBytes}, at::kByte);
  EXPECT_EQ(one.data_ptr(), first);
  EXPECT_NE(two.data_ptr(), first);
}

TEST(MemoryLimitTest, WhatIsKeptForLaterMakesRoomForWhatIsAskedFor) {
  constexpr int64_t kBytes = 1 << 20;
  DropFreedMemory();
  SetMemoryLimit(TensorMemoryBytes() + 9 * kBytes);
  at::empty({8 * kBytes}, at::kByte);  // kept
  EXPECT_NO_THROW(at::empty({8 * kBytes + kBytes / 2}, at::kByte));
  SetMemoryLimit(0);
}

TEST(MemoryLimitTest, CountsWhatTensorsHold) {
  ASSERT_TRUE(kInstalled);
  const int64_t before = TensorMemoryBytes();
  {
    const at::Tensor tensor = at::empty({1 << 20}, at::kByte);
    EXPECT_GE(TensorMemoryBytes(), before + (1 << 20));
  }
  EXPECT_EQ(TensorMemoryBytes(), before);
}

}  // namespace
}  // namespace cvtrain::trainer
