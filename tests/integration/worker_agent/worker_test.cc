// The real cvtrain-worker, as a process, between a coordinator in this process and trainers
// without LibTorch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/env.h"
#include "common/file_system.h"
#include "common/process.h"
#include "common/sha256.h"
#include "common/thread.h"
#include "tests/integration/worker_agent/fake_coordinator.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "worker/agent/spool/record_log.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::AttemptLog;
using ::cvtrain::testing::FakeCoordinator;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::TempDir;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string AttemptText(int number) {
  return absl::StrCat("experiments/1/trials/1/attempts/", number);
}

bool HasEnded(const AttemptLog& log) { return log.ended() != nullptr; }

std::vector<int64_t> StepsTo(int64_t last, int64_t first = 1) {
  std::vector<int64_t> steps(static_cast<size_t>(last - first + 1));
  std::iota(steps.begin(), steps.end(), first);
  return steps;
}

// Looks again and again: a file of another process tells nobody that it changed.
bool Eventually(const std::function<bool()>& holds) {
  constexpr absl::Duration kPause = absl::Milliseconds(20);
  for (absl::Duration waited; waited < absl::Seconds(20); waited += kPause) {
    if (holds()) return true;
    WaitForStop(StopToken(), kPause);
  }
  return false;
}

// True if the facts of an attempt in a spool end with RanksEnded.
bool HasEndIn(const std::string& facts) {
  const auto scanned = ScanRecords(PosixFileSystem(), facts);
  const auto file = PosixFileSystem().NewRandomAccessFile(facts);
  session::v1::Fact last;
  return scanned.ok() && file.ok() && !scanned->places.empty() &&
         last.ParseFromString(*ReadRecord(**file, facts, scanned->places.back())) &&
         last.has_ended();
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bin_ = *GetEnv("CVTRAIN_BIN_DIR");
    trainer_ = JoinPath(bin_, "fake-trainer");
    coordinator_.Start();
  }

  // A program that behaves as its name says.
  void UseTrainer(const std::string& name) {
    trainer_ = dir_ / name;
    std::filesystem::create_symlink(JoinPath(bin_, "fake-trainer"), trainer_);
  }

  std::unique_ptr<Process> Spawn(std::vector<std::string> flags = {}) {
    ProcessOptions options;
    options.argv = {JoinPath(bin_, "cvtrain-worker"),
                    absl::StrCat("--coordinator=unix:", socket_),
                    absl::StrCat("--state-dir=", state_),
                    absl::StrCat("--trainer=", trainer_),
                    "--name=w1",
                    "--slots=2"};
    options.argv.insert(options.argv.end(), flags.begin(), flags.end());
    options.stderr_fd = log_ ? ::fileno(log_.get()) : -1;
    auto process = Process::Spawn(options);
    EXPECT_THAT(process, IsOk());
    return *std::move(process);
  }
  void StartWorker(std::vector<std::string> flags = {}) {
    const int64_t hellos = static_cast<int64_t>(coordinator_.hellos().size());
    worker_ = Spawn(std::move(flags));
    ASSERT_TRUE(coordinator_.WaitForHellos(hellos + 1));
  }

  session::v1::Assign MakeAssign(int attempt, int64_t steps, double step_time_ms = 1) {
    session::v1::Assign assign;
    assign.set_attempt(AttemptText(attempt));
    assign.set_lease_generation(1);
    assign.set_world_size(1);
    assign.add_ranks()->set_slot(0);
    assign.mutable_recipe()->mutable_synthetic()->set_steps(steps);
    assign.mutable_recipe()->mutable_synthetic()->set_step_time_ms(step_time_ms);
    return assign;
  }
  // With as many ranks as there are slots.
  session::v1::Assign MakeWideAssign(int attempt, int64_t steps, double step_time_ms = 1) {
    session::v1::Assign assign = MakeAssign(attempt, steps, step_time_ms);
    assign.set_world_size(2);
    assign.add_ranks()->set_rank(1);
    assign.mutable_ranks(1)->set_slot(1);
    return assign;
  }
  static void AddShard(int index, const std::string& content, session::v1::Assign& assign) {
    v1::Shard& shard = *assign.mutable_dataset()->add_shards();
    shard.set_index(index);
    shard.set_digest(Sha256Hex(content));
    shard.set_size_bytes(static_cast<int64_t>(content.size()));
  }
  AttemptLog RunToEnd(const session::v1::Assign& assign) {
    coordinator_.Assign(assign);
    EXPECT_TRUE(coordinator_.WaitFor(assign.attempt(), HasEnded));
    return coordinator_.Log(assign.attempt());
  }
  ExitStatus EndWorker(int signal) {
    EXPECT_THAT(worker_->Signal(signal), IsOk());
    const auto exit = worker_->Wait(absl::Seconds(20));
    EXPECT_THAT(exit, IsOk());
    return exit.value_or(ExitStatus{.code = -1});
  }

  TempDir dir_;
  const std::string socket_ = dir_ / "coordinator.sock";
  const std::string state_ = dir_ / "state";
  std::string bin_;
  std::string trainer_;
  struct CloseFile {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<FILE, CloseFile> log_;
  FakeCoordinator coordinator_{socket_};
  std::unique_ptr<Process> worker_;
};

TEST_F(WorkerTest, RunsAnAttemptAndReportsEverythingBeforeItsEnd) {
  StartWorker();
  const AttemptLog log = RunToEnd(MakeAssign(1, 200));
  ASSERT_EQ(log.facts.size(), 2u);
  EXPECT_TRUE(log.facts[0].has_started());
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_FINISHED);
  EXPECT_EQ(log.ended()->end_step(), 200);
  EXPECT_EQ(log.steps, StepsTo(200));
  EXPECT_EQ(log.steps_at_end, 200u);
  EXPECT_THAT(log.checkpoints, ElementsAre(200));
  EXPECT_EQ(log.checkpoints_at_end, 1u);
}

TEST_F(WorkerTest, UsesATrainerAgain) {
  StartWorker();
  for (int attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_EQ(RunToEnd(MakeAssign(attempt, 10)).ended()->cause(), v1::CAUSE_FINISHED);
  }
}

TEST_F(WorkerTest, SaysHowATrainerCrashedAndReplacesIt) {
  StartWorker();
  session::v1::Assign assign = MakeAssign(1, 100);
  assign.mutable_recipe()->mutable_synthetic()->set_fail_at_step(20);
  assign.mutable_recipe()->mutable_synthetic()->set_failure(v1::Synthetic::FAILURE_CRASH);
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_INTERNAL);
  EXPECT_THAT(log.ended()->message(), HasSubstr("rank 0 at step 20"));
  EXPECT_THAT(log.ended()->message(), HasSubstr("signal 9"));
  EXPECT_THAT(log.ended()->message(), HasSubstr("about to fail at step 20"));
  EXPECT_EQ(log.steps, StepsTo(20));  // what it said before it died counts
  EXPECT_EQ(RunToEnd(MakeAssign(2, 10)).ended()->cause(), v1::CAUSE_FINISHED);
}

TEST_F(WorkerTest, PassesATypedFailureOn) {
  StartWorker();
  session::v1::Assign assign = MakeAssign(1, 100);
  assign.mutable_recipe()->mutable_synthetic()->set_fail_at_step(5);
  assign.mutable_recipe()->mutable_synthetic()->set_failure(v1::Synthetic::FAILURE_OUT_OF_MEMORY);
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_THAT(log.lines, Contains("about to fail at step 5"));
}

TEST_F(WorkerTest, KillsARankThatHangs) {
  StartWorker({"--hang-timeout=300ms"});
  session::v1::Assign assign = MakeAssign(1, 100);
  assign.mutable_recipe()->mutable_synthetic()->set_fail_at_step(5);
  assign.mutable_recipe()->mutable_synthetic()->set_failure(v1::Synthetic::FAILURE_HANG);
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_INTERNAL);
  EXPECT_THAT(log.ended()->message(), HasSubstr("no progress since step 5"));
}

TEST_F(WorkerTest, StopsWithACheckpointWhenAsked) {
  StartWorker();
  coordinator_.Assign(MakeAssign(1, 1'000'000, 5));
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1),
                                   [](const AttemptLog& log) { return log.steps.size() > 5; }));
  coordinator_.StopAttempt(AttemptText(1), session::v1::StopAttempt::MODE_CHECKPOINT,
                           v1::CAUSE_PAUSED);
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1), HasEnded));
  const AttemptLog log = coordinator_.Log(AttemptText(1));
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_PAUSED);
  EXPECT_THAT(log.checkpoints, ElementsAre(log.ended()->end_step()));
}

TEST_F(WorkerTest, GoesOnFromACheckpointWithoutFetchingItsOwn) {
  StartWorker();
  RunToEnd(MakeAssign(1, 50));
  session::v1::Assign assign = MakeAssign(2, 80);
  *assign.mutable_resume() = coordinator_.NewestCheckpoint();
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.facts[0].started().start_step(), 50);
  EXPECT_EQ(log.steps, StepsTo(80, 51));
  EXPECT_EQ(coordinator_.checkpoint_downloads(), 0);
}

TEST_F(WorkerTest, FetchesTheCheckpointOfAnotherWorker) {
  StartWorker();
  RunToEnd(MakeAssign(1, 50));
  EndWorker(SIGTERM);
  std::filesystem::remove_all(state_);
  StartWorker();
  session::v1::Assign assign = MakeAssign(2, 80);
  *assign.mutable_resume() = coordinator_.NewestCheckpoint();
  EXPECT_EQ(RunToEnd(assign).facts[0].started().start_step(), 50);
  EXPECT_EQ(coordinator_.checkpoint_downloads(), 1);
}

TEST_F(WorkerTest, FetchesShardsOnceAndVerifiesThem) {
  const std::string content = "the bytes of a shard";
  coordinator_.AddShard(content);
  coordinator_.DamageNextShard();
  StartWorker();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    session::v1::Assign assign = MakeAssign(attempt, 5);
    AddShard(4, content, assign);
    EXPECT_THAT(RunToEnd(assign).lines, Contains("shard: the bytes of a shard"));
  }
  EXPECT_EQ(coordinator_.shard_fetches(), 2);  // the damaged one, and the good one
}

TEST_F(WorkerTest, SaysWhoseTroubleAShardIs) {
  StartWorker({"--cache-bytes=1MiB"});
  const std::string large(size_t{2} << 20, 'x');
  coordinator_.AddShard(large);
  session::v1::Assign assign = MakeAssign(1, 5);
  AddShard(0, "a shard that the coordinator does not have", assign);
  AddShard(1, large, assign);
  const AttemptLog log = RunToEnd(assign);
  EXPECT_THAT(log.lines, Contains(HasSubstr("no shard (CAUSE_DATA)")));
  EXPECT_THAT(log.lines, Contains(HasSubstr("no shard (CAUSE_INTERNAL): the cache of")));
}

TEST_F(WorkerTest, TrainsOnMoreDataThanItsCacheHolds) {
  StartWorker({"--cache-bytes=1MiB"});
  session::v1::Assign assign = MakeAssign(1, 5);
  for (int i = 0; i < 3; ++i) {
    const std::string content(size_t{700} << 10, static_cast<char>('a' + i));
    coordinator_.AddShard(content);
    AddShard(i, content, assign);
  }
  const AttemptLog log = RunToEnd(assign);
  EXPECT_THAT(log.lines, Contains(HasSubstr("shard: aaaa")));
  EXPECT_THAT(log.lines, Contains(HasSubstr("shard: bbbb")));
  EXPECT_THAT(log.lines, Contains(HasSubstr("shard: cccc")));
}

TEST_F(WorkerTest, NamesADamagedCheckpointWithSeveralRanksHere) {
  StartWorker();
  RunToEnd(MakeAssign(1, 50));
  const session::v1::ResumePoint resume = coordinator_.NewestCheckpoint();
  EndWorker(SIGTERM);
  std::filesystem::remove_all(state_);
  StartWorker();
  coordinator_.DamageCheckpoints();
  session::v1::Assign assign = MakeWideAssign(2, 80);
  *assign.mutable_resume() = resume;
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_INTERNAL);
  EXPECT_EQ(log.ended()->damaged_checkpoint(), resume.checkpoint());
  EXPECT_EQ(log.ended()->end_step(), 50);
  EXPECT_EQ(coordinator_.checkpoint_downloads(), 2);  // once it may have been the way here
  EXPECT_EQ(RunToEnd(MakeWideAssign(3, 5)).ended()->cause(), v1::CAUSE_FINISHED);
}

TEST_F(WorkerTest, ACopyThatRottedHereIsNotTheCheckpointsFault) {
  StartWorker();
  RunToEnd(MakeAssign(1, 50));
  const session::v1::ResumePoint resume = coordinator_.NewestCheckpoint();
  const std::string path = JoinPath(state_, "cache/" + resume.digest());
  const auto modified = std::filesystem::last_write_time(path);
  {
    const auto file = PosixFileSystem().NewReadWriteFile(path);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT((*file)->WriteAt(static_cast<uint64_t>(resume.size_bytes()) / 2, "rot"), IsOk());
  }
  std::filesystem::last_write_time(path, modified);  // a disk tells nobody when it rots

  session::v1::Assign assign = MakeAssign(2, 80);
  *assign.mutable_resume() = resume;
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_INTERNAL);
  EXPECT_EQ(log.ended()->damaged_checkpoint(), "");
  EXPECT_THAT(log.ended()->message(), HasSubstr("the next attempt fetches it again"));
  assign.set_attempt(AttemptText(3));
  EXPECT_EQ(RunToEnd(assign).facts[0].started().start_step(), 50);
  EXPECT_EQ(coordinator_.checkpoint_downloads(), 1);
}

TEST_F(WorkerTest, RanksMeetInTheStoreAndFallTogether) {
  StartWorker();
  session::v1::Assign assign = MakeWideAssign(1, 1'000'000, 5);
  assign.mutable_recipe()->mutable_synthetic()->set_fail_at_step(30);
  assign.mutable_recipe()->mutable_synthetic()->set_failure(v1::Synthetic::FAILURE_OUT_OF_MEMORY);
  const AttemptLog log = RunToEnd(assign);
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_THAT(log.lines, Contains("arrived as number 1 of 2"));
  EXPECT_THAT(log.lines, Contains("arrived as number 2 of 2"));
  // Both slots are free again.
  EXPECT_EQ(RunToEnd(MakeWideAssign(2, 5)).ended()->cause(), v1::CAUSE_FINISHED);
}

TEST_F(WorkerTest, TrainsOnWhileTheCoordinatorIsAway) {
  StartWorker();
  session::v1::Assign assign = MakeAssign(1, 400, 2);
  assign.mutable_recipe()->mutable_checkpoint()->mutable_every()->set_steps(20);
  coordinator_.Assign(assign);
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1),
                                   [](const AttemptLog& log) { return log.steps.size() > 20; }));
  coordinator_.Stop();
  const size_t before = coordinator_.Log(AttemptText(1)).steps.size();
  ASSERT_LT(before, 400u);
  // It ends while nobody listens.
  ASSERT_TRUE(
      Eventually([&] { return HasEndIn(JoinPath(state_, "spool/e1-t1-a1-g1/facts.log")); }));
  coordinator_.Start();
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1), HasEnded));
  const AttemptLog log = coordinator_.Log(AttemptText(1));
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_FINISHED);
  EXPECT_EQ(log.steps, StepsTo(400));  // each once, in order
  EXPECT_EQ(log.steps_at_end, 400u);
  EXPECT_THAT(log.checkpoints, Contains(400));
  EXPECT_TRUE(std::is_sorted(log.checkpoints.begin(), log.checkpoints.end()));
  const auto hellos = coordinator_.hellos();
  ASSERT_EQ(hellos.size(), 2u);
  ASSERT_EQ(hellos[1].held_size(), 1);
  EXPECT_FALSE(hellos[1].held(0).running());
  EXPECT_EQ(hellos[1].cluster_id(), "test-cluster");
  EXPECT_EQ(hellos[1].revision(), 7);
}

TEST_F(WorkerTest, AKilledWorkerReportsWhatItHadWhenItComesBack) {
  StartWorker();
  session::v1::Assign assign = MakeAssign(1, 1'000'000, 2);
  assign.mutable_recipe()->mutable_checkpoint()->mutable_every()->set_steps(20);
  coordinator_.Assign(assign);
  ASSERT_TRUE(coordinator_.WaitFor(
      AttemptText(1), [](const AttemptLog& log) { return log.checkpoints.size() > 1; }));
  EXPECT_EQ(EndWorker(SIGKILL).signal, SIGKILL);
  const std::string instance = coordinator_.hellos()[0].instance();
  StartWorker();
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1), HasEnded));
  const AttemptLog log = coordinator_.Log(AttemptText(1));
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_WORKER_LOST);
  EXPECT_THAT(log.ended()->message(), HasSubstr("worker restarted"));
  EXPECT_EQ(log.steps, StepsTo(static_cast<int64_t>(log.steps.size())));
  const session::v1::Hello hello = coordinator_.hellos()[1];
  EXPECT_EQ(hello.instance(), instance);
  ASSERT_EQ(hello.held_size(), 1);
  EXPECT_FALSE(hello.held(0).running());
  // And it works.
  EXPECT_EQ(RunToEnd(MakeAssign(2, 5)).ended()->cause(), v1::CAUSE_FINISHED);
}

TEST_F(WorkerTest, AStopWritesACheckpointAndEndsInGoodOrder) {
  StartWorker();
  coordinator_.Assign(MakeAssign(1, 1'000'000, 5));
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1),
                                   [](const AttemptLog& log) { return log.steps.size() > 5; }));
  EXPECT_TRUE(EndWorker(SIGTERM).ok());
  const AttemptLog log = coordinator_.Log(AttemptText(1));
  ASSERT_TRUE(HasEnded(log));
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_PREEMPTED);
  EXPECT_THAT(log.checkpoints, ElementsAre(log.ended()->end_step()));
}

TEST_F(WorkerTest, ALostLeaseEndsTheAttemptAndItsReports) {
  StartWorker();
  coordinator_.Assign(MakeAssign(1, 1'000'000, 5));
  ASSERT_TRUE(coordinator_.WaitFor(AttemptText(1),
                                   [](const AttemptLog& log) { return log.steps.size() > 5; }));
  coordinator_.Fence(AttemptText(1));
  ASSERT_TRUE(Eventually(
      [&] { return !*Exists(PosixFileSystem(), JoinPath(state_, "spool/e1-t1-a1-g1")); }));
  // The slot is free for another attempt, which is what shows that the rank is gone.
  EXPECT_EQ(RunToEnd(MakeAssign(2, 5)).ended()->cause(), v1::CAUSE_FINISHED);
  EXPECT_FALSE(HasEnded(coordinator_.Log(AttemptText(1))));
}

TEST_F(WorkerTest, RefusesATrainerOfAnotherBuild) {
  UseTrainer("fake-trainer-of-another-build");
  StartWorker();
  const AttemptLog log = RunToEnd(MakeAssign(1, 5));
  EXPECT_EQ(log.ended()->cause(), v1::CAUSE_INTERNAL);
  EXPECT_THAT(log.ended()->message(), HasSubstr("does not start"));
}

TEST_F(WorkerTest, SaysWhyATrainerDoesNotStart) {
  UseTrainer("fake-trainer-that-fails-to-start");
  StartWorker();
  const AttemptLog log = RunToEnd(MakeAssign(1, 5));
  EXPECT_THAT(log.ended()->message(), HasSubstr("cannot load a library"));
}

TEST_F(WorkerTest, ASecondWorkerInTheSameDirectoryIsRefused) {
  StartWorker();
  const auto exit = Spawn()->Wait(absl::Seconds(20));
  ASSERT_THAT(exit, IsOk());
  EXPECT_EQ(exit->code, 69);
}

TEST_F(WorkerTest, RefusesWrongFlagsAllAtOnce) {
  log_.reset(std::tmpfile());
  const auto exit = Spawn({"--name=../x", "--metrics-address=nowhere"})->Wait(absl::Seconds(20));
  ASSERT_THAT(exit, IsOk());
  EXPECT_EQ(exit->code, 64);
  std::rewind(log_.get());
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), log_.get()));
  EXPECT_THAT(text, HasSubstr("--name"));
  EXPECT_THAT(text, HasSubstr("--metrics-address"));
}

TEST_F(WorkerTest, RaisesItsLimitOfOpenFiles) {
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit low = before;
  low.rlim_cur = std::min<rlim_t>(256, before.rlim_max);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  StartWorker();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit of_worker = {};
  ASSERT_EQ(::prlimit(worker_->pid(), RLIMIT_NOFILE, nullptr, &of_worker), 0);
  EXPECT_EQ(of_worker.rlim_cur, std::min<rlim_t>(65'536, before.rlim_max));
}

TEST_F(WorkerTest, WritesThePortOfItsMetrics) {
  StartWorker();
  const auto port = ReadFile(PosixFileSystem(), JoinPath(state_, "metrics_port"));
  ASSERT_THAT(port, IsOk());
  EXPECT_GT(std::stoi(*port), 0);
}

}  // namespace
}  // namespace cvtrain::worker
