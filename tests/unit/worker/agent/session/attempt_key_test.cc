#include "worker/agent/session/attempt_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

const AttemptKey kKey = {.attempt = AttemptName(TrialName(ExperimentName(12), 3), 2),
                         .generation = 4};

TEST(AttemptKeyTest, ComesFromNamesOnTheWire) {
  EXPECT_THAT(AttemptKey::Parse("experiments/12/trials/3/attempts/2", 4), IsOkAndHolds(kKey));
}

TEST(AttemptKeyTest, RefusesWhatCouldBeAPath) {
  for (const char* name :
       {"", "../../etc", "experiments/12/trials/3", "experiments/12/trials/3/attempts/../2",
        "experiments/012/trials/3/attempts/2"}) {
    EXPECT_THAT(AttemptKey::Parse(name, 1),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")))
        << name;
  }
}

TEST(AttemptKeyTest, RefusesAGenerationThatWasNeverGranted) {
  EXPECT_THAT(AttemptKey::Parse("experiments/12/trials/3/attempts/2", 0),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST(AttemptKeyTest, NamesADirectoryAndReadsItBack) {
  EXPECT_EQ(kKey.DirectoryName(), "e12-t3-a2-g4");
  EXPECT_THAT(AttemptKey::FromDirectoryName("e12-t3-a2-g4"), IsOkAndHolds(kKey));
}

TEST(AttemptKeyTest, RefusesDirectoriesThatItDidNotName) {
  for (const char* name : {"", "e12-t3-a2", "e012-t3-a2-g4", "e12-t3-a2-g4.tmp", "e12-t3-a2-g0",
                           "t12-e3-a2-g4", "e12-t3-a2-g4-g4", "e+2-t3-a2-g4", "lost+found"}) {
    EXPECT_FALSE(AttemptKey::FromDirectoryName(name).ok()) << name;
  }
}

}  // namespace
}  // namespace cvtrain::worker
