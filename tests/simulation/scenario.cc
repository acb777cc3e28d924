#include "tests/simulation/scenario.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/random.h"

namespace cvtrain::simulation {
namespace {

struct NamedBug {
  Bug bug;
  absl::string_view name;
};

constexpr NamedBug kBugs[] = {{Bug::kNone, "none"},
#define CVTRAIN_NAMED_BUG(enumerator, name) {Bug::enumerator, name},
                              CVTRAIN_PLANTED_BUGS(CVTRAIN_NAMED_BUG)
#undef CVTRAIN_NAMED_BUG
};

// Between the two, every factor as likely.
double LogUniform(KeyedStream& stream, double low, double high) {
  return low * std::pow(high / low, stream.Uniform01());
}

Nanos LogUniformTime(KeyedStream& stream, Nanos low, Nanos high) {
  return static_cast<Nanos>(
      LogUniform(stream, static_cast<double>(low), static_cast<double>(high)));
}

}  // namespace

absl::string_view BugName(Bug bug) {
  for (const NamedBug& named : kBugs) {
    if (named.bug == bug) return named.name;
  }
  return "?";
}

std::optional<Bug> BugFromName(absl::string_view name) {
  for (const NamedBug& named : kBugs) {
    if (named.name == name) return named.bug;
  }
  return std::nullopt;
}

Scenario DrawScenario(uint64_t seed) {
  KeyedStream stream("simulation/scenario/v1", {seed});
  const auto often = [&] { return stream.Bernoulli(0.5); };
  Scenario scenario;
  scenario.seed = seed;
  scenario.workers = static_cast<int>(std::lround(LogUniform(stream, 1, 200)));
  scenario.slots_max = 1 + static_cast<int>(stream.UniformInt(4));
  // Few workers may live long, many renew seldom: a run is a second or two of a core.
  const double hours = scenario.workers <= 6 && stream.Bernoulli(0.15)
                           ? 30
                           : LogUniform(stream, 2, scenario.workers > 60 ? 6 : 14);
  scenario.duration = static_cast<Nanos>(hours * static_cast<double>(kHour));
  const double slowest = std::max(1.0, scenario.workers / 2.0);
  scenario.renew_interval = static_cast<Nanos>(
      std::min(60.0, LogUniform(stream, slowest, slowest * 6)) * static_cast<double>(kSecond));
  scenario.snapshot_events = static_cast<int64_t>(LogUniform(stream, 20, 3000));
  scenario.tail_records = static_cast<int64_t>(LogUniform(stream, 1, 3000));

  scenario.clients = 1 + static_cast<int>(stream.UniformInt(4));
  scenario.client_pause = LogUniformTime(stream, kMinute, 15 * kMinute) * scenario.clients;
  scenario.experiments_open_max = 1 + static_cast<int>(stream.UniformInt(12));
  // What is open when faults stop ends within some hours.
  const Nanos fits =
      3 * kHour * scenario.workers * scenario.slots_max / scenario.experiments_open_max / 4;
  scenario.trial_time_max = std::clamp(LogUniformTime(stream, 5 * kMinute, 3 * kHour), 2 * kMinute,
                                       std::max(fits, 2 * kMinute));
  scenario.gangs = often();
  scenario.searches = stream.Bernoulli(0.75);
  scenario.cancels = often();
  scenario.imports = often();
  scenario.trial_failures = often() ? LogUniform(stream, 0.01, 0.5) : 0;

  scenario.loss = often() ? LogUniform(stream, 0.0005, 0.3) : 0;
  scenario.doubles = often() ? LogUniform(stream, 0.001, 0.5) : 0;
  scenario.delay_max =
      often() ? LogUniformTime(stream, kMillisecond, 100 * kMillisecond) : kMillisecond / 2;
  scenario.long_delays = often() ? LogUniform(stream, 0.0001, 0.01) : 0;
  scenario.clog_every = often() ? LogUniformTime(stream, 10 * kMinute, 2 * kHour) : 0;
  scenario.partition_every = often() ? LogUniformTime(stream, 10 * kMinute, 2 * kHour) : 0;
  scenario.partition_max = LogUniformTime(stream, 20 * kSecond, 20 * kMinute);

  scenario.coordinator_crash_every =
      often() ? LogUniformTime(stream, 10 * kMinute, 90 * kMinute) : 0;
  scenario.coordinator_pause_every = often() ? LogUniformTime(stream, 20 * kMinute, 3 * kHour) : 0;
  scenario.worker_crash_every = often() ? LogUniformTime(stream, 40 * kMinute, 6 * kHour) : 0;
  scenario.worker_pause_every = often() ? LogUniformTime(stream, 40 * kMinute, 6 * kHour) : 0;
  scenario.worker_stop_every = often() ? LogUniformTime(stream, kHour, 12 * kHour) : 0;

  scenario.clock_step_every = often() ? LogUniformTime(stream, 30 * kMinute, 6 * kHour) : 0;
  scenario.drift_max = often() ? 500e-6 : 0;

  scenario.disk_errors = often() ? LogUniform(stream, 0.0001, 0.01) : 0;
  scenario.disk_full_every = often() ? LogUniformTime(stream, kHour, 8 * kHour) : 0;
  scenario.disk_slow_every = often() ? LogUniformTime(stream, 30 * kMinute, 4 * kHour) : 0;
  scenario.bit_rot_every = often() ? LogUniformTime(stream, 30 * kMinute, 8 * kHour) : 0;
  scenario.worker_disk_full_every = often() ? LogUniformTime(stream, kHour, 8 * kHour) : 0;
  scenario.damaged_checkpoints = often() ? 0.05 : 0;
  scenario.repeats = often() ? 0.3 : 0;
  return scenario;
}

std::string Describe(const Scenario& scenario) {
  std::string text =
      absl::StrCat("seed ", scenario.seed, ": ", scenario.workers, " workers of 1 to ",
                   scenario.slots_max, " slots, ", scenario.clients, " clients, ",
                   absl::FormatDuration(ToDuration(scenario.duration)), ", renewals each ",
                   absl::FormatDuration(ToDuration(scenario.renew_interval)));
  if (scenario.bug != Bug::kNone) absl::StrAppend(&text, ", planted: ", BugName(scenario.bug));
  return text;
}

}  // namespace cvtrain::simulation
