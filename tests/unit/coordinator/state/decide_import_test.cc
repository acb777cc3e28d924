// Checkpoints that no trial made, and what ends the keeping of those that one did.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "coordinator/state/decide_checkpoint.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string NameOf(int n) { return "checkpoints/" + StateDriver::Checkpoint(n); }
CheckpointName Parsed(int n) { return *CheckpointName::Parse(NameOf(n)); }

class DecideImportTest : public DecideTest {
 protected:
  absl::Status Refusal(const v1::ImportCheckpointHeader& header) const {
    return DecideImportCheckpoint(driver_.state, header, driver_.now).status();
  }
};

TEST_F(DecideImportTest, ListsWhatNoTrialMade) {
  EXPECT_THAT(driver_.Import(1), IsOkAndHolds(NameOf(1)));
  CVT_ASSERT_OK_AND_ASSIGN(const storage::v1::CheckpointRecord* record,
                           driver_.state.FindCheckpoint(Parsed(1)));
  EXPECT_EQ(record->attempt(), "");
  EXPECT_EQ(record->label(), "resnet18.safetensors");
  EXPECT_EQ(record->size_bytes(), 2000);
  EXPECT_EQ(record->digest(), std::string(64, 'b'));
  EXPECT_TRUE(record->has_create_time());
  EXPECT_THAT(driver_.state.imported(), ElementsAre(Parsed(1)));
}

TEST_F(DecideImportTest, ARepetitionDecidesNothingAndAnotherBodyIsRefused) {
  ASSERT_THAT(driver_.Import(1), IsOk());
  const int64_t revision = driver_.state.revision();
  EXPECT_THAT(driver_.Import(1), IsOkAndHolds(NameOf(1)));
  EXPECT_EQ(driver_.state.revision(), revision);
  const auto reused = [] {
    return StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED"));
  };
  v1::ImportCheckpointHeader header = StateDriver::ImportHeader(1);
  header.set_digest(std::string(64, 'c'));
  EXPECT_THAT(Refusal(header), reused());
  header = StateDriver::ImportHeader(1);
  header.set_label("other");
  EXPECT_THAT(Refusal(header), reused());
  header = StateDriver::ImportHeader(1);
  header.set_size_bytes(2001);
  EXPECT_THAT(Refusal(header), reused());
}

TEST_F(DecideImportTest, TakesNoIdOfATrialsCheckpointAndNoTrialTakesItsOwn) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  EXPECT_THAT(driver_.Import(1),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED")));
  ASSERT_THAT(driver_.Import(2), IsOk());
  EXPECT_THAT(driver_.Save(1, 1, "w1", 2, 20),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(DecideImportTest, NamesEveryBrokenField) {
  v1::ImportCheckpointHeader header;
  header.set_request_id("../etc");
  header.set_label("two\nlines");
  header.set_size_bytes(-1);
  header.set_digest("ABC");
  const absl::Status status = Refusal(header);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  std::vector<std::string> fields;
  for (const FieldViolation& violation : FieldViolationsOf(status)) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields, UnorderedElementsAre("request_id", "label", "size_bytes", "digest"));
  for (const std::string label : {"", "\x1b[2J", "\xff"}) {
    header = StateDriver::ImportHeader(1);
    header.set_label(label);
    EXPECT_THAT(Refusal(header), Reason("FIELD_INVALID")) << label;
  }
  header.set_label(std::string(129, 'x'));
  EXPECT_THAT(Refusal(header), Reason("FIELD_INVALID"));
  header.set_label(std::string(128, 'x'));
  EXPECT_THAT(Refusal(header), IsOk());
  header.set_size_bytes((int64_t{16} << 30) + 1);
  EXPECT_THAT(Refusal(header),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

TEST_F(DecideImportTest, ThereAreAThousandAtMost) {
  for (int n = 1; n <= 1000; ++n) ASSERT_THAT(driver_.Import(n), IsOk());
  const absl::Status refused = driver_.Import(1001).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED"),
                                Message(HasSubstr("delete one"))));
  EXPECT_EQ(LimitNameOf(refused), "kImportedCheckpointsMax");
  EXPECT_THAT(driver_.Import(7), IsOk()) << "it is there already";
  ASSERT_THAT(driver_.Delete(7), IsOk());
  EXPECT_THAT(driver_.Import(1001), IsOk());
}

TEST_F(DecideImportTest, DeletesWhatWasImportedAndItsBytes) {
  ASSERT_THAT(driver_.Import(1), IsOk());
  ASSERT_THAT(driver_.Import(2), IsOk());
  EXPECT_THAT(driver_.Delete(1), IsOkAndHolds(NameOf(1)));
  EXPECT_THAT(driver_.state.imported(), ElementsAre(Parsed(2)));
  EXPECT_FALSE(driver_.state.checkpoints().contains(Parsed(1)));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), ElementsAre(Parsed(1)));
  EXPECT_THAT(driver_.Delete(1),
              StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND")));
  v1::DeleteCheckpointRequest request;
  request.set_name("checkpoints/../1");
  EXPECT_THAT(DecideDeleteCheckpoint(driver_.state, request, driver_.now).status(),
              Reason("BAD_RESOURCE_NAME"));
}

TEST_F(DecideImportTest, DeletesNothingOfATrial) {
  Submit();
  Begin();
  ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
  EXPECT_THAT(driver_.Delete(1),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"),
                       Message(HasSubstr("made by experiments/1/trials/1/attempts/1"))));
}

TEST_F(DecideImportTest, DeletesNothingThatAnExperimentBeginsWithUntilItHasEnded) {
  ASSERT_THAT(driver_.Import(1), IsOk());
  ASSERT_THAT(driver_.Create(SpecFrom("tuned", NameOf(1))), IsOk());
  ASSERT_THAT(driver_.Create(SpecFrom("again", NameOf(1))), IsOk());
  EXPECT_THAT(driver_.Delete(1),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"),
                       Message(HasSubstr("experiments/1 begins with it"))));
  ASSERT_THAT(driver_.CancelExperiment(1), IsOk());
  EXPECT_THAT(driver_.Delete(1), StatusIs(absl::StatusCode::kFailedPrecondition,
                                          Message(HasSubstr("experiments/2 begins with it"))));
  ASSERT_THAT(driver_.CancelExperiment(2), IsOk());
  EXPECT_TRUE(driver_.state.imported().contains(Parsed(1))) << "only who imported it deletes it";
  EXPECT_THAT(driver_.Delete(1), IsOk());
  EXPECT_THAT(driver_.Create(SpecFrom("late", NameOf(1))),
              StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND")));
}

// --- What a trial made and an experiment began with ---

class ReleaseTest : public DecideTest {
 protected:
  // Trial 1 has saved twice and ended; experiments 2 and 3 began with the first of the two.
  void SetUp() override {
    Submit();
    driver_.Register("w2", 2);
    Begin();
    ASSERT_THAT(driver_.Save(1, 1, "w1", 1, 10), IsOk());
    ASSERT_THAT(driver_.Create(SpecFrom("tuned", NameOf(1))), IsOk());
    ASSERT_THAT(driver_.Create(SpecFrom("again", NameOf(1))), IsOk());
    ASSERT_THAT(driver_.Save(1, 1, "w1", 2, 20), IsOk());
    driver_.End(1, 1, "w1", "FINISHED");
    ASSERT_THAT(driver_.Trial(1, 1).checkpoints, ElementsAre(Parsed(1), Parsed(2)));
    ASSERT_THAT(driver_.state.TakeDeletedCheckpoints(), IsEmpty());
  }
};

TEST_F(ReleaseTest, ItGoesWithTheLastExperimentThatBeganWithIt) {
  ASSERT_THAT(driver_.CancelExperiment(2), IsOk());
  EXPECT_TRUE(driver_.state.checkpoints().contains(Parsed(1)));
  const int64_t revision = driver_.Trial(1, 1).record.revision();
  ASSERT_THAT(driver_.CancelExperiment(3), IsOk());
  EXPECT_FALSE(driver_.state.checkpoints().contains(Parsed(1)));
  EXPECT_THAT(driver_.Trial(1, 1).checkpoints, ElementsAre(Parsed(2)));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), ElementsAre(Parsed(1)));
  EXPECT_EQ(driver_.Trial(1, 1).record.revision(), revision) << "nothing that is shown of it";
}

TEST_F(ReleaseTest, ItGoesWhereBothEndInOneEvent) {
  ASSERT_THAT(driver_.Allocate(2, 1, {{"w2", 0}}), IsOk());
  ASSERT_THAT(driver_.Allocate(3, 1, {{"w2", 1}}), IsOk());
  ASSERT_THAT(driver_.CancelExperiment(2), IsOk());
  ASSERT_THAT(driver_.CancelExperiment(3), IsOk());
  ASSERT_TRUE(driver_.state.checkpoints().contains(Parsed(1))) << "both have workers that run";
  ASSERT_THAT(driver_.Lose("w2"), IsOk());
  ASSERT_THAT(driver_.state.active(), IsEmpty());
  EXPECT_FALSE(driver_.state.checkpoints().contains(Parsed(1)));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), ElementsAre(Parsed(1)));
}

TEST_F(ReleaseTest, ItStaysWhereThePolicyOfItsTrialKeepsIt) {
  ASSERT_THAT(driver_.Create(SpecFrom("newest", NameOf(2))), IsOk());
  ASSERT_THAT(driver_.CancelExperiment(4), IsOk());
  EXPECT_TRUE(driver_.state.checkpoints().contains(Parsed(2)));
  EXPECT_THAT(driver_.state.TakeDeletedCheckpoints(), IsEmpty());
}

}  // namespace
}  // namespace cvtrain::coordinator
