// The real traces: the job model and the simulators agree with what was published, and our policy
// keeps its bounds. Skips where the traces are not at hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/dataset/source_files.h"
#include "client/simulate/shockwave_job.h"
#include "client/simulate/study.h"
#include "common/file_system.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::testing::DoubleNear;
using ::testing::SizeIs;

// The text of a file of shared/data beside the repository, or of $CVTRAIN_TEST_DATA; "" if it is
// not there.
std::string ReadTraceFile(const std::string& name) {
  const char* given = std::getenv("CVTRAIN_TEST_DATA");
  const char* source = std::getenv("CVTRAIN_SOURCE_DIR");
  const std::string folder =
      given != nullptr ? given : absl::StrCat(source == nullptr ? "." : source, "/../shared/data");
  absl::StatusOr<std::string> bytes =
      ReadFile(PosixFileSystem(), absl::StrCat(folder, "/traces/", name), kTraceBytesMax);
  if (!bytes.ok()) return "";
  return IsGzip(*bytes) ? Gunzip(*bytes, kTraceBytesMax).value() : *bytes;
}

class ShockwaveTracesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string throughputs = ReadTraceFile("shockwave/tacc_throughputs.json.gz");
    if (throughputs.empty()) {
      GTEST_SKIP() << "traces are not at hand; CVTRAIN_TEST_DATA may name the folder with traces/";
    }
    CVT_ASSERT_OK_AND_ASSIGN(small_.throughputs, Throughputs::Parse(throughputs));
    large_.throughputs = small_.throughputs;
    CVT_ASSERT_OK_AND_ASSIGN(small_.jobs,
                             ReadShockwaveTrace(ReadTraceFile("shockwave/120-jobs-dynamic.trace")));
    CVT_ASSERT_OK_AND_ASSIGN(large_.jobs,
                             ReadShockwaveTrace(ReadTraceFile("shockwave/220-jobs-dynamic.trace")));
  }

  StudyRow Study(const ShockwaveTrace& trace, int gpus, const std::string& policy, Told told,
                 Variation variation = Variation::kNone) {
    StudyOptions options;
    options.policies = {policy};
    options.gpus = gpus;
    options.told = told;
    options.variation = variation;
    absl::StatusOr<std::vector<StudyRow>> rows = RunStudy(trace, options);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows->front();
  }
  OutcomeSummary Small(const std::string& policy, Told told) {
    return Study(small_, 32, policy, told).runs[0].summary;
  }
  OutcomeSummary Large(const std::string& policy, Told told) {
    return Study(large_, 64, policy, told).runs[0].summary;
  }

  ShockwaveTrace small_;
  ShockwaveTrace large_;
};

TEST_F(ShockwaveTracesTest, DeclaredTimesAreThoseOfTheAuthors) {
  ASSERT_THAT(small_.jobs, SizeIs(120));
  ASSERT_THAT(large_.jobs, SizeIs(220));
  std::vector<double> declared;
  double work = 0, mean = 0;
  for (const ShockwaveJob& job : small_.jobs) {
    CVT_ASSERT_OK_AND_ASSIGN(const ShockwaveRun run, ShockwaveRun::Create(job, small_.throughputs));
    declared.push_back(run.declared());
    work += run.declared() * job.gpus / 32;
    mean += run.declared() / 120;
  }
  EXPECT_THAT(declared[0], DoubleNear(1'224.797, 1e-3));
  EXPECT_THAT(declared[1], DoubleNear(2'996.032, 1e-3));
  EXPECT_THAT(declared[20], DoubleNear(17'235.383, 1e-3));
  EXPECT_THAT(declared[100], DoubleNear(16'440.869, 1e-3));
  EXPECT_THAT(work, DoubleNear(19'868.6, 0.05));
  EXPECT_THAT(mean, DoubleNear(3'929.5, 0.05));
}

TEST_F(ShockwaveTracesTest, RunTimesAreWithinWhatWasFound) {
  for (const ShockwaveJob& job : small_.jobs) {
    CVT_ASSERT_OK_AND_ASSIGN(const ShockwaveRun run, ShockwaveRun::Create(job, small_.throughputs));
    EXPECT_GE(run.RunAlone() / run.declared(), 0.79) << "line " << job.line;
    EXPECT_LE(run.RunAlone() / run.declared(), 1.12) << "line " << job.line;
  }
}

TEST_F(ShockwaveTracesTest, FifoAndMaxMinAreReproduced) {
  // The published FIFO lets whoever fits pass.
  const OutcomeSummary fifo = Small("backfill", Told::kDeclared);
  EXPECT_THAT(fifo.makespan, DoubleNear(31'449, 314));
  EXPECT_THAT(fifo.completion_mean, DoubleNear(9'362, 93));
  const OutcomeSummary max_min = Small("max_min", Told::kDeclared);
  EXPECT_THAT(max_min.makespan, DoubleNear(33'208, 332));
  EXPECT_THAT(max_min.completion_mean, DoubleNear(11'274, 112));
}

TEST_F(ShockwaveTracesTest, OursKeepsItsBoundsOnWhatIsDeclared) {
  const OutcomeSummary small = Small("cvtrain", Told::kDeclared);
  EXPECT_LE(small.makespan, 21'600);
  EXPECT_LE(small.completion_mean, 7'400);
  EXPECT_LE(small.ratio_worst, kUnfairRatio);
  const OutcomeSummary large = Large("cvtrain", Told::kDeclared);
  EXPECT_LE(large.makespan, 41'000);
  EXPECT_LE(large.completion_mean, 9'400);
  EXPECT_LE(large.ratio_worst, kUnfairRatio);
}

// Of what is measured it keeps time and mean; docs/scheduling.md says which jobs are unfair.
TEST_F(ShockwaveTracesTest, OursKeepsItsTimesOnWhatIsMeasured) {
  const OutcomeSummary small = Small("cvtrain", Told::kMeasured);
  EXPECT_LE(small.makespan, 21'600);
  EXPECT_LE(small.completion_mean, 7'400);
  EXPECT_LE(small.unfair, 4);
  const OutcomeSummary large = Large("cvtrain", Told::kMeasured);
  EXPECT_LE(large.makespan, 41'000);
  EXPECT_LE(large.completion_mean, 9'400);
  EXPECT_LE(large.unfair, 1);
}

TEST_F(ShockwaveTracesTest, OursHoldsWhenDurationsAreWrong) {
  for (const StudyRow::Run& run : Study(small_, 32, "cvtrain", Told::kWrong).runs) {
    EXPECT_LT(run.summary.makespan, 24'000) << "seed " << run.seed;
    EXPECT_LT(run.summary.unfair_part, 0.05) << "seed " << run.seed;
  }
}

// Not fitted to the two traces: parts of them, and the same jobs in another order.
TEST_F(ShockwaveTracesTest, OursEndsEarlierThanShortestFirstOnVariations) {
  for (const Variation variation : {Variation::kSubset, Variation::kArrivals}) {
    for (const auto& [trace, gpus] : {std::tuple(&small_, 32), std::tuple(&large_, 64)}) {
      const StudyRow ours = Study(*trace, gpus, "cvtrain", Told::kDeclared, variation);
      const StudyRow shortest = Study(*trace, gpus, "shortest", Told::kDeclared, variation);
      double mine_mean = 0, theirs_mean = 0;
      for (size_t i = 0; i < ours.runs.size(); ++i) {
        const OutcomeSummary& mine = ours.runs[i].summary;
        const OutcomeSummary& theirs = shortest.runs[i].summary;
        mine_mean += mine.completion_mean;
        theirs_mean += theirs.completion_mean;
        EXPECT_LT(mine.makespan, 0.95 * theirs.makespan) << gpus << " seed " << i + 1;
        EXPECT_LT(mine.completion_mean, 1.12 * theirs.completion_mean) << gpus << " seed " << i + 1;
        EXPECT_LE(mine.ratio_worst, 1.15) << gpus << " seed " << i + 1;
      }
      EXPECT_LT(mine_mean, 1.06 * theirs_mean) << gpus;
    }
  }
}

class PhillyTraceFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string text = ReadTraceFile("philly.csv.gz");
    if (text.empty()) {
      GTEST_SKIP() << "traces are not at hand; CVTRAIN_TEST_DATA may name the folder with traces/";
    }
    CVT_ASSERT_OK_AND_ASSIGN(std::vector<PhillyJob> jobs, ReadPhillyTrace(text));
    EXPECT_THAT(jobs, SizeIs(82'247));
    PhillySelection selection;
    selection.from = absl::FromCivil(absl::CivilDay(2017, 10, 9), absl::UTCTimeZone());
    selection.until = selection.from + absl::Hours(7 * 24);
    selection.duration_seconds_min = 60;
    selection.gpus_max = 64;
    selection.gpu_hours_below = 1'000;
    trace_.jobs = SelectJobs(std::move(jobs), selection);
  }

  OutcomeSummary Week(int gpus, const std::string& policy) {
    StudyOptions options;
    options.policies = {policy};
    options.gpus = gpus;
    absl::StatusOr<std::vector<StudyRow>> rows = RunStudy(trace_, options);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows->front().runs[0].summary;
  }

  PhillyTrace trace_;
};

TEST_F(PhillyTraceFileTest, TheWeekHasTheJobsOfTheTable) {
  EXPECT_THAT(trace_.jobs, SizeIs(12'465));
  double hours = 0;
  for (const PhillyJob& job : trace_.jobs) hours += job.duration_seconds * job.gpus / 3600;
  EXPECT_THAT(hours, DoubleNear(56'192, 1));
}

TEST_F(PhillyTraceFileTest, TheTableIsReproduced) {
  struct Row {
    int gpus;
    const char* policy;
    double completion, queueing;
  };
  for (const Row& row : {
           Row{512, "fifo", 10'864, 3'852},
           Row{512, "backfill", 8'941, 1'930},
           Row{512, "shortest", 8'279, 1'268},
           Row{384, "fifo", 39'922, 32'911},
           Row{384, "backfill", 23'764, 16'753},
           Row{384, "shortest", 11'043, 4'032},
           Row{320, "fifo", 74'774, 67'762},
           Row{320, "backfill", 51'911, 44'899},
           Row{320, "shortest", 11'778, 4'766},
           Row{256, "fifo", 149'997, 142'986},
           Row{256, "backfill", 79'284, 72'273},
           Row{256, "shortest", 15'693, 8'682},
       }) {
    // To the second, but for how the table was rounded.
    const OutcomeSummary summary = Week(row.gpus, row.policy);
    EXPECT_THAT(summary.completion_mean, DoubleNear(row.completion, 1))
        << row.gpus << " " << row.policy;
    EXPECT_THAT(summary.queueing_mean, DoubleNear(row.queueing, 1))
        << row.gpus << " " << row.policy;
  }
}

// It was told what shortest-first was told, and keeps wide jobs from waiting for ever.
TEST_F(PhillyTraceFileTest, OursIsAsGoodAsShortestFirstAndEndsEarlier) {
  for (const int gpus : {512, 256}) {
    const OutcomeSummary ours = Week(gpus, "cvtrain");
    const OutcomeSummary shortest = Week(gpus, "shortest");
    EXPECT_LT(ours.completion_mean, 1.04 * shortest.completion_mean) << gpus;
    EXPECT_LT(ours.makespan, shortest.makespan) << gpus;
  }
}

}  // namespace
}  // namespace cvtrain::client
