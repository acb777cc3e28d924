// Snapshotter and Restore(): what one writes, the other reads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/support/fake_gpu.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "worker/trainer/snapshot/restore.h"
#include "worker/trainer/snapshot/snapshotter.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::CheckpointManifest;
using storage::v1::Tensor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using WhenBusy = Snapshotter::WhenBusy;

constexpr bool kNever = false;

std::vector<SnapshotTensor> MakeStates(double value) {
  return {
      {"conv.weight", at::full({2, 3, 4, 4}, value).contiguous(at::MemoryFormat::ChannelsLast),
       Tensor::ROLE_PARAMETER},
      {"bn.num_batches_tracked", at::full({}, static_cast<int64_t>(value), at::kLong),
       Tensor::ROLE_BUFFER},
      {"momentum/conv.weight", at::full({2, 3, 4, 4}, -value), Tensor::ROLE_OPTIMIZER_STATE},
  };
}

CheckpointManifest MakeManifest(int64_t step) {
  CheckpointManifest manifest;
  manifest.set_step(step);
  manifest.set_plan_version(1);
  manifest.set_seed(7);
  manifest.set_logical_ranks(2);
  manifest.set_recipe_digest(std::string(64, 'a'));
  manifest.set_dataset_digest(std::string(64, 'b'));
  manifest.set_sample_digest(std::string(64, 'c'));
  return manifest;
}

RestoreExpectation MakeExpectation(int64_t step) {
  return {.checkpoint = "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11",
          .step = step,
          .recipe_digest = std::string(64, 'a'),
          .dataset_digest = std::string(64, 'b'),
          .plan_version = 1,
          .seed = 7,
          .logical_ranks = 2};
}

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() : snapshotter_(*Snapshotter::Create(states_, sink_)) {}

  absl::StatusOr<bool> Save(int64_t step, WhenBusy when_busy, bool gives_up = kNever) {
    const absl::StatusOr<bool> saved =
        snapshotter_->Save(MakeManifest(step), when_busy, [=] { return gives_up; });
    EXPECT_THAT(snapshotter_->FinishCopy(), IsOk());
    return saved;
  }

  // The file of a checkpoint at step 5.
  std::string Saved() {
    EXPECT_THAT(Save(5, WhenBusy::kSkip), IsOkAndHolds(true));
    return sink_.taken().back().file;
  }

  static absl::StatusOr<CheckpointManifest> RestoreFile(
      const std::string& file, const std::vector<SnapshotTensor>& states,
      const RestoreExpectation& expected = MakeExpectation(5)) {
    return Restore(FileOf(file), static_cast<int64_t>(file.size()), expected, states);
  }

  std::vector<SnapshotTensor> states_ = MakeStates(3);
  FakeSink sink_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

TEST_F(SnapshotTest, RestoresWhatWasSaved) {
  states_[0].tensor.copy_(at::rand({2, 3, 4, 4}));
  const std::string file = Saved();
  const std::vector<SnapshotTensor> restored = MakeStates(0);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointManifest manifest, RestoreFile(file, restored));
  EXPECT_EQ(manifest.step(), 5);
  for (size_t i = 0; i < states_.size(); ++i) {
    EXPECT_TRUE(at::equal(restored[i].tensor, states_[i].tensor)) << states_[i].name;
  }
}

TEST_F(SnapshotTest, HoldsTheStateOfTheMomentWhateverTheOptimizerDoesNext) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(5, WhenBusy::kSkip), IsOkAndHolds(true));
  states_[0].tensor.fill_(99);
  const std::vector<SnapshotTensor> restored = MakeStates(0);
  ASSERT_THAT(RestoreFile(sink_.taken().back().file, restored), IsOk());
  EXPECT_TRUE(at::equal(restored[0].tensor, at::full({2, 3, 4, 4}, 3.0)));
}

// As training does: a forward pass changes a buffer while the rest is being copied.
TEST_F(SnapshotTest, ForwardPassesMayGoOnAtOnceAndUpdatesAfterTheCopy) {
  ASSERT_THAT(snapshotter_->Save(MakeManifest(5), WhenBusy::kSkip, [] { return false; }),
              IsOkAndHolds(true));
  states_[1].tensor.fill_(99);
  ASSERT_THAT(snapshotter_->FinishCopy(), IsOk());
  states_[0].tensor.fill_(99);
  ASSERT_THAT(sink_.taken(), SizeIs(1));
  const std::vector<SnapshotTensor> restored = MakeStates(0);
  ASSERT_THAT(RestoreFile(sink_.taken().back().file, restored), IsOk());
  EXPECT_EQ(restored[1].tensor.item<int64_t>(), 3);
  EXPECT_TRUE(at::equal(restored[0].tensor, at::full({2, 3, 4, 4}, 3.0)));
}

TEST_F(SnapshotTest, FinishesWhatItBeganBeforeItGoes) {
  ASSERT_THAT(snapshotter_->Save(MakeManifest(5), WhenBusy::kSkip, [] { return false; }),
              IsOkAndHolds(true));
  snapshotter_.reset();
  EXPECT_THAT(sink_.taken(), SizeIs(1));
}

// On a GPU the moment is marked before the next passes are launched, and copied beside them.
TEST_F(SnapshotTest, MarksTheMomentThatItCopies) {
  FakeGpu gpu;
  snapshotter_.reset();  // it would take the handler of the next one with it
  snapshotter_ = *Snapshotter::Create(states_, sink_, gpu);
  EXPECT_THAT(Save(5, WhenBusy::kSkip), IsOkAndHolds(true));
  snapshotter_.reset();
  EXPECT_THAT(gpu.events(), ElementsAre("pin", "pin", "mark", "copy", "unpin", "unpin"));
}

TEST_F(SnapshotTest, HandsEachBufferOverOnce) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  sink_.ReleaseAll();
  EXPECT_THAT(Save(3, WhenBusy::kSkip), IsOkAndHolds(true));
  const auto taken = sink_.taken();
  ASSERT_THAT(taken, SizeIs(3));
  EXPECT_GE(taken[0].notice.fd, 0);
  EXPECT_GE(taken[1].notice.fd, 0);
  EXPECT_NE(taken[0].notice.buffer, taken[1].notice.buffer);
  EXPECT_EQ(taken[2].notice.fd, -1);
}

TEST_F(SnapshotTest, SkipsWhileBothBuffersAreTaken) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(3, WhenBusy::kSkip), IsOkAndHolds(false));
  EXPECT_THAT(sink_.taken(), SizeIs(2));
}

TEST_F(SnapshotTest, IgnoresTheReleaseOfACheckpointThatIsNotThere) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  sink_.Release(0, 99);
  sink_.Release(7, 1);
  EXPECT_THAT(Save(3, WhenBusy::kSkip), IsOkAndHolds(false));
}

TEST_F(SnapshotTest, TellsOfALostCheckpointOnce) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  const auto taken = sink_.taken();
  sink_.Release(taken[0].notice.buffer, 1, /*durable=*/true);
  EXPECT_EQ(snapshotter_->TakeLost(), std::nullopt);
  sink_.Release(taken[1].notice.buffer, 2, /*durable=*/false);
  EXPECT_EQ(snapshotter_->TakeLost(), 2);
  EXPECT_EQ(snapshotter_->TakeLost(), std::nullopt);
}

TEST_F(SnapshotTest, WaitsForABufferIfAskedTo) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  Thread releaser("release", [this](StopToken) { sink_.ReleaseAll(); });
  EXPECT_THAT(Save(3, WhenBusy::kWait), IsOkAndHolds(true));
}

TEST_F(SnapshotTest, StopsWaitingWhenToldTo) {
  sink_.HoldBuffers(true);
  EXPECT_THAT(Save(1, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(2, WhenBusy::kSkip), IsOkAndHolds(true));
  EXPECT_THAT(Save(3, WhenBusy::kWait, /*gives_up=*/true),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(SnapshotTest, RefusesADamagedBlock) {
  std::string file = Saved();
  // Inside the data of the last tensor: the trailer follows it.
  file[file.size() / 2] ^= 1;
  EXPECT_THAT(RestoreFile(file, MakeStates(0)),
              StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
}

TEST_F(SnapshotTest, RefusesAFileOfAnotherSize) {
  const std::string file = Saved();
  EXPECT_THAT(Restore(FileOf(file), static_cast<int64_t>(file.size()) + 1, MakeExpectation(5),
                      MakeStates(0)),
              StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")));
}

TEST_F(SnapshotTest, NamesTheTensorThatDoesNotFit) {
  const std::string file = Saved();
  const auto is_bad = [](const char* name) {
    return StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD"),
                    Message(HasSubstr(name)));
  };
  std::vector<SnapshotTensor> more = MakeStates(0);
  more.push_back({"fc.weight", at::zeros({2}), Tensor::ROLE_PARAMETER});
  EXPECT_THAT(RestoreFile(file, more), is_bad("fc.weight is missing"));

  std::vector<SnapshotTensor> fewer = MakeStates(0);
  fewer.pop_back();
  EXPECT_THAT(RestoreFile(file, fewer), is_bad("momentum/conv.weight"));

  std::vector<SnapshotTensor> reshaped = MakeStates(0);
  reshaped[0].tensor = at::zeros({2, 3, 4, 5});
  EXPECT_THAT(RestoreFile(file, reshaped), is_bad("conv.weight has shape [2, 3, 4, 4]"));

  std::vector<SnapshotTensor> retyped = MakeStates(0);
  retyped[1].tensor = at::zeros({});
  EXPECT_THAT(RestoreFile(file, retyped), is_bad("bn.num_batches_tracked"));
}

TEST_F(SnapshotTest, RefusesACheckpointOfAnotherTrial) {
  const std::string file = Saved();
  const auto refuses = [&](const RestoreExpectation& expected, const char* reason) {
    EXPECT_THAT(RestoreFile(file, MakeStates(0), expected),
                StatusIs(absl::StatusCode::kFailedPrecondition, Reason(reason)));
  };
  RestoreExpectation expected = MakeExpectation(5);
  expected.recipe_digest = std::string(64, 'x');
  refuses(expected, "WRONG_STATE");
  expected = MakeExpectation(5);
  expected.dataset_digest = std::string(64, 'x');
  refuses(expected, "WRONG_STATE");
  expected = MakeExpectation(5);
  expected.seed = 8;
  refuses(expected, "WRONG_STATE");
  expected = MakeExpectation(5);
  expected.logical_ranks = 4;
  refuses(expected, "WRONG_STATE");
  refuses(MakeExpectation(6), "WRONG_STATE");
  expected = MakeExpectation(5);
  expected.plan_version = 2;
  refuses(expected, "PLAN_VERSION_MISMATCH");
}

}  // namespace
}  // namespace cvtrain::trainer
