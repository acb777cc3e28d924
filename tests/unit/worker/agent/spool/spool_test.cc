#include "worker/agent/spool/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "tests/support/fake_random.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSpoolDirectory[] = "/state/spool";

AttemptKey Key(int64_t attempt = 1) {
  return {.attempt = AttemptName(TrialName(ExperimentName(1), 2), attempt), .generation = 7};
}

session::v1::Fact Started() {
  session::v1::Fact fact;
  fact.mutable_started();
  return fact;
}
session::v1::Fact Ended() {
  session::v1::Fact fact;
  fact.mutable_ended()->set_cause(v1::CAUSE_FINISHED);
  return fact;
}
v1::MetricSeries Loss(std::vector<int64_t> steps) {
  v1::MetricSeries series;
  series.set_metric("loss");
  for (const int64_t step : steps) {
    series.add_steps(step);
    series.add_values(static_cast<double>(step) / 2);
  }
  return series;
}
std::vector<v1::LogLine> Lines(const std::string& text) {
  v1::LogLine line;
  line.set_text(text);
  return {line};
}

class SpoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<Spool> Open() {
    auto spool = Spool::Open(files_, kSpoolDirectory, random_, options_, telemetry_);
    EXPECT_THAT(spool, IsOk());
    return *std::move(spool);
  }
  SpooledCheckpoint Write(const AttemptKey& key, int64_t step, const std::string& bytes) {
    session::v1::UploadCheckpointHeader header;
    header.set_attempt(key.attempt.ToString());
    header.set_checkpoint(absl::StrCat("uuid-", step));
    header.set_step(step);
    header.set_size_bytes(static_cast<int64_t>(bytes.size()));
    auto written = Spool::WriteCheckpoint(files_, kSpoolDirectory, key, header, bytes);
    EXPECT_THAT(written, IsOk());
    return *written;
  }
  std::vector<int64_t> Steps(const Spool& spool, const AttemptKey& key) {
    std::vector<int64_t> steps;
    for (const auto& checkpoint : spool.Checkpoints(key)) steps.push_back(checkpoint.header.step());
    return steps;
  }

  testing::LogCapture log_;
  InMemoryFileSystem memory_;
  FaultyFileSystem files_{memory_};
  SeededRandom random_{1};
  InMemoryTelemetry telemetry_;
  SpoolOptions options_;
};

TEST_F(SpoolTest, NumbersFactsAndHoldsBackTheEnd) {
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  spool->AppendFact(Key(), Ended());
  const auto facts = spool->NextFacts(Key(), /*with_end=*/false);
  ASSERT_TRUE(facts);
  ASSERT_EQ(facts->facts_size(), 1);
  EXPECT_EQ(facts->facts(0).sequence(), 1);
  EXPECT_FALSE(spool->OnlyEndWaits(Key()));
  spool->AckFacts(Key(), 1);
  EXPECT_TRUE(spool->OnlyEndWaits(Key()));
  EXPECT_FALSE(spool->NextFacts(Key(), false));
  EXPECT_EQ(spool->NextFacts(Key(), true)->facts(0).sequence(), 2);
  spool->AckFacts(Key(), 2);
  EXPECT_TRUE(spool->IsSettled(Key()));
}

// Found by the simulation: the end was synced, the points before it were not.
TEST_F(SpoolTest, AfterAPowerCutAnEndHasThePointsBeforeIt) {
  ASSERT_THAT(memory_.CreateDir("/state"), IsOk());
  ASSERT_THAT(memory_.SyncDir("/"), IsOk());
  {
    const auto spool = Open();
    spool->Begin(Key());
    spool->AppendSeries(Key(), {Loss({1, 2})});
    spool->AppendFact(Key(), Ended());
  }
  memory_.Crash(InMemoryFileSystem::Unsynced::kDrop);
  const auto spool = Open();
  ASSERT_THAT(spool->Attempts(), SizeIs(1));
  EXPECT_TRUE(spool->Attempts()[0].ended);
  const auto batch = spool->NextMetrics(Key());
  ASSERT_TRUE(batch);
  EXPECT_THAT(batch->series(0).steps(), ElementsAre(1, 2));
}

TEST_F(SpoolTest, NothingFollowsTheEnd) {
  const auto spool = Open();
  spool->AppendFact(Key(), Ended());
  spool->AppendFact(Key(), Started());
  EXPECT_EQ(spool->NextFacts(Key(), true)->facts_size(), 1);
}

TEST_F(SpoolTest, MergesPointsOfOneSeries) {
  const auto spool = Open();
  spool->AppendSeries(Key(), {Loss({1, 2})});
  spool->AppendSeries(Key(), {Loss({3})});
  spool->AppendSeries(Key(), {Loss({2})});  // back: a series of its own
  const auto request = spool->NextMetrics(Key());
  ASSERT_TRUE(request);
  ASSERT_EQ(request->series_size(), 2);
  EXPECT_THAT(request->series(0).steps(), ElementsAre(1, 2, 3));
  EXPECT_THAT(request->series(0).values(), ElementsAre(0.5, 1, 1.5));
  EXPECT_THAT(request->series(1).steps(), ElementsAre(2));
}

TEST_F(SpoolTest, GivesEachAttemptAStreamOfItsOwn) {
  const auto spool = Open();
  spool->AppendSeries(Key(1), {Loss({1})});
  spool->AppendSeries(Key(2), {Loss({1})});
  EXPECT_NE(spool->NextMetrics(Key(1))->stream(), spool->NextMetrics(Key(2))->stream());
}

TEST_F(SpoolTest, FindsEverythingAfterARestart) {
  {
    const auto spool = Open();
    spool->Begin(Key(1));
    spool->AppendFact(Key(1), Started());
    spool->AppendSeries(Key(1), {Loss({1})});
    spool->AppendLines(Key(1), Lines("hello"));
    spool->AddCheckpoint(Key(1), Write(Key(1), 10, "bytes"), {});
    spool->AppendFact(Key(2), Ended());
  }
  const auto spool = Open();
  const auto attempts = spool->Attempts();
  ASSERT_THAT(attempts, SizeIs(2));
  EXPECT_FALSE(attempts[0].ended);
  EXPECT_TRUE(attempts[1].ended);
  EXPECT_EQ(spool->NextFacts(Key(1), false)->facts_size(), 1);
  EXPECT_EQ(spool->NextMetrics(Key(1))->series_size(), 1);
  EXPECT_EQ(spool->NextLogs(Key(1))->lines(0).text(), "hello");
  EXPECT_THAT(Steps(*spool, Key(1)), ElementsAre(10));
}

TEST_F(SpoolTest, HoldsAnAttemptThatHasReportedNothing) {
  Open()->Begin(Key());
  EXPECT_THAT(Open()->Attempts(), SizeIs(1));
}

TEST_F(SpoolTest, ForgetsARemovedAttempt) {
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  spool->AppendSeries(Key(), {Loss({1})});
  spool->Remove(Key());
  EXPECT_FALSE(spool->NextMetrics(Key()));
  EXPECT_THAT(*files_.ListDir(kSpoolDirectory), IsEmpty());
  EXPECT_EQ(spool->size_bytes(), 0u);
}

TEST_F(SpoolTest, GivesUpAnAttemptWhoseFactsAreDamaged) {
  {
    const auto spool = Open();
    for (int i = 0; i < 3; ++i) spool->AppendFact(Key(1), Started());
    spool->AppendFact(Key(2), Started());
  }
  const std::string path = absl::StrCat(kSpoolDirectory, "/", Key(1).DirectoryName(), "/facts.log");
  const std::string good = *ReadFile(files_, path);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_THAT(files_.CreateDir(DirName(path)), IsOk());
    ASSERT_THAT(WriteFileAtomic(files_, path, bad), IsOk());
    EXPECT_THAT(Open()->Attempts(), SizeIs(1)) << "bit " << bit;
    EXPECT_FALSE(*Exists(files_, path));
  }
}

TEST_F(SpoolTest, KeepsTheTwoNewestCheckpointsOfATrial) {
  const auto spool = Open();
  spool->Begin(Key(1));
  spool->Begin(Key(2));
  spool->AddCheckpoint(Key(1), Write(Key(1), 10, "a"), {});
  spool->AddCheckpoint(Key(2), Write(Key(2), 20, "b"), {});
  spool->AddCheckpoint(Key(2), Write(Key(2), 30, "c"), {});
  EXPECT_THAT(Steps(*spool, Key(1)), IsEmpty());
  EXPECT_THAT(Steps(*spool, Key(2)), ElementsAre(20, 30));
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_spool_checkpoints_dropped_total"), 1);
}

TEST_F(SpoolTest, KeepsACheckpointThatIsBeingUploaded) {
  const auto spool = Open();
  spool->Begin(Key());
  spool->AddCheckpoint(Key(), Write(Key(), 10, "a"), {});
  spool->AddCheckpoint(Key(), Write(Key(), 20, "b"), {});
  spool->AddCheckpoint(Key(), Write(Key(), 30, "c"), {"uuid-10"});
  EXPECT_THAT(Steps(*spool, Key()), ElementsAre(10, 20, 30));
}

TEST_F(SpoolTest, TheSecondNewestGivesWayWhenThereIsNoRoom) {
  options_.size_bytes_max = 15;
  const auto spool = Open();
  spool->Begin(Key());
  spool->AddCheckpoint(Key(), Write(Key(), 10, "0123456789"), {});
  spool->AddCheckpoint(Key(), Write(Key(), 20, "0123456789"), {});
  EXPECT_THAT(Steps(*spool, Key()), ElementsAre(20));
  spool->AddCheckpoint(Key(), Write(Key(), 30, "01234567890123456789"), {});
  EXPECT_THAT(Steps(*spool, Key()), ElementsAre(30));  // the newest, whatever its size
}

TEST_F(SpoolTest, RemovesACheckpointThatIsCutOff) {
  std::string path;
  {
    const auto spool = Open();
    spool->Begin(Key());
    const SpooledCheckpoint checkpoint = Write(Key(), 10, "0123456789");
    path = checkpoint.path;
    spool->AddCheckpoint(Key(), checkpoint, {});
  }
  const std::string all = *ReadFile(files_, path);
  ASSERT_THAT(WriteFileAtomic(files_, path, all.substr(0, all.size() - 1)), IsOk());
  EXPECT_THAT(Steps(*Open(), Key()), IsEmpty());
  EXPECT_FALSE(*Exists(files_, path));
}

TEST_F(SpoolTest, LogsGiveWayBeforeMetricsAndFactsNever) {
  options_.size_bytes_max = 4'000;
  options_.segment_size_bytes = 500;
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  for (int i = 0; i < 30; ++i) spool->AppendLines(Key(), Lines(std::string(100, 'x')));
  for (int i = 0; i < 20; ++i) spool->AppendSeries(Key(), {Loss({i})});
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_spool_dropped_total{kind=metrics}"), 0);
  for (int i = 20; i < 160; ++i) spool->AppendSeries(Key(), {Loss({i})});
  EXPECT_GT(telemetry_.Value("cvtrain_worker_spool_dropped_total{kind=logs}"), 0);
  EXPECT_GT(telemetry_.Value("cvtrain_worker_spool_dropped_total{kind=metrics}"), 0);
  EXPECT_LE(spool->size_bytes(), 4'100u);
  EXPECT_EQ(spool->NextFacts(Key(), false)->facts_size(), 1);
  // Thinned, not cut: the beginning is still there.
  EXPECT_EQ(spool->NextMetrics(Key())->series(0).steps(0), 0);
}

TEST_F(SpoolTest, ABrokenDiskLosesMetricsButNoFacts) {
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  files_.FailMatching([](absl::string_view) { return true; },
                      FaultyFileSystem::Fault::kDeviceError);
  spool->AppendSeries(Key(), {Loss({1})});
  spool->AppendFact(Key(), Ended());
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_spool_dropped_total{kind=metrics}"), 1);
  // What is only in memory is not sent ...
  EXPECT_EQ(spool->NextFacts(Key(), true)->facts_size(), 1);
  files_.ClearFaults();
  // ... until it can be written again.
  EXPECT_EQ(spool->NextFacts(Key(), true)->facts_size(), 2);
  spool->AppendSeries(Key(), {Loss({2})});
  EXPECT_EQ(spool->NextMetrics(Key())->series(0).steps(0), 2);
}

TEST_F(SpoolTest, AFullDiskHoldsNoAttempt) {
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  spool->AppendSeries(Key(), {Loss({1})});
  // It can still be read.
  files_.FailMatching(
      [](absl::string_view operation) {
        return absl::StartsWith(operation, "Append") || absl::StartsWith(operation, "NewWritable");
      },
      FaultyFileSystem::Fault::kDiskFull);
  spool->AppendFact(Key(), Ended());
  // What had been stored is sent, and facts that could not be as well.
  ASSERT_TRUE(spool->NextMetrics(Key()).has_value());
  EXPECT_EQ(spool->NextMetrics(Key())->sequence(), 1);
  spool->AckMetrics(Key());
  spool->AckFacts(Key(), 1);
  EXPECT_TRUE(spool->OnlyEndWaits(Key()));
  const auto end = spool->NextFacts(Key(), true);
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->facts(0).has_ended());
  EXPECT_TRUE(log_.Contains("the disk is full"));
}

TEST_F(SpoolTest, AsksForRoomBeforeItSendsWhatIsNotStored) {
  const auto spool = Open();
  spool->AppendFact(Key(), Started());
  files_.FailMatching([](absl::string_view) { return true; }, FaultyFileSystem::Fault::kDiskFull);
  int asked = 0;
  spool->SetMakeRoom([&]() -> uint64_t {
    ++asked;
    files_.ClearFaults();
    return 1000;
  });
  spool->AppendFact(Key(), Ended());
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(log_.Contains("the disk is full"));
  EXPECT_TRUE(Open()->Attempts()[0].ended);  // it is on the disk
}

TEST_F(SpoolTest, LeavesAloneWhatIsNotItsOwn) {
  ASSERT_THAT(files_.CreateDir(absl::StrCat(kSpoolDirectory, "/notes")), IsOk());
  Open();
  EXPECT_TRUE(*Exists(files_, absl::StrCat(kSpoolDirectory, "/notes")));
}

}  // namespace
}  // namespace cvtrain::worker
