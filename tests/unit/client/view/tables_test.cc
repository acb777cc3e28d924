#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "client/view/show.h"
#include "tests/unit/client/view/samples.h"

namespace cvtrain::client {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<std::string> Header(const Table& table) { return CellsOf(LinesOf(TextOf(table))[0]); }
std::vector<std::string> FirstRow(const Table& table) { return CellsOf(LinesOf(TextOf(table))[1]); }

v1::Experiment Single() {
  v1::Experiment experiment = Sweep();
  experiment.mutable_spec()->clear_search();
  experiment.clear_best_value();
  return experiment;
}

TEST(TableTest, EscapesControlCharactersOfItsCells) {
  Table table({"NAME", "STATE"});
  table.AddRow({"a\x1b[2Jb", "x\ny"});
  EXPECT_EQ(TextOf(table), "NAME       STATE\na\\x1b[2Jb  x\\ny\n");
}

TEST(TableTest, PrintsADashForAnEmptyCell) {
  Table table({"A", "B"});
  table.AddRow({"", "1"});
  EXPECT_EQ(TextOf(table), "A  B\n-  1\n");
}

TEST(TableTest, LeavesItsHeaderOutOnRequest) {
  Table table({"LONG-HEADER", "B"});
  table.AddRow({"a", "b"});
  std::ostringstream out;
  table.Print(out, false);
  EXPECT_EQ(out.str(), "a  b\n");
}

TEST(ExperimentTableTest, HasTheDocumentedColumns) {
  EXPECT_THAT(Header(ExperimentTable({{Sweep(), {}}}, Now(), false)),
              ElementsAre("ID", "NAME", "STATE", "STAGE", "STEP", "EPOCH", "METRIC", "BEST",
                          "PROGRESS", "ETA", "AGE"));
}

TEST(ExperimentTableTest, ShowsTheOnlyTrialOfAnExperiment) {
  EXPECT_THAT(FirstRow(ExperimentTable({{Single(), {RunningTrial()}}}, Now(), false)),
              ElementsAre("exp/1", "psnr", "ACTIVE", "3/5 192px", "1234/5678", "3/10", "85.5",
                          "87.92", "21%", "12m5s", "1m00s"));
}

TEST(ExperimentTableTest, ShowsTheFurthestRunningTrialOfASweepAndProgressOverAll) {
  v1::Trial further = RunningTrial(2);
  further.mutable_progress()->set_step(2839);  // half
  v1::Trial near = RunningTrial(1);
  near.mutable_progress()->set_step(0);
  const std::vector<std::string> row =
      FirstRow(ExperimentTable({{Sweep(), {near, further, QueuedTrial(3)}}}, Now(), false));
  EXPECT_EQ(row[4], "2839/5678");
  EXPECT_EQ(row[7], "88.25");
  // Two of six have ended, one is half done.
  EXPECT_EQ(row[8], "41%");
}

TEST(ExperimentTableTest, PrintsDashesForASweepOfWhichNothingRuns) {
  v1::Experiment ended = Sweep();
  ended.set_state(v1::Experiment::STATE_SUCCEEDED);
  EXPECT_THAT(
      FirstRow(ExperimentTable({{ended, {}}}, Now(), false)),
      ElementsAre("exp/1", "psnr", "SUCCEEDED", "-", "-", "-", "-", "88.25", "100%", "-", "1m00s"));
}

TEST(ExperimentTableTest, AddsColumnsWhenWide) {
  EXPECT_THAT(LinesOf(TextOf(ExperimentTable({{Sweep(), {}}}, Now(), true)))[1],
              HasSubstr("vision   ann   50    linear  2/1/0/1/2                        val/top1   "
                        "trial/1.4"));
}

TEST(SweepTableTest, HasTheDocumentedColumnsAndCountsFlops) {
  const Table table = SweepTable({{Sweep(), {RunningTrial(1), RunningTrial(2)}}}, Now(), false);
  EXPECT_THAT(Header(table),
              ElementsAre("ID", "NAME", "METHOD", "STATE", "TRIALS(run/done/stop/fail/left)",
                          "BEST", "BUDGET(used/total)", "ETA"));
  EXPECT_THAT(FirstRow(table), ElementsAre("exp/1", "psnr", "linear", "ACTIVE", "2/1/0/1/2",
                                           "88.25", "9e+15/-", "-"));
}

TEST(SweepTableTest, HasAnEtaOnceNothingWaits) {
  v1::Experiment sweep = Sweep();
  sweep.mutable_trials()->set_left(0);
  sweep.mutable_trials()->set_queued(0);
  v1::Trial longer = RunningTrial(2);
  longer.mutable_progress()->mutable_eta()->set_seconds(3600);
  EXPECT_EQ(FirstRow(SweepTable({{sweep, {RunningTrial(1), longer}}}, Now(), false)).back(), "1h");
}

TEST(TrialTableTest, HasTheDocumentedColumns) {
  const Table table = TrialTable({RunningTrial()}, Now());
  EXPECT_THAT(Header(table), ElementsAre("ID", "STATE", "RUNG", "STAGE", "STEP", "METRIC", "BEST",
                                         "FLOPS", "WORKERS", "RESTARTS", "AGE", "HPARAMS"));
  EXPECT_THAT(FirstRow(table),
              ElementsAre("trial/1.1", "RUNNING", "-", "3/5 192px", "1234/5678", "85.5", "87.92",
                          "4.5e+15", "gpu-a", "0", "1m00s", "target_psnr.end=20"));
}

TEST(TrialTableTest, ShowsTheBestAndTheLastValueWhateverTheSearchGoesBy) {
  v1::Trial trial = RunningTrial();
  trial.set_objective(85.5);  // at: last
  const std::vector<std::string> row = FirstRow(TrialTable({trial}, Now()));
  EXPECT_EQ(row[5], "85.5");
  EXPECT_EQ(row[6], "87.92");
}

TEST(TrialTableTest, WideBeginsWithTheColumnsOfAQueue) {
  v1::Trial trial = QueuedTrial(3);
  trial.set_slots(2);
  const Table table = WideTrialTable({trial}, {{"experiments/1", Sweep()}}, Now());
  std::vector<std::string> header = Header(table);
  header.resize(13);
  EXPECT_THAT(header,
              ElementsAre("ID", "KIND", "NAME", "USER", "QUEUE", "PRIO", "STATE", "SLOTS(got/want)",
                          "PROGRESS", "ETA", "RESTARTS", "AGE", "REASON"));
  EXPECT_THAT(LinesOf(TextOf(table))[1],
              ::testing::AllOf(StartsWith("trial/1.3  trial  psnr  ann   -      0     QUEUED  0/2"),
                               HasSubstr("waiting for 2 slots: 1 of 2 free")));
}

TEST(TrialTableTest, WideHasEveryColumnOfTheShortOne) {
  const std::vector<std::string> wide = Header(WideTrialTable({RunningTrial()}, {}, Now()));
  for (const std::string& column : Header(TrialTable({RunningTrial()}, Now())))
    EXPECT_THAT(wide, Contains(column));
}

v1::Worker Worker() {
  return testing::ParseTextProto<v1::Worker>(R"pb(
    name: "workers/gpu-a"
    state: STATE_READY
    slots { index: 0 kind: KIND_GPU memory_bytes: 1073741824 threads: 4 device: "H100" }
    slots {
      index: 1
      kind: KIND_GPU
      memory_bytes: 1073741824
      threads: 4
      device: "H100"
      attempt: "experiments/1/trials/2/attempts/1"
    }
    renew_time { seconds: 1714521598 }
    register_time { seconds: 1714521540 }
    program_version: "0.1.0"
    hostname: "box"
    cache_bytes: 1024
    cache_bytes_max: 2048
  )pb");
}

TEST(WorkerTableTest, HasTheDocumentedColumns) {
  const Table table = WorkerTable({Worker()}, Now(), false);
  EXPECT_THAT(Header(table), ElementsAre("NAME", "STATE", "SLOTS(free/all)", "GPU", "MEM", "HEALTH",
                                         "JOBS", "LABELS", "HEARTBEAT", "VERSION"));
  EXPECT_THAT(FirstRow(table), ElementsAre("worker/gpu-a", "READY", "1/2", "2xH100", "2 GiB", "ok",
                                           "trial/1.2#1", "-", "2s", "0.1.0"));
}

TEST(WorkerTableTest, AddsColumnsWhenWide) {
  EXPECT_THAT(LinesOf(TextOf(WorkerTable({Worker()}, Now(), true)))[1],
              HasSubstr("box   H100    8        1 KiB/2 KiB"));
}

v1::Checkpoint Checkpoint() {
  return testing::ParseTextProto<v1::Checkpoint>(R"pb(
    name: "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11"
    trial: "experiments/1/trials/2"
    attempt: "experiments/1/trials/2/attempts/1"
    step: 20
    size_bytes: 2048
    digest: "0123456789abcdef"
    kept_as: "last"
    kept_as: "best"
  )pb");
}

TEST(CheckpointTableTest, HasTheDocumentedColumns) {
  const Table table = CheckpointTable({Checkpoint()}, Now(), false);
  EXPECT_THAT(Header(table), ElementsAre("UUID", "TRIAL", "STEP", "METRIC", "SIZE", "STATE",
                                         "DIGEST", "AGE", "LABEL"));
  EXPECT_THAT(FirstRow(table),
              ElementsAre("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11", "trial/1.2", "20", "-", "2 KiB",
                          "last,best", "0123456789ab", "-", "-"));
}

TEST(CheckpointTableTest, AnImportedOneHasALabelAndNothingOfATrial) {
  const auto checkpoint = testing::ParseTextProto<v1::Checkpoint>(R"pb(
    name: "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11"
    size_bytes: 2048
    digest: "0123456789abcdef"
    kept_as: "imported"
    label: "resnet18.safetensors"
  )pb");
  EXPECT_THAT(
      FirstRow(CheckpointTable({checkpoint}, Now(), true)),
      ElementsAre("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11", "-", "-", "-", "2 KiB", "imported",
                  "0123456789ab", "-", "resnet18.safetensors", "-", "-", "-", "0123456789abcdef"));
  const std::string page = DescribeText(checkpoint, Now());
  EXPECT_THAT(page, ::testing::HasSubstr("resnet18.safetensors"));
  EXPECT_THAT(page, ::testing::Not(::testing::HasSubstr("Step:")));
}

TEST(CheckpointTableTest, SaysThatOneIsDamaged) {
  v1::Checkpoint checkpoint = Checkpoint();
  checkpoint.set_damaged(true);
  EXPECT_EQ(FirstRow(CheckpointTable({checkpoint}, Now(), false))[5], "damaged");
}

TEST(CheckpointTableTest, WideHasTheWholeDigest) {
  EXPECT_EQ(FirstRow(CheckpointTable({Checkpoint()}, Now(), true)).back(), "0123456789abcdef");
}

TEST(DatasetTableTest, WideAddsRungsAndWhatWasSkipped) {
  const auto version = testing::ParseTextProto<v1::DatasetVersion>(R"pb(
    name: "datasets/photos/versions/2"
    digest: "abc"
    classes: "a"
    classes: "b"
    splits { name: "train" images: 10 }
    splits { name: "test" images: 4 }
    size_bytes: 4096
    rungs: 72
    rungs: 112
    skipped { key: "truncated" value: 3 }
  )pb");
  EXPECT_THAT(FirstRow(DatasetTable({version}, Now(), false)),
              ElementsAre("dataset/photos@2", "2", "14", "train=10,test=4", "4 KiB", "abc", "-"));
  EXPECT_THAT(FirstRow(DatasetTable({version}, Now(), true)),
              ElementsAre("dataset/photos@2", "2", "14", "train=10,test=4", "4 KiB", "abc", "-",
                          "72,112", "3", "abc"));
}

}  // namespace
}  // namespace cvtrain::client
