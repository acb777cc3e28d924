#ifndef CVTRAIN_TESTS_SIMULATION_CONTEXT_H_
#define CVTRAIN_TESTS_SIMULATION_CONTEXT_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/random.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/tally.h"

namespace cvtrain::simulation {

// A hash over everything that goes in and comes out, in order: equal for two runs of one seed, or
// something depends on what it must not (T8).
class Trace {
 public:
  void Add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15;
    hash_ ^= hash_ >> 29;
    hash_ *= 0xbf58476d1ce4e5b9;
    hash_ ^= hash_ >> 32;
  }
  void Add(absl::string_view text) { Add(HashOf(text)); }

  static uint64_t HashOf(absl::string_view text) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char byte : text) {
      hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
    }
    return hash;
  }

  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

// What all parts of one run share. Not copyable: parts keep references.
struct Context {
  explicit Context(const Scenario& the_scenario)
      : scenario(the_scenario), random("simulation/run/v1", {the_scenario.seed}) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Scenario scenario;
  EventQueue queue;
  KeyedStream random;
  Trace trace;
  Tally tally;
  // False once faults have stopped.
  bool faults_on = true;
  std::vector<std::string> violations;

  // A promise is broken: its id ("S2"), and what was seen. The run ends soon after.
  void Broken(absl::string_view promise, absl::string_view what) {
    constexpr size_t kKept = 20;
    if (violations.size() < kKept) {
      violations.push_back(
          absl::StrCat(promise, " at ", absl::FormatDuration(ToDuration(now())), ": ", what));
    }
  }

  // One line with the time, for whoever looks for a cause; only with Scenario::print.
  void Print(absl::string_view text) const {
    if (!scenario.print) return;
    const std::string line = absl::StrCat(absl::FormatDuration(ToDuration(now())), " ", text, "\n");
    std::fputs(line.c_str(), stdout);
  }

  Nanos now() const { return queue.now(); }
  void Injected(Fault fault) {
    if (scenario.print) Print(absl::StrCat("fault ", kFaultNames[static_cast<size_t>(fault)]));
    tally.Add(fault);
    trace.Add(static_cast<uint64_t>(fault));
  }
  void Reached(Probe probe) { tally.Add(probe); }

  bool Chance(double p) { return faults_on && p > 0 && random.Bernoulli(p); }
  // In [low, high).
  Nanos Between(Nanos low, Nanos high) {
    return low + static_cast<Nanos>(
                     random.UniformInt(static_cast<uint64_t>(std::max<Nanos>(1, high - low))));
  }
  // Until the next of what happens every `mean`, without memory.
  Nanos Exponential(Nanos mean) {
    return static_cast<Nanos>(-std::log1p(-random.Uniform01()) * static_cast<double>(mean));
  }
  size_t Index(size_t size) { return static_cast<size_t>(random.UniformInt(size)); }
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_CONTEXT_H_
