// The simulation, as far as each test run affords it: some cluster-days of fresh seeds, each third
// of them twice, and the planted bugs, each of which is noticed at a seed that is recorded here.
// More cluster-days: scripts/evidence simulation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/cores.h"
#include "common/env.h"
#include "common/file_system.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/thread.h"
#include "tests/simulation/planted.h"
#include "tests/simulation/simulated_disk.h"
#include "tests/simulation/world.h"
#include "tests/support/seed.h"
#include "tests/unit/coordinator/engine/journal_conformance.h"

namespace cvtrain::simulation {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

class SimulationTest : public ::testing::Test {
 protected:
  // What simulated processes would tell people is about nobody.
  SimulationTest() {
    SetLogSink([](const LogRecord&) {});
  }
  ~SimulationTest() override { SetLogSink({}); }
};

// Sums up seeds of several threads.
class Total {
 public:
  bool WantsMore(double cluster_days) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return violations_.empty() && cluster_days_ < cluster_days;
  }
  void Add(const RunResult& result, const RunResult& again) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    cluster_days_ += result.cluster_days;
    tally_.Add(result.tally);
    for (const std::string& violation : result.violations) {
      violations_.push_back(absl::StrCat("seed ", result.seed, ": ", violation));
    }
    if (again.trace_hash != result.trace_hash) {
      violations_.push_back(absl::StrCat("seed ", result.seed, ": T8: another trace"));
    }
  }
  std::vector<std::string> violations() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return violations_;
  }
  Tally tally() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return tally_;
  }

 private:
  mutable absl::Mutex mu_;
  double cluster_days_ ABSL_GUARDED_BY(mu_) = 0;
  Tally tally_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mu_);
};

// Sanitizers are slow: their builds say how little is enough.
double ClusterDays() {
  double days = 10;
  const std::optional<std::string> told = GetEnv("CVTRAIN_CLUSTER_DAYS");
  if (told && !absl::SimpleAtod(*told, &days)) ADD_FAILURE() << *told;
  return days;
}

TEST_F(SimulationTest, KeepsItsPromisesAndOneTraceForEachSeed) {
  const double days = ClusterDays();
  std::atomic<uint64_t> next = cvtrain::testing::TestSeed();
  Total total;
  std::vector<std::unique_ptr<Thread>> threads;
  for (int i = 0; i < CoreCount(); ++i) {
    threads.push_back(std::make_unique<Thread>("simulation", [&](const StopToken&) {
      while (total.WantsMore(days)) {
        const uint64_t seed = next++;
        const RunResult result = RunSeed(seed);
        // scripts/evidence runs each of them twice.
        total.Add(result, seed % 3 == 0 ? RunSeed(seed) : result);
      }
    }));
  }
  for (const auto& thread : threads) thread->Join();
  // One of these again: tests/simulate --first=SEED --seeds=1 --print
  EXPECT_THAT(total.violations(), IsEmpty());
  // A run that reaches nothing proves nothing.
  if (days >= 5) {
    EXPECT_GE(total.tally().probes_hit(), kProbeCount * 2 / 3);
    EXPECT_GE(static_cast<double>(total.tally().fault_sum()), days * 100);
  }
}

// planted.txt has a seed for each planted bug at which it is noticed, and as what.
TEST_F(SimulationTest, NoticesEachPlantedBugAtItsRecordedSeed) {
  const absl::StatusOr<std::string> recorded =
      ReadFile(PosixFileSystem(), "tests/simulation/planted.txt");
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  std::set<Bug> noticed;
  for (const absl::string_view line : absl::StrSplit(*recorded, '\n', absl::SkipEmpty())) {
    if (line.front() == '#') continue;
    SCOPED_TRACE(std::string(line));
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t seed = 0;
    ASSERT_TRUE(words.size() == 3 && absl::SimpleAtoi(words[1], &seed));
    const std::optional<Bug> bug = BugFromName(words[0]);
    ASSERT_TRUE(bug);
    RunResult result = RunSeed(seed, *bug);
    // Whether hash order matters shows in two runs that differ; all others show in one.
    for (int i = 0; *bug == Bug::kHashOrderDecision && i < 5; ++i) {
      if (RunSeed(seed, *bug).trace_hash != result.trace_hash) {
        result.violations.push_back("T8: another trace");
        break;
      }
    }
    ASSERT_THAT(result.violations, Not(IsEmpty()));
    EXPECT_TRUE(absl::StartsWith(result.violations.front(), words[2]))
        << absl::StrJoin(result.violations, "\n");
    // It is the bug that is noticed: the same seed without it is good.
    EXPECT_THAT(RunSeed(seed).violations, IsEmpty());
    noticed.insert(*bug);
  }
  EXPECT_THAT(noticed, ::testing::SizeIs(kBugCount));
}

// Seeds that failed once, in a file each.
TEST_F(SimulationTest, WhatFailedOnceStaysMended) {
  const std::string folder = "tests/simulation/regressions";
  const auto names = PosixFileSystem().ListDir(folder);
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    uint64_t seed = 0;
    absl::string_view number = name;
    if (!absl::ConsumeSuffix(&number, ".txt")) continue;
    ASSERT_TRUE(absl::SimpleAtoi(number, &seed)) << name;
    EXPECT_THAT(RunSeed(seed).violations, IsEmpty()) << name;
  }
}

TEST_F(SimulationTest, EachKindOfFaultIsOffInAboutHalfOfTheSeeds) {
  constexpr int kSeeds = 2'000;
  struct Kind {
    const char* name;
    bool (*on)(const Scenario&);
  };
  const Kind kinds[] = {
      {"loss", [](const Scenario& s) { return s.loss > 0; }},
      {"doubles", [](const Scenario& s) { return s.doubles > 0; }},
      {"clogs", [](const Scenario& s) { return s.clog_every > 0; }},
      {"partitions", [](const Scenario& s) { return s.partition_every > 0; }},
      {"coordinator crashes", [](const Scenario& s) { return s.coordinator_crash_every > 0; }},
      {"worker crashes", [](const Scenario& s) { return s.worker_crash_every > 0; }},
      {"worker pauses", [](const Scenario& s) { return s.worker_pause_every > 0; }},
      {"clock steps", [](const Scenario& s) { return s.clock_step_every > 0; }},
      {"disk errors", [](const Scenario& s) { return s.disk_errors > 0; }},
      {"full disks", [](const Scenario& s) { return s.disk_full_every > 0; }},
      {"bit rot", [](const Scenario& s) { return s.bit_rot_every > 0; }},
      {"trial failures", [](const Scenario& s) { return s.trial_failures > 0; }},
  };
  for (const Kind& kind : kinds) {
    int on = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) on += kind.on(DrawScenario(seed)) ? 1 : 0;
    EXPECT_GT(on, kSeeds * 45 / 100) << kind.name;
    EXPECT_LT(on, kSeeds * 55 / 100) << kind.name;
  }
}

TEST_F(SimulationTest, TakesEventsInOrderOfTimeThenOfAsking) {
  EventQueue queue;
  std::string order;
  queue.At(5, [&] { order += "c"; });
  queue.At(3, [&] {
    order += "a";
    queue.At(1, [&] { order += "b"; });  // in the past: now
  });
  queue.At(5, [&] { order += "d"; });
  queue.At(9, [&] { order += "e"; });
  while (queue.RunNext(7)) {
  }
  EXPECT_EQ(order, "abcd");
  EXPECT_EQ(queue.now(), 7);
}

// --- The simulated journal is a Journal ---------------------------------------------

Scenario QuietScenario() {
  Scenario scenario;
  scenario.tail_records = coordinator::JournalHarness::kTailRecords;
  return scenario;
}

// Syncs after each write, as the coordinator does before it lets anybody know.
class SyncedJournal : public coordinator::Journal {
 public:
  explicit SyncedJournal(std::unique_ptr<SimulatedJournal> journal)
      : journal_(std::move(journal)) {}

  absl::Status Append(absl::Span<const coordinator::JournalRecord> records) override {
    const absl::Status status = journal_->Append(records);
    journal_->Sync();
    return status;
  }
  absl::Status PutSnapshot(const coordinator::JournalSnapshot& snapshot) override {
    const absl::Status status = journal_->PutSnapshot(snapshot);
    journal_->Sync();
    return status;
  }
  absl::StatusOr<std::optional<coordinator::JournalSnapshot>> LoadSnapshot() override {
    return journal_->LoadSnapshot();
  }
  absl::Status Replay(
      int64_t after,
      absl::FunctionRef<absl::Status(const coordinator::JournalRecord&)> visit) override {
    return journal_->Replay(after, visit);
  }
  int64_t last_revision() const override { return journal_->last_revision(); }
  std::string cluster_id() const override { return journal_->cluster_id(); }

 private:
  std::unique_ptr<SimulatedJournal> journal_;
};

class SimulatedHarness : public coordinator::JournalHarness {
 public:
  SimulatedHarness() { Reopen(); }
  coordinator::Journal& journal() override { return *journal_; }
  void Reopen() override {
    journal_.reset();
    disk_.Crash();
    auto opened = SimulatedJournal::Open(context_, disk_);
    CVT_CHECK_OK(opened.status());
    journal_ = std::make_unique<SyncedJournal>(*std::move(opened));
  }

 private:
  Context context_{QuietScenario()};
  SimulatedDisk disk_{context_};
  std::unique_ptr<SyncedJournal> journal_;
};

std::unique_ptr<coordinator::JournalHarness> MakeSimulatedHarness() {
  return std::make_unique<SimulatedHarness>();
}

coordinator::JournalRecord RecordNumber(int64_t revision) {
  return {revision, absl::StrCat("event ", revision)};
}

TEST_F(SimulationTest, ACrashKeepsWhatIsSyncedAndAPrefixOfTheRest) {
  bool lost = false;
  bool kept = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Scenario scenario = QuietScenario();
    scenario.seed = seed;
    Context context(scenario);
    SimulatedDisk disk(context);
    auto journal = SimulatedJournal::Open(context, disk);
    ASSERT_TRUE((*journal)->Append({RecordNumber(1), RecordNumber(2)}).ok());
    (*journal)->Sync();
    ASSERT_TRUE((*journal)->Append({RecordNumber(3)}).ok());
    ASSERT_TRUE((*journal)->Append({RecordNumber(4)}).ok());
    disk.Crash();
    journal = SimulatedJournal::Open(context, disk);
    ASSERT_TRUE(journal.ok()) << journal.status();
    EXPECT_GE((*journal)->last_revision(), 2);
    lost = lost || (*journal)->last_revision() == 2;
    kept = kept || (*journal)->last_revision() == 4;
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(kept);
}

TEST_F(SimulationTest, FindsATurnedBitAndAnOlderCopy) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Scenario scenario = QuietScenario();
    scenario.seed = seed;
    Context context(scenario);
    SimulatedDisk disk(context);
    auto journal = SimulatedJournal::Open(context, disk);
    for (int64_t revision = 1; revision <= 5; ++revision) {
      ASSERT_TRUE((*journal)->Append({RecordNumber(revision)}).ok());
      (*journal)->Sync();
    }
    ASSERT_TRUE(seed % 2 == 0 ? disk.TurnABit() : disk.RollBack());
    disk.Crash();
    EXPECT_EQ(SimulatedJournal::Open(context, disk).status().code(), absl::StatusCode::kDataLoss);
    disk.Restore();
    EXPECT_TRUE(SimulatedJournal::Open(context, disk).ok());
  }
}

}  // namespace
}  // namespace cvtrain::simulation

namespace cvtrain::coordinator {

INSTANTIATE_TEST_SUITE_P(Simulated, JournalConformanceTest,
                         ::testing::Values(&simulation::MakeSimulatedHarness));

}  // namespace cvtrain::coordinator
