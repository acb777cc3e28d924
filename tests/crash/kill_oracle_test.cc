#include "tests/crash/kill_oracle.h"

#include <string>
#include <vector>

#include "common/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cvtrain {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTrial[] = "experiments/1/trials/1";
constexpr char kFirst[] = "experiments/1/trials/1/attempts/1";
constexpr char kSecond[] = "experiments/1/trials/1/attempts/2";

class KillOracleTest : public ::testing::Test {
 protected:
  InMemoryFileSystem files_;
  KillOracle oracle_{files_, "/oracle"};
};

TEST_F(KillOracleTest, AnAssignmentThatIsSaidAgainIsNoViolation) {
  oracle_.Assigned(kTrial, kFirst);
  oracle_.Assigned(kTrial, kFirst);
  EXPECT_THAT(oracle_.violations(), IsEmpty());
}

TEST_F(KillOracleTest, ASecondAttemptIsAViolation) {
  oracle_.Assigned(kTrial, kFirst);
  oracle_.Assigned(kTrial, kSecond);
  EXPECT_THAT(oracle_.violations(),
              ElementsAre(Field(&Violation::text, HasSubstr("was given out again"))));
}

TEST_F(KillOracleTest, ALeaseThatIsDroppedBeforeTheEndIsAViolation) {
  oracle_.Assigned(kTrial, kFirst);
  oracle_.Dropped(kTrial, "welcome");
  EXPECT_THAT(oracle_.violations(),
              ElementsAre(Field(&Violation::text, HasSubstr("was dropped (welcome)"))));
  EXPECT_FALSE(oracle_.trials[kTrial].end_acknowledged);
}

TEST_F(KillOracleTest, ALeaseThatIsDroppedAfterTheEndWasSentAcknowledgesTheEnd) {
  oracle_.Assigned(kTrial, kFirst);
  oracle_.Note([this] { oracle_.trials[kTrial].end_sent = true; });
  oracle_.Dropped(kTrial, "welcome");
  EXPECT_THAT(oracle_.violations(), IsEmpty());
  EXPECT_TRUE(oracle_.trials[kTrial].end_acknowledged);
  EXPECT_EQ(oracle_.acknowledged(), 1);
}

TEST_F(KillOracleTest, KnowsHowManyExperimentsWaitForAWorker) {
  oracle_.experiments.resize(3);
  oracle_.Assigned(kTrial, kFirst);
  EXPECT_EQ(oracle_.WaitingExperiments(), 2u);
}

TEST_F(KillOracleTest, AcknowledgementsAreInTheFileWhenItSaysThatItKnows) {
  oracle_.Acknowledge("points a 40", [] {});
  files_.Crash(InMemoryFileSystem::Unsynced::kKeep);
  EXPECT_EQ(ReadFile(files_, "/oracle").value(), "points a 40\n");
}

TEST_F(KillOracleTest, CountsViolationsByKind) {
  oracle_.Broken(Violation::Kind::kLost, "a point");
  oracle_.Broken(Violation::Kind::kLost, "a line");
  oracle_.Broken(Violation::Kind::kOther, "an error");
  EXPECT_EQ(oracle_.Count(Violation::Kind::kLost), 2);
  EXPECT_EQ(oracle_.Count(Violation::Kind::kDoubled), 0);
}

}  // namespace
}  // namespace cvtrain
