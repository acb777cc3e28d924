#include "worker/trainer/device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DeviceTest, TheCpuCopiesAtOnceAndRecordsNothing) {
  Device& cpu = Device::Cpu();
  EXPECT_FALSE(cpu.is_gpu());
  EXPECT_EQ(cpu.name(), "cpu");
  bool copied = false;
  cpu.Mark();
  cpu.CopyFromMark([&] { copied = true; });
  EXPECT_TRUE(copied);
  EXPECT_EQ(cpu.NewRecorder(), nullptr);
}

TEST(DeviceTest, SaysWhatIsMissingForAGpu) {
  const auto gpu = Device::Gpu();
  if (gpu.ok()) GTEST_SKIP() << "this machine has a GPU: " << (*gpu)->name();
  EXPECT_THAT(gpu,
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("DEVICE_FAULT"),
                       Message(AllOf(HasSubstr("cannot use a GPU: "), HasSubstr("--gpus=0")))));
  EXPECT_EQ(Device::Gpu().status(), gpu.status()) << "the second call answers as the first";
}

}  // namespace
}  // namespace cvtrain::trainer
