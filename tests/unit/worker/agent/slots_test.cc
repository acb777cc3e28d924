#include "worker/agent/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kGiB = uint64_t{1} << 30;

Machine MachineWith(int gpus) {
  Machine machine = {.cores = 4,
                     .memory_bytes = 20 * kGiB,
                     .instruction_set = "avx2",
                     .gpus = {},
                     .why_no_gpus = ""};
  for (int i = 0; i < gpus; ++i) {
    machine.gpus.push_back({.uuid = "GPU-" + std::to_string(i),
                            .model = "H100",
                            .memory_bytes = static_cast<int64_t>(80 * kGiB)});
  }
  if (gpus == 0) machine.why_no_gpus = "no NVIDIA driver";
  return machine;
}

// "gpu 79 GiB H100 GPU-0", for each slot.
std::vector<std::string> Text(const SlotPlan& plan) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < plan.slots.size(); ++i) {
    const v1::Slot& slot = plan.slots[i];
    EXPECT_EQ(slot.index(), static_cast<int>(i));
    lines.push_back(std::string(slot.kind() == v1::Slot::KIND_GPU ? "gpu " : "cpu ") +
                    std::to_string(slot.memory_bytes() >> 30) + " GiB " + slot.device() +
                    (plan.gpus[i].empty() ? "" : " " + plan.gpus[i]));
  }
  return lines;
}

TEST(PlanSlotsTest, HasOneForEachCoreWithoutGpus) {
  const auto plan = PlanSlots({}, MachineWith(0));
  ASSERT_THAT(plan, IsOk());
  // A tenth of the memory is kept.
  EXPECT_THAT(Text(*plan),
              ElementsAre("cpu 4 GiB avx2", "cpu 4 GiB avx2", "cpu 4 GiB avx2", "cpu 4 GiB avx2"));
}

TEST(PlanSlotsTest, HasOneForEachGpuAndNoOthers) {
  const auto plan = PlanSlots({}, MachineWith(2));
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(Text(*plan), ElementsAre("gpu 79 GiB H100 GPU-0", "gpu 79 GiB H100 GPU-1"));
}

TEST(PlanSlotsTest, HasWhatIsAskedFor) {
  Options options;
  options.gpus = 1;
  options.slots = 2;
  options.slot_memory = 3 * kGiB;
  options.threads_per_slot = 2;
  const auto plan = PlanSlots(options, MachineWith(2));
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(Text(*plan),
              ElementsAre("gpu 79 GiB H100 GPU-0", "cpu 3 GiB avx2", "cpu 3 GiB avx2"));
  EXPECT_EQ(plan->slots[1].threads(), 2);
  options.gpus = 0;
  options.slots = 0;
  EXPECT_EQ(PlanSlots(options, MachineWith(2))->slots.size(), 4u);
}

TEST(PlanSlotsTest, RefusesMoreGpusThanThereAre) {
  Options options;
  options.gpus = 3;
  EXPECT_THAT(PlanSlots(options, MachineWith(2)),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"),
                       Message(HasSubstr("3 are wanted, this machine has 2"))));
  EXPECT_THAT(PlanSlots(options, MachineWith(0)),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"),
                       Message(AllOf(HasSubstr("has 0"), HasSubstr("no NVIDIA driver")))));
}

TEST(FindGpusTest, SaysWhyThereAreNone) {
  std::string why;
  const std::vector<Gpu> gpus = FindGpus(&why);
  EXPECT_NE(gpus.empty(), why.empty()) << why;
  for (const Gpu& gpu : gpus) {
    EXPECT_THAT(gpu.uuid, HasSubstr("GPU-"));
    EXPECT_GT(gpu.memory_bytes, 0);
  }
}

}  // namespace
}  // namespace cvtrain::worker
