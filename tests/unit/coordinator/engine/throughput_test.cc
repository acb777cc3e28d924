#include "coordinator/engine/throughput.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/state/canonical_bytes.h"
#include "coordinator/state/proto_time.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/fake_cluster.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::ParseTextProto;
using ::testing::HasSubstr;

class ThroughputTest : public ::testing::Test {
 protected:
  // Experiment `number`, whose only trial runs for some seconds and ends with these FLOPs.
  void RunTrial(int number, double flops, const std::string& cause = "CAUSE_FINISHED") {
    FakeWorker& worker =
        cluster_.workers.contains("w1") ? cluster_.workers["w1"] : cluster_.AddWorker("w1", 1);
    ASSERT_THAT(cluster_.Submit(SyntheticSpec(absl::StrCat("e", number))), IsOk());
    const std::string attempt = absl::StrCat("experiments/", number, "/trials/1/attempts/1");
    ASSERT_THAT(cluster_.Report(worker, attempt, {"started { start_step: 0 }"}), IsOk());
    cluster_.Advance(absl::Seconds(10));
    ASSERT_THAT(cluster_.Report(worker, attempt,
                                {absl::StrCat("ended { cause: ", cause,
                                              " end_step: 100 flops: ", flops, " }")}),
                IsOk());
    cluster_.Turn();
  }
  // How long that trial's attempt ran, by the journal.
  double SecondsOf(int number) {
    return cluster_.Look([&](const View& view) {
      const auto trial = view.state().FindTrial(TrialName(ExperimentName(number), 1));
      const storage::v1::AttemptRecord& attempt = (*trial)->record.attempts(0);
      return absl::ToDoubleSeconds(FromTimestamp(attempt.end_time()) -
                                   FromTimestamp(attempt.start_time()));
    });
  }
  Throughput Expected(const v1::Recipe& recipe) {
    return cluster_.Look([&](const View& view) {
      return ExpectedThroughput(view.state(), CanonicalBytes(recipe.model()));
    });
  }
  static v1::Recipe SameModel() { return SyntheticSpec("any").recipe(); }
  static v1::Recipe OtherModel() {
    return ParseTextProto<v1::Recipe>("model { resnet { depth: 50 } }");
  }

  FakeCluster cluster_;
};

TEST_F(ThroughputTest, AssumesSomethingWhereNothingWasMeasured) {
  const Throughput throughput = Expected(SameModel());
  EXPECT_EQ(throughput.flops_per_slot_second, kAssumedFlopsPerThreadSecond);
  EXPECT_THAT(throughput.basis, HasSubstr("assumed"));
}

TEST_F(ThroughputTest, TakesTheNewestTrialOfTheSameModel) {
  RunTrial(1, 4e12);
  RunTrial(2, 5e12);
  const Throughput throughput = Expected(SameModel());
  EXPECT_DOUBLE_EQ(throughput.flops_per_slot_second, 5e12 / SecondsOf(2));
  EXPECT_THAT(throughput.basis, HasSubstr("experiments/2/trials/1"));
}

TEST_F(ThroughputTest, SaysThatAnotherModelWasMeasured) {
  RunTrial(1, 4e12);
  const Throughput throughput = Expected(OtherModel());
  EXPECT_DOUBLE_EQ(throughput.flops_per_slot_second, 4e12 / SecondsOf(1));
  EXPECT_THAT(throughput.basis, HasSubstr("of another model"));
}

TEST_F(ThroughputTest, AnAttemptThatFailedOrDidNotCountSaysNothing) {
  RunTrial(1, 4e12, "CAUSE_USER_ERROR");
  RunTrial(2, 0);
  EXPECT_THAT(Expected(SameModel()).basis, HasSubstr("assumed"));
}

TEST(PredictDurationsTest, SharesFlopsAmongSlots) {
  std::vector<v1::PlannedStage> stages(2);
  stages[0].set_flops(6e12);
  stages[1].set_flops(3e12);
  PredictDurations(v1::Recipe(), 2, {.flops_per_slot_second = 1e12, .basis = ""},
                   absl::MakeSpan(stages));
  EXPECT_EQ(stages[0].duration().seconds(), 3);
  EXPECT_EQ(stages[1].duration().seconds(), 1);
  EXPECT_EQ(stages[1].duration().nanos(), 500'000'000);
}

TEST(PredictDurationsTest, SaysNothingWhereNothingCanBeSaid) {
  std::vector<v1::PlannedStage> stages(1);
  stages[0].set_flops(1e30);
  PredictDurations(v1::Recipe(), 1, {.flops_per_slot_second = 1e-9, .basis = ""},
                   absl::MakeSpan(stages));
  EXPECT_FALSE(stages[0].has_duration());
}

TEST(PredictDurationsTest, SyntheticStepsTakeWhatTheRecipeSays) {
  std::vector<v1::PlannedStage> stages(1);
  stages[0].set_steps(500);
  const v1::Recipe recipe =
      ParseTextProto<v1::Recipe>("task: TASK_SYNTHETIC synthetic { steps: 500 step_time_ms: 4 }");
  PredictDurations(recipe, 1, {.flops_per_slot_second = 1, .basis = ""}, absl::MakeSpan(stages));
  EXPECT_EQ(stages[0].duration().seconds(), 2);
}

}  // namespace
}  // namespace cvtrain::coordinator
