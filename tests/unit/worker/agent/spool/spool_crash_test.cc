// A worker reports, sends, crashes at every single file operation, restarts and sends what is
// left: a receiver that skips batches and facts that it knows must end up with each point and
// fact that it acknowledged once, in order, and with none twice.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "tests/support/fake_random.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"
#include "worker/agent/spool/spool.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;

constexpr char kCrashDirectory[] = "/state/spool";
constexpr int kPoints = 12;

const AttemptKey kKey = {.attempt = AttemptName(TrialName(ExperimentName(1), 2), 3),
                         .generation = 7};

// The coordinator's side of the contract.
struct Receiver {
  std::map<std::string, int64_t> streams;  // last sequence of each
  std::vector<int64_t> steps;
  int64_t facts = 0;
  std::vector<int64_t> started;  // start_step of each fact, in order
  bool ended = false;

  void Take(const session::v1::ReportMetricsRequest& request) {
    int64_t& last = streams[request.stream()];
    if (request.sequence() <= last) return;
    EXPECT_EQ(request.sequence(), last + 1) << "batches are dense";
    last = request.sequence();
    for (const auto& series : request.series()) {
      steps.insert(steps.end(), series.steps().begin(), series.steps().end());
    }
  }
  int64_t Take(const session::v1::ReportFactsRequest& request) {
    for (const auto& fact : request.facts()) {
      if (fact.sequence() <= facts) continue;
      EXPECT_EQ(fact.sequence(), facts + 1) << "facts are dense";
      ++facts;
      if (fact.has_ended()) ended = true;
      if (fact.has_started()) started.push_back(fact.started().start_step());
    }
    return facts;
  }
};

class SpoolCrashTest : public ::testing::TestWithParam<InMemoryFileSystem::Unsynced> {
 protected:
  // The state directory is older than the worker's process.
  void SetUp() override {
    ASSERT_THAT(memory_.CreateDir("/state"), IsOk());
    ASSERT_THAT(memory_.SyncDir("/"), IsOk());
  }
  std::unique_ptr<Spool> Open() {
    auto spool = Spool::Open(files_, kCrashDirectory, random_, {.segment_size_bytes = 2000},
                             NullTelemetry());
    return spool.ok() ? *std::move(spool) : nullptr;
  }

  void Send(Spool& spool) {
    // One answer in three gets lost on its way back.
    if (const auto request = spool.NextMetrics(kKey)) {
      receiver_.Take(*request);
      if (++answers_ % 3 != 0) spool.AckMetrics(kKey);
    }
    if (const auto request = spool.NextFacts(kKey, spool.OnlyEndWaits(kKey))) {
      const int64_t durable = receiver_.Take(*request);
      if (++answers_ % 3 != 0) spool.AckFacts(kKey, durable);
    }
  }

  void Work(Spool& spool) {
    spool.Begin(kKey);
    for (int step = 1; step <= kPoints; ++step) {
      v1::MetricSeries series;
      // Long enough for records and their batch to lie in different sectors.
      series.set_metric("loss/" + std::string(200, 'x'));
      series.add_steps(step);
      series.add_values(1);
      spool.AppendSeries(kKey, {series});
      if (files_.operations() < power_off_at_) appended_ = step;
      if (step % 4 == 0) {
        session::v1::Fact fact;
        fact.mutable_started()->set_start_step(step);
        spool.AppendFact(kKey, fact);
      }
      if (step % 2 == 0) Send(spool);
    }
  }

  void Finish(Spool& spool) {
    session::v1::Fact fact;
    fact.mutable_ended();
    spool.AppendFact(kKey, fact);
    for (int i = 0; i < 100 && !spool.IsSettled(kKey); ++i) Send(spool);
    EXPECT_TRUE(spool.IsSettled(kKey));
    spool.Remove(kKey);
  }

  void Check() {
    std::set<int64_t> once(receiver_.steps.begin(), receiver_.steps.end());
    EXPECT_EQ(once.size(), receiver_.steps.size()) << "a point arrived twice";
    EXPECT_TRUE(std::is_sorted(receiver_.steps.begin(), receiver_.steps.end()));
    EXPECT_TRUE(std::is_sorted(receiver_.started.begin(), receiver_.started.end()));
    EXPECT_TRUE(receiver_.ended);
  }

  testing::LogCapture log_;
  InMemoryFileSystem memory_;
  FaultyFileSystem files_{memory_};
  SeededRandom random_{1};
  Receiver receiver_;
  int answers_ = 0;
  uint64_t power_off_at_ = ~uint64_t{0};
  int appended_ = 0;  // the last point that was appended before it
};

TEST_P(SpoolCrashTest, LosesNothingAcknowledgedAndDoublesNothing) {
  uint64_t operations = 0;
  {
    const auto spool = Open();
    ASSERT_NE(spool, nullptr);
    Work(*spool);
    Finish(*spool);
    operations = files_.operations();
  }
  Check();
  ASSERT_EQ(receiver_.steps.size(), static_cast<size_t>(kPoints));
  ASSERT_GT(operations, 50u);

  int found = 0;
  for (uint64_t crash = 1; crash <= operations; ++crash) {
    SCOPED_TRACE(crash);
    receiver_ = Receiver();
    answers_ = 0;
    ASSERT_THAT(memory_.RemoveAll(kCrashDirectory), IsOk());
    ASSERT_THAT(memory_.SyncDir("/state"), IsOk());
    appended_ = 0;
    power_off_at_ = files_.operations() + crash;
    files_.PowerOffAt(power_off_at_);
    if (const auto spool = Open()) Work(*spool);
    files_.Crash(GetParam());
    const size_t acknowledged = receiver_.steps.size();
    power_off_at_ = ~uint64_t{0};

    const auto spool = Open();
    ASSERT_NE(spool, nullptr);
    // An attempt that the disk does not know is one that the coordinator hears nothing of.
    if (!spool->Attempts().empty()) {
      ++found;
      Finish(*spool);
      Check();
    }
    EXPECT_GE(receiver_.steps.size(), acknowledged);
    // A disk that kept everything has kept every point.
    if (GetParam() == InMemoryFileSystem::Unsynced::kKeep) {
      EXPECT_GE(receiver_.steps.size(), static_cast<size_t>(appended_));
    }
    EXPECT_EQ(Open()->Attempts().size(), 0u);
  }
  EXPECT_GT(found, 30) << "crashes left too little to prove anything";
}

INSTANTIATE_TEST_SUITE_P(Unsynced, SpoolCrashTest,
                         ::testing::Values(InMemoryFileSystem::Unsynced::kDrop,
                                           InMemoryFileSystem::Unsynced::kKeep,
                                           InMemoryFileSystem::Unsynced::kTear));

// kill -9 loses nothing that was handed to the system: all points arrive.
TEST_F(SpoolCrashTest, AKilledProcessLosesNothing) {
  {
    const auto spool = Open();
    Work(*spool);
  }
  const auto spool = Open();
  Finish(*spool);
  Check();
  EXPECT_EQ(receiver_.steps.size(), static_cast<size_t>(kPoints));
  EXPECT_EQ(receiver_.facts, kPoints / 4 + 1);
}

}  // namespace
}  // namespace cvtrain::worker
