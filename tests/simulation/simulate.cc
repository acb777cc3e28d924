// Runs seeds of the simulation, each twice, on as many threads as asked for, and adds a row to a
// ledger. What scripts/evidence calls; by hand:
//
//   simulate --first=1 --seeds=100             these seeds
//   simulate --first=1 --minutes=10            as many as fit
//   simulate --first=7 --seeds=1 --bug=NAME    with a planted bug
//
// Ends with 1 at the first broken promise, and says its seed.
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/cores.h"
#include "common/log.h"
#include "common/thread.h"
#include "tests/simulation/world.h"

namespace cvtrain::simulation {
namespace {

constexpr size_t kThreadsMax = 256;

struct SimulateOptions {
  uint64_t first = 1;
  uint64_t seeds = 0;  // 0: as many as fit
  double minutes = 0;
  size_t jobs = 1;
  Bug bug = Bug::kNone;
  bool once = false;
  bool verbose = false;
  bool print = false;
  std::string commit = "unknown";
  std::string date = "unknown";
  std::string ledger;       // a CSV file to add to
  std::string regressions;  // a folder for seeds that failed
};

struct Sum {
  uint64_t seeds = 0;
  uint64_t last = 0;
  double cluster_days = 0;
  int64_t revisions = 0;
  int64_t events = 0;
  Tally tally;
  int64_t broken = 0;
};

// What each thread runs: a signal that ends the process names the seeds.
std::atomic<uint64_t> running[kThreadsMax];

void OnAbort(int signal) {
  for (const std::atomic<uint64_t>& seed : running) {
    const uint64_t value = seed.load();
    if (value == 0) continue;
    char text[64];
    const int size = std::snprintf(text, sizeof(text), "crashed while seed %llu ran\n",
                                   static_cast<unsigned long long>(value));
    if (write(STDERR_FILENO, text, static_cast<size_t>(size)) < 0) break;
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::string Counts(absl::Span<const absl::string_view> names, absl::Span<const int64_t> counts) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < names.size(); ++i) parts.push_back(absl::StrCat(names[i], ":", counts[i]));
  return absl::StrJoin(parts, " ");
}

class Simulator {
 public:
  explicit Simulator(const SimulateOptions& options)
      : options_(options),
        next_(options.first),
        start_(RealClock().SteadyNow()),
        end_(options.minutes > 0 ? start_ + absl::Minutes(options.minutes)
                                 : absl::InfiniteDuration()) {}

  Sum Run() {
    std::vector<std::unique_ptr<Thread>> threads;
    for (size_t i = 0; i < options_.jobs; ++i) {
      threads.push_back(std::make_unique<Thread>(
          absl::StrCat("simulate-", i), [this, i](const StopToken&) { RunSeeds(running[i]); }));
    }
    for (const auto& thread : threads) thread->Join();
    absl::MutexLock lock(&mu_);
    return sum_;
  }

  double seconds() const { return absl::ToDoubleSeconds(RealClock().SteadyNow() - start_); }

 private:
  std::optional<uint64_t> Next() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const bool all = options_.seeds > 0 && next_ >= options_.first + options_.seeds;
    if (all || sum_.broken > 0 || RealClock().SteadyNow() >= end_) return std::nullopt;
    return next_++;
  }

  void RunSeeds(std::atomic<uint64_t>& current) {
    while (const std::optional<uint64_t> seed = Next()) {
      current = *seed;
      RunResult result = RunSeed(*seed, options_.bug, options_.print);
      if (!options_.once) {
        const RunResult again = RunSeed(*seed, options_.bug);
        if (again.trace_hash != result.trace_hash) {
          result.violations.push_back("T8: two runs of this seed have different traces");
        }
      }
      current = 0;
      Add(result);
    }
  }

  void Add(const RunResult& result) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    ++sum_.seeds;
    sum_.last = std::max(sum_.last, result.seed);
    sum_.cluster_days += result.cluster_days;
    sum_.revisions += result.revisions;
    sum_.events += result.events;
    sum_.tally.Add(result.tally);
    if (options_.verbose) {
      std::printf(
          "%s\n  %.2f cluster-days, %lld revisions, %lld events, %lld faults, %zu probes, "
          "trace %016llx\n",
          Describe(DrawScenario(result.seed)).c_str(), result.cluster_days,
          static_cast<long long>(result.revisions), static_cast<long long>(result.events),
          static_cast<long long>(result.tally.fault_sum()), result.tally.probes_hit(),
          static_cast<unsigned long long>(result.trace_hash));
    }
    if (result.violations.empty()) return;
    ++sum_.broken;
    std::string text = Describe(DrawScenario(result.seed));
    for (const std::string& violation : result.violations)
      absl::StrAppend(&text, "\n  ", violation);
    std::printf("BROKEN %s\n", text.c_str());
    if (options_.regressions.empty() || options_.bug != Bug::kNone) return;
    const std::string path = absl::StrCat(options_.regressions, "/", result.seed, ".txt");
    if (std::FILE* file = std::fopen(path.c_str(), "w")) {
      std::fprintf(file, "# %s: %s\n", options_.commit.c_str(), text.c_str());
      std::fclose(file);
    }
  }

  const SimulateOptions options_;
  absl::Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_);
  Sum sum_ ABSL_GUARDED_BY(mu_);
  const absl::Duration start_;
  const absl::Duration end_;
};

bool Parse(int argc, char** argv, SimulateOptions& options) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    bool good = true;
    if (absl::ConsumePrefix(&flag, "--first=")) {
      good = absl::SimpleAtoi(flag, &options.first);
    } else if (absl::ConsumePrefix(&flag, "--seeds=")) {
      good = absl::SimpleAtoi(flag, &options.seeds);
    } else if (absl::ConsumePrefix(&flag, "--minutes=")) {
      good = absl::SimpleAtod(flag, &options.minutes);
    } else if (absl::ConsumePrefix(&flag, "--jobs=")) {
      good =
          absl::SimpleAtoi(flag, &options.jobs) && options.jobs >= 1 && options.jobs <= kThreadsMax;
    } else if (absl::ConsumePrefix(&flag, "--bug=")) {
      const std::optional<Bug> bug = BugFromName(flag);
      good = bug.has_value();
      options.bug = bug.value_or(Bug::kNone);
    } else if (absl::ConsumePrefix(&flag, "--commit=")) {
      options.commit = std::string(flag);
    } else if (absl::ConsumePrefix(&flag, "--date=")) {
      options.date = std::string(flag);
    } else if (absl::ConsumePrefix(&flag, "--ledger=")) {
      options.ledger = std::string(flag);
    } else if (absl::ConsumePrefix(&flag, "--regressions=")) {
      options.regressions = std::string(flag);
    } else if (flag == "--once") {
      options.once = true;
    } else if (flag == "--print") {
      options.print = true;
    } else if (flag == "--verbose") {
      options.verbose = true;
    } else {
      good = false;
    }
    if (!good) {
      std::fprintf(stderr, "simulate: %s is no flag, or has a bad value; the flags are in %s\n",
                   argv[i], "tests/simulation/simulate.cc");
      return false;
    }
  }
  if (options.seeds == 0 && options.minutes <= 0) {
    std::fprintf(stderr, "simulate: say --seeds=N or --minutes=N\n");
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  SimulateOptions options;
  if (!Parse(argc, argv, options)) return 2;
  // What the engine and the sessions would say to people is not about anybody.
  SetLogSink([](const LogRecord&) {});
  SetLogLevel(LogLevel::kError);
  // Memory that a seed gives back is for the next one.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 1 << 28);
  mallopt(M_TOP_PAD, 64 << 20);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, OnAbort);
  Simulator simulator(options);
  const Sum sum = simulator.Run();
  const double seconds = simulator.seconds();
  std::printf(
      "%llu seeds (%llu to %llu)%s: %.1f cluster-days, %lld revisions, %lld faults, %zu of %zu "
      "probes, %.0f s, %lld broken\n",
      static_cast<unsigned long long>(sum.seeds), static_cast<unsigned long long>(options.first),
      static_cast<unsigned long long>(sum.last), options.once ? "" : ", each twice",
      sum.cluster_days, static_cast<long long>(sum.revisions),
      static_cast<long long>(sum.tally.fault_sum()), sum.tally.probes_hit(), kProbeCount, seconds,
      static_cast<long long>(sum.broken));
  std::string missed;
  for (size_t i = 0; i < kProbeCount; ++i) {
    if (sum.tally.probes[i] == 0) absl::StrAppend(&missed, " ", kProbeNames[i]);
  }
  if (!missed.empty() && (options.verbose || sum.broken == 0))
    std::printf("not reached:%s\n", missed.c_str());
  if (!options.ledger.empty() && sum.seeds > 0) {
    std::FILE* file = std::fopen(options.ledger.c_str(), "a");
    if (file == nullptr) {
      std::fprintf(stderr, "simulate: %s: cannot be written\n", options.ledger.c_str());
      return 2;
    }
    std::fprintf(
        file, "%s,%s,%llu,%llu,%llu,%.2f,%lld,%lld,%zu,%zu,%.0f,%lld,%s,%s\n", options.date.c_str(),
        options.commit.c_str(), static_cast<unsigned long long>(options.first),
        static_cast<unsigned long long>(sum.last), static_cast<unsigned long long>(sum.seeds),
        sum.cluster_days, static_cast<long long>(sum.revisions),
        static_cast<long long>(sum.tally.fault_sum()), sum.tally.probes_hit(), kProbeCount, seconds,
        static_cast<long long>(sum.broken), Counts(kFaultNames, sum.tally.faults).c_str(),
        Counts(kProbeNames, sum.tally.probes).c_str());
    std::fclose(file);
  }
  return sum.broken == 0 ? 0 : 1;
}

}  // namespace
}  // namespace cvtrain::simulation

int main(int argc, char** argv) { return cvtrain::simulation::Main(argc, argv); }
