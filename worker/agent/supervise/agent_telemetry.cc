#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "worker/agent/supervise/agent_state.h"

namespace cvtrain::worker {
namespace {

// Series of a trainer that count here as well.
constexpr absl::string_view kSamples = "samples";
// Then the cause: input_stall_seconds/network.
constexpr absl::string_view kInputStall = "input_stall_seconds/";

std::vector<std::string> CauseLabels() {
  std::vector<std::string> labels;
  for (int cause = v1::Cause_MIN; cause <= v1::Cause_MAX; ++cause) {
    if (v1::Cause_IsValid(cause)) labels.push_back(CauseLabel(static_cast<v1::Cause>(cause)));
  }
  return labels;
}

Gauge* StateGauge(TelemetryRegistry& registry, const std::string& name, const std::string& help,
                  const std::string& state) {
  return &registry.NewGauge({.name = name, .help = help, .labels = {{"state", state}}});
}

}  // namespace

std::string CauseLabel(v1::Cause cause) {
  std::string name = v1::Cause_Name(cause);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "CAUSE_"));
}

Agent::Telemetry::Telemetry(TelemetryRegistry& registry)
    : slots(registry.NewGauge({.name = "cvtrain_worker_slots", .help = "Slots of this worker"})),
      attempts_running(registry.NewGauge(
          {.name = "cvtrain_worker_attempts_running", .help = "Attempts whose ranks run here"})),
      attempts_reporting(
          registry.NewGauge({.name = "cvtrain_worker_attempts_reporting",
                             .help = "Attempts that have ended and wait for their reports"})),
      lease_age(registry.NewGauge({.name = "cvtrain_worker_lease_age_seconds",
                                   .help = "Since the last confirmed renewal; -1 before any"})),
      reconnects(registry.NewCounter({.name = "cvtrain_worker_reconnects_total",
                                      .help = "Sessions with the coordinator that broke"})),
      steps(registry.NewCounter(
          {.name = "cvtrain_worker_steps_total", .help = "Steps of all ranks on this worker"})),
      images(registry.NewCounter({.name = "cvtrain_worker_images_total",
                                  .help = "Images trained on, of attempts with rank 0 here"})),
      input_stall(registry,
                  {.name = "cvtrain_worker_input_stall_seconds_total",
                   .help = "Time that steps waited for pictures, of steps that waited for more "
                           "than a hundredth of their time, by what held up the pictures"},
                  "cause", {"network", "disk", "decode"}),
      points(registry.NewCounter({.name = "cvtrain_worker_metric_points_total",
                                  .help = "Points of series that trainers reported"})),
      trial_start(registry.NewHistogram({.name = "cvtrain_worker_trial_start_seconds",
                                         .help = "From the grant of slots to the first step"},
                                        LatencyBuckets())),
      ranks_ended(
          registry,
          {.name = "cvtrain_worker_ranks_ended_total", .help = "Ranks that ended, by cause"},
          "cause", CauseLabels()),
      reports_refused_by_spool(
          registry.NewCounter({.name = "cvtrain_worker_reports_refused_total",
                               .help = "Reports dropped because the disk did not keep up"})) {
  const std::string trainers_name = "cvtrain_worker_trainers";
  const std::string trainers_help = "Trainer processes by state";
  trainers = {
      {TrainerSlot::State::kStarting,
       StateGauge(registry, trainers_name, trainers_help, "starting")},
      {TrainerSlot::State::kWarm, StateGauge(registry, trainers_name, trainers_help, "warm")},
      {TrainerSlot::State::kRunning, StateGauge(registry, trainers_name, trainers_help, "running")},
      {TrainerSlot::State::kEnding, StateGauge(registry, trainers_name, trainers_help, "ending")},
      {TrainerSlot::State::kWaiting,
       StateGauge(registry, trainers_name, trainers_help, "waiting")}};
  const std::string session_name = "cvtrain_worker_session";
  const std::string session_help = "1 for the state that the session is in";
  session = {
      {Session::State::kWaiting, StateGauge(registry, session_name, session_help, "waiting")},
      {Session::State::kOpening, StateGauge(registry, session_name, session_help, "opening")},
      {Session::State::kGreeting, StateGauge(registry, session_name, session_help, "greeting")},
      {Session::State::kActive, StateGauge(registry, session_name, session_help, "active")}};
}

void Agent::UpdateTelemetry() {
  series_->slots.Set(static_cast<double>(slots_.size()));
  for (const auto& [state, gauge] : series_->trainers) {
    gauge->Set(static_cast<double>(
        std::count_if(slots_.begin(), slots_.end(),
                      [wanted = state](const auto& slot) { return slot->state() == wanted; })));
  }
  for (const auto& [state, gauge] : series_->session) {
    gauge->Set(state == session_->state() ? 1 : 0);
  }
  series_->attempts_running.Set(session_->running_count());
  series_->attempts_reporting.Set(session_->reporting_count());
  const absl::Duration age = session_->lease().AgeAt(clock_.SteadyNow());
  series_->lease_age.Set(age == absl::InfiniteDuration() ? -1 : absl::ToDoubleSeconds(age));
  series_->reconnects.Increment(
      static_cast<double>(session_->reconnects() - series_->reconnects_counted));
  series_->reconnects_counted = session_->reconnects();
}

void Agent::CountProgress(const AttemptKey& key, int rank, const trainer::v1::Report& report) {
  const auto it = attempts_.find(key);
  if (it == attempts_.end()) return;
  Attempt& attempt = *it->second;
  if (report.has_progress()) {
    const int64_t step = report.progress().step();
    const auto [last, first] =
        attempt.last_step.try_emplace(rank, std::max<int64_t>(attempt.assign.resume().step(), 0));
    if (step > last->second) series_->steps.Increment(static_cast<double>(step - last->second));
    last->second = std::max(last->second, step);
  }
  for (const session::v1::Fact& fact : report.facts()) {
    if (!fact.has_started() || !attempt.assign.has_grant_time()) continue;
    const absl::Time granted = absl::FromUnixSeconds(attempt.assign.grant_time().seconds()) +
                               absl::Nanoseconds(attempt.assign.grant_time().nanos());
    // When it happened, not when it was heard of.
    const absl::Time started = fact.has_time() ? absl::FromUnixSeconds(fact.time().seconds()) +
                                                     absl::Nanoseconds(fact.time().nanos())
                                               : clock_.WallNow();
    series_->trial_start.Observe(std::max(0.0, absl::ToDoubleSeconds(started - granted)));
  }
  for (const v1::MetricSeries& series : report.series()) {
    series_->points.Increment(series.values_size());
    absl::string_view stall_cause = series.metric();
    const bool is_stall = absl::ConsumePrefix(&stall_cause, kInputStall);
    for (const double value : series.values()) {
      if (is_stall && value > 0) series_->input_stall.For(stall_cause).Increment(value);
      if (series.metric() != kSamples) continue;
      // The first point of a resumed attempt counts from where the trial stood.
      const bool fresh = !attempt.assign.has_resume();
      const double before = attempt.last_samples.value_or(fresh ? 0 : value);
      if (value > before) series_->images.Increment(value - before);
      attempt.last_samples = value;
    }
  }
}

}  // namespace cvtrain::worker
