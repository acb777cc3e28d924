// Kills a real coordinator (kill -9) at random moments while it takes submissions, metrics, lines,
// checkpoints and imports over real gRPC, starts it again on the same directory, and compares it
// with what it had acknowledged.
//
//   kill_coordinator --kills=N [--coordinator=PATH] [--seed=N] [--expect-loss]
//
// Exits 0 if nothing acknowledged was lost or doubled, and no lease was dropped. With
// --expect-loss, which proves that the check works, it exits 0 if the comparison found a loss of
// something that was acknowledged before: a coordinator that does not start, or answers with
// errors, proves nothing.
//
// The page cache survives a killed process, so this finds answers that came before a write;
// storage_crash_test finds writes without a sync.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/clock.h"
#include "common/env.h"
#include "common/process.h"
#include "common/rpc/channel.h"
#include "common/status_macros.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "tests/crash/kill_actors.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

struct Options {
  int kills = 50;
  std::string coordinator;
  uint64_t seed = 1;
  bool expect_loss = false;
};

// Time from the start of a process in which it is killed: long enough to recover and to work.
constexpr absl::Duration kLifeMax = absl::Milliseconds(900);

class KillTest {
 public:
  explicit KillTest(const Options& options)
      : options_(options),
        random_(options.seed),
        oracle_(PosixFileSystem(), directory_ / "oracle"),
        worker_(oracle_, random_) {}

  // Runs all cycles, up to the first one that breaks a promise; returns whether none did, or, where
  // a loss is expected, whether the comparison found one.
  bool Run() {
    const bool kept = RunCycles();
    if (!options_.expect_loss) {
      return kept;
    }
    const bool noticed = oracle_.Count(Violation::Kind::kLost) > 0;
    if (!noticed) {
      std::cout << "BROKEN: a loss was planted, and the comparison did not notice\n";
    }
    return noticed;
  }

 private:
  bool RunCycles() {
    const absl::Duration start = RealClock().SteadyNow();
    for (int kill = 1; kill <= options_.kills; ++kill) {
      Cycle(kill);
      if (!oracle_.violations().empty()) {
        Report(kill, start);
        return false;
      }
      if (kill % 50 == 0) {
        Report(kill, start);
      }
    }
    // A last start, with all of it compared.
    Spawn();
    if (WaitUntilServing()) {
      CheckCoordinator(channel_, oracle_, /*all=*/true, {});
    }
    Kill();
    Report(options_.kills, start);
    return oracle_.violations().empty();
  }

  void Cycle(int kill) {
    Spawn();
    if (kill % 10 == 0) {
      // In the middle of its start.
      WaitForStop({}, random_.Uniform01() * absl::Milliseconds(60));
      return Kill();
    }
    if (!WaitUntilServing()) {
      return Kill();
    }
    // Trials of the last cycle, and now and then one from long ago.
    CheckCoordinator(channel_, oracle_, /*all=*/kill % 100 == 0, touched_);
    const std::set<std::string> ended = EndedTrials();
    {
      Thread submitter("submitter",
                       [this](StopToken stop) { RunSubmitter(channel_, oracle_, random_, stop); });
      Thread importer("importer",
                      [this](StopToken stop) { RunImporter(channel_, oracle_, random_, stop); });
      Thread worker("worker", [this](StopToken stop) { worker_.Run(channel_, stop); });
      WaitForStop({}, random_.Uniform01() * kLifeMax);
      Kill();
    }
    touched_.clear();
    for (const auto& [name, trial] : oracle_.trials) {
      if (!ended.contains(name)) {
        touched_.insert(name);
      }
    }
  }

  std::set<std::string> EndedTrials() const {
    std::set<std::string> ended;
    for (const auto& [name, trial] : oracle_.trials) {
      if (trial.end_acknowledged) {
        ended.insert(name);
      }
    }
    return ended;
  }

  void Spawn() {
    auto process = Process::Spawn(
        {.argv = {options_.coordinator, "--listen", address_, "--state-dir", directory_ / "state"},
         .die_with_parent = true});
    CVT_CHECK_OK(process.status());
    process_ = *std::move(process);
    auto channel = OpenChannel(address_, {}, PosixFileSystem());
    CVT_CHECK_OK(channel.status());
    channel_ = *std::move(channel);
  }

  // False if the coordinator ended instead: it refused its own data.
  bool WaitUntilServing() {
    for (int i = 0; i < 600; ++i) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
      context.set_wait_for_ready(true);
      v1::GetClusterResponse response;
      if (v1::ClusterService::NewStub(channel_)->GetCluster(&context, {}, &response).ok()) {
        return true;
      }
      const auto ended = process_->Poll();
      CVT_CHECK_OK(ended.status());
      if (*ended) {
        oracle_.Broken(Violation::Kind::kOther,
                       absl::StrCat("the coordinator does not start: ", (*ended)->ToString()));
        return false;
      }
    }
    oracle_.Broken(Violation::Kind::kOther, "the coordinator does not serve within a minute");
    return false;
  }

  void Kill() {
    process_->Signal(SIGKILL).IgnoreError();  // it may have ended by itself
    CVT_CHECK_OK(process_->Wait(absl::Seconds(30)).status());
    process_.reset();
  }

  void Report(int kills, absl::Duration start) {
    size_t experiments = 0;
    for (const SubmittedExperiment& experiment : oracle_.experiments) {
      experiments += experiment.name.empty() ? 0 : 1;
    }
    int64_t points = 0;
    int64_t lines = 0;
    size_t checkpoints = 0;
    for (const auto& [name, trial] : oracle_.trials) {
      points += trial.points_acknowledged;
      lines += trial.lines_acknowledged;
      checkpoints += trial.checkpoints_acknowledged.size();
    }
    size_t imports = 0;
    size_t deletions = 0;
    for (const SentImport& import : oracle_.imports) {
      imports += import.acknowledged ? 1 : 0;
      deletions += import.delete_acknowledged ? 1 : 0;
    }
    const absl::Duration taken = RealClock().SteadyNow() - start;
    std::cout << kills << " kills in " << absl::FormatDuration(absl::Trunc(taken, absl::Seconds(1)))
              << ": " << oracle_.acknowledged() << " acknowledgements of " << experiments
              << " experiments, " << points << " points, " << lines << " lines, " << checkpoints
              << " checkpoints, " << imports << " imports, " << deletions << " deletions and "
              << EndedTrials().size() << " ends, revision " << oracle_.revision << "; "
              << oracle_.Count(Violation::Kind::kLost) << " lost, "
              << oracle_.Count(Violation::Kind::kDoubled) << " doubled, "
              << oracle_.Count(Violation::Kind::kOther) << " other violations\n"
              << std::flush;
    for (const Violation& violation : oracle_.violations()) {
      std::cout << "BROKEN: " << violation.text << "\n";
    }
  }

  const Options options_;
  testing::TempDir directory_;
  const std::string address_ = "unix:" + (directory_ / "socket");
  SeededRandom random_;
  KillOracle oracle_;
  FakeWorker worker_;
  std::set<std::string> touched_;
  std::unique_ptr<Process> process_;
  std::shared_ptr<grpc::Channel> channel_;
};

bool Parse(int argc, char** argv, Options* options) {
  options->coordinator =
      absl::StrCat(GetEnv("CVTRAIN_BIN_DIR").value_or("."), "/cvtrain-coordinator");
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--expect-loss") {
      options->expect_loss = true;
    } else if (absl::ConsumePrefix(&argument, "--coordinator=")) {
      options->coordinator = std::string(argument);
    } else if (absl::ConsumePrefix(&argument, "--kills=")) {
      if (!absl::SimpleAtoi(argument, &options->kills)) return false;
    } else if (absl::ConsumePrefix(&argument, "--seed=")) {
      if (!absl::SimpleAtoi(argument, &options->seed)) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace cvtrain

int main(int argc, char** argv) {
  cvtrain::Options options;
  if (!cvtrain::Parse(argc, argv, &options)) {
    std::cerr << "usage: kill_coordinator --kills=N [--coordinator=PATH] [--seed=N] "
                 "[--expect-loss]\n";
    return 64;
  }
  std::cout << "seed: " << options.seed << "\n" << std::flush;
  return cvtrain::KillTest(options).Run() ? 0 : 1;
}
