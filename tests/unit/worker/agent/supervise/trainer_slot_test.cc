#include "worker/agent/supervise/trainer_slot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/log_capture.h"

namespace cvtrain::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Events : TrainerEvents {
  void OnReport(const AttemptKey&, int, trainer::v1::Report) override {}
  void OnLines(const AttemptKey&, int, std::vector<v1::LogLine>) override {}
  void OnShardRequest(const TrainerRef&, const AttemptKey&,
                      const trainer::v1::ShardRequest&) override {}
  void OnStoreCall(const TrainerRef&, const AttemptKey&, trainer::v1::StoreCall) override {}
  void OnCheckpoint(const TrainerRef&, const AttemptKey&, CheckpointBuffer) override {}
  void OnRankEnded(RankEnded end, trainer::v1::Exit::Suspect) override { ended.push_back(end); }

  std::vector<RankEnded> ended;
};

// A slot whose program is not there: every start fails at once.
class BrokenSlotTest : public ::testing::Test {
 protected:
  BrokenSlotTest() { options_.command = {"/no/such/trainer"}; }

  void Start() {
    slot_.Start(
        {.attempt = AttemptName(TrialName(ExperimentName(1), 2), ++attempts_), .generation = 7},
        trainer::v1::Start(), UniqueFd(), now_);
  }
  // Lets time pass, as the slot asks, until a rank has ended; returns how much.
  absl::Duration UntilEnded() {
    const absl::Duration begin = now_;
    const size_t before = events_.ended.size();
    for (int i = 0; i < 100 && events_.ended.size() == before; ++i) {
      now_ = std::max(now_, slot_.NextStep());
      slot_.Step(now_);
    }
    EXPECT_THAT(events_.ended, SizeIs(before + 1));
    return now_ - begin;
  }

  testing::LogCapture log_;
  TrainerOptions options_;
  Events events_;
  std::function<int64_t()> oom_kills_ = [] { return 0; };
  TrainerSlot slot_{0, options_, events_, oom_kills_};
  absl::Duration now_ = absl::Seconds(100);
  int64_t attempts_ = 0;
};

TEST_F(BrokenSlotTest, EndsTheAttemptAfterSomeTries) {
  Start();
  EXPECT_LT(UntilEnded(), absl::Seconds(2));
  EXPECT_EQ(events_.ended[0].cause, v1::CAUSE_INTERNAL);
  EXPECT_THAT(events_.ended[0].message, HasSubstr("does not start"));
}

TEST_F(BrokenSlotTest, TakesLongerWithEachAttempt) {
  Start();
  absl::Duration before = UntilEnded();
  for (int i = 0; i < 3; ++i) {
    Start();
    const absl::Duration took = UntilEnded();
    EXPECT_GT(took, 2 * before);
    before = std::min(took, options_.restart_delay_max);
  }
  // And longest in the end.
  Start();
  EXPECT_GE(UntilEnded(), 3 * options_.restart_delay_max);
}

}  // namespace
}  // namespace cvtrain::worker
