#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<int64_t> Steps(const StateDriver& driver) {
  std::vector<int64_t> steps;
  for (const CheckpointName& name : driver.Trial(1, 1).checkpoints) {
    steps.push_back(driver.state.checkpoints().at(name).step());
  }
  return steps;
}

TEST_F(DecideTest, KeepsTheNewestAndTheBestCheckpoint) {
  Submit();
  Begin();
  for (int n = 1; n <= 4; ++n) {
    driver_.Evaluate(1, 1, "w1", 10 * n, n == 2 ? 90 : 50 + n);
    ASSERT_THAT(driver_.Save(1, 1, "w1", n, 10 * n), IsOk());
  }
  EXPECT_THAT(Steps(driver_), ElementsAre(20, 40));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), SizeIs(2));
}

TEST_F(DecideTest, KeepsWhatAnotherExperimentBeginsWith) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  const std::string first = "checkpoints/" + StateDriver::Checkpoint(1);
  ASSERT_THAT(driver_.Create(SpecFrom("tuned", first)), IsOk());
  for (int n = 2; n <= 3; ++n) ASSERT_THAT(driver_.Save(1, 1, "w1", n, 10 * n), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(10, 30));
  // Until it has ended.
  ASSERT_THAT(driver_.CancelExperiment(2), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 4, 40), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(40));
}

TEST_F(DecideTest, RefusesToBeginWithACheckpointThatIsNotThere) {
  Submit();
  EXPECT_THAT(driver_.Create(SpecFrom("tuned", "checkpoints/" + StateDriver::Checkpoint(1))),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(driver_.Create(SpecFrom("tuned", "checkpoints/1")),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(DecideTest, KeepsTheNewestCheckpointWithoutAnyEvaluation) {
  Submit();
  Begin();
  for (int n = 1; n <= 3; ++n) ASSERT_THAT(driver_.Save(1, 1, "w1", n, 10 * n), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(30));
}

// Two are sent side by side, and the older one may be the last that is listed.
TEST_F(DecideTest, ACheckpointThatComesLateIsNotTheNewest) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 20), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 10), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(20));
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  driver_.Register("w1", 2);
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).start_step(), 20);
  // A later attempt counts as newer, whatever its steps are.
  ASSERT_THAT(driver_.Save(1, 1, "w1", 3, 15), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(20, 15));  // it has not begun to go on from the first yet
}

TEST_F(DecideTest, GoesOnFromTheNewestCheckpoint) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  ASSERT_THAT(driver_.Lose("w1"), IsOk());
  EXPECT_EQ(driver_.StateOf(1, 1), kQueued);
  driver_.Register("w1", 2);
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const storage::v1::AttemptRecord& attempt = driver_.Trial(1, 1).record.attempts(1);
  EXPECT_EQ(attempt.resumed_from(), "checkpoints/" + StateDriver::Checkpoint(2));
  EXPECT_EQ(attempt.start_step(), 20);
}

TEST_F(DecideTest, GoesOnFromTheOneBeforeADamagedCheckpoint) {
  Submit();
  Begin();
  driver_.Evaluate(1, 1, "w1", 10, 90);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  driver_.End(1, 1, "w1", "INTERNAL");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const std::string second = "checkpoints/" + StateDriver::Checkpoint(2);
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).resumed_from(), second);
  ASSERT_THAT(driver_.Facts(1, 1, "w1",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: '",
                                          second, "' }")}),
              IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  const storage::v1::AttemptRecord& third = driver_.Trial(1, 1).record.attempts(2);
  EXPECT_EQ(third.resumed_from(), "checkpoints/" + StateDriver::Checkpoint(1));
  EXPECT_EQ(third.start_step(), 10);
  driver_.Start(1, 1, "w1", 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 3, 20), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(10, 20));
  EXPECT_EQ(driver_.state.checkpoints().count(*CheckpointName::Parse(second)), 0u)
      << "a damaged one goes with the next";
}

TEST_F(DecideTest, BeginsAnewIfEveryCheckpointIsDamaged) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Facts(1, 1, "w1",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: "
                                          "'checkpoints/",
                                          StateDriver::Checkpoint(1), "' }")}),
              IsOk());
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).resumed_from(), "");
  EXPECT_EQ(driver_.Trial(1, 1).record.attempts(1).start_step(), 0);
}

TEST_F(DecideTest, AWorkerCallsNoCheckpointOfAnotherTrialDamaged) {
  Submit();
  driver_.Register("w2", 1);
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  ASSERT_THAT(driver_.Create(SyntheticSpec("other")), IsOk());
  ASSERT_THAT(driver_.Allocate(2, 1, {{"w2", 0}}), IsOk());
  ASSERT_THAT(driver_.Facts(2, 1, "w2",
                            {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: "
                                          "'checkpoints/",
                                          StateDriver::Checkpoint(1), "' }")}),
              IsOk());
  EXPECT_FALSE(driver_.state.checkpoints().begin()->second.damaged());
}

TEST_F(DecideTest, KeepsWhatAnAttemptThatHasNotBegunGoesOnFrom) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  driver_.End(1, 1, "w1", "INTERNAL");
  ASSERT_THAT(driver_.Allocate(1, 1, {{"w1", 0}}), IsOk());
  ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(10, 20)) << "another worker may have to read it yet";
  driver_.Start(1, 1, "w1", 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 3, 30), IsOk());
  EXPECT_THAT(Steps(driver_), ElementsAre(30));
}

TEST_F(DecideTest, ListsACheckpointOnce) {
  Submit();
  Begin();
  const auto header = driver_.Header(1, 1, "w1", 1, 10);
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  const int64_t revision = driver_.state.revision();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  EXPECT_EQ(driver_.state.revision(), revision);
  auto other = header;
  other.set_digest(std::string(64, 'b'));
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, other, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(DecideTest, RefusesACheckpointThatMakesNoSense) {
  Submit();
  Begin();
  auto header = driver_.Header(1, 1, "w1", 1, 10);
  header.set_digest("ABC");
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  header = driver_.Header(1, 1, "w1", 1, -1);
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  header = driver_.Header(1, 1, "w1", 1, 1);
  header.set_size_bytes(int64_t{17} << 30);
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  header = driver_.Header(1, 1, "w1", 1, 1);
  header.set_checkpoint("../etc");
  EXPECT_THAT(DecideCommitCheckpoint(driver_.state, header, driver_.now).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
}

}  // namespace
}  // namespace cvtrain::coordinator
