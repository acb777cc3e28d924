#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_DECIDE_FIXTURE_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_DECIDE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/state_driver.h"

// What the tests of decide_*.h share.
namespace cvtrain::coordinator {

inline constexpr auto kQueued = v1::Trial::STATE_QUEUED;
inline constexpr auto kRunning = v1::Trial::STATE_RUNNING;
inline constexpr auto kSucceeded = v1::Trial::STATE_SUCCEEDED;
inline constexpr auto kFailed = v1::Trial::STATE_FAILED;
inline constexpr auto kCancelled = v1::Trial::STATE_CANCELLED;

class DecideTest : public ::testing::Test {
 protected:
  // One experiment with a single trial, and a worker with two slots.
  void Submit(const std::string& more = "") {
    driver_.Register("w1", 2);
    ASSERT_THAT(driver_.Create(SyntheticSpec("plain", more)),
                cvtrain::testing::IsOkAndHolds("experiments/1"));
  }
  void Begin() {
    ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), cvtrain::testing::IsOk());
    driver_.Start(1, 1, "w1");
  }
  v1::Experiment::State ExperimentState() const { return driver_.Experiment(1).record.state(); }

  StateDriver driver_;
};

// A data set `trash` of one split, in two shards.
inline v1::CommitDatasetVersionRequest DatasetRequest() {
  v1::CommitDatasetVersionRequest request;
  request.set_dataset("trash");
  v1::DatasetVersion& version = *request.mutable_version();
  version.set_digest(std::string(64, 'd'));
  version.add_classes("glass");
  version.add_classes("paper");
  v1::Split& split = *version.add_splits();
  split.set_name("train");
  split.set_images(5);
  split.add_class_images(2);
  split.add_class_images(3);
  for (int i = 0; i < 2; ++i) {
    v1::Shard& shard = *version.add_shards();
    shard.set_index(i);
    shard.set_split("train");
    shard.set_images(i == 0 ? 3 : 2);
    shard.set_first_image(i == 0 ? 0 : 3);
    shard.set_size_bytes(100);
    shard.set_digest(std::string(64, 'e'));
  }
  return request;
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_STATE_DECIDE_FIXTURE_H_
