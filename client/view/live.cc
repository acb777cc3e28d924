#include "client/view/live.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr int kBarCells = 18;

std::string Bar(const v1::Progress& progress) {
  const double share = progress.step_total() == 0
                           ? 0
                           : std::clamp(static_cast<double>(progress.step()) /
                                            static_cast<double>(progress.step_total()),
                                        0.0, 1.0);
  const int full = static_cast<int>(share * kBarCells);
  return absl::StrCat("[", std::string(static_cast<size_t>(full), '='),
                      std::string(static_cast<size_t>(kBarCells - full), ' '), "]",
                      absl::StrFormat("%4.0f%%", share * 100));
}

const char* StateColor(v1::Trial::State state) {
  switch (state) {
    case v1::Trial::STATE_RUNNING:
      return "\x1b[36m";
    case v1::Trial::STATE_SUCCEEDED:
      return "\x1b[32m";
    case v1::Trial::STATE_FAILED:
      return "\x1b[31m";
    default:
      return "\x1b[2m";
  }
}

std::string ObjectiveText(const v1::Trial& trial) {
  return trial.has_objective() ? MetricText(trial.objective()) : "-";
}

// The columns of a trial that runs or has run.
std::string WorkText(const v1::Trial& trial) {
  const v1::Progress& progress = trial.progress();
  const bool running = trial.state() == v1::Trial::STATE_RUNNING;
  return absl::StrFormat("%-10s %11s %8s %8s %8s %s %s", StageText(progress),
                         absl::StrCat(progress.step(), "/", progress.step_total()),
                         running ? absl::StrFormat("%.0f/s", progress.images_per_second()) : "-",
                         progress.loss() == 0 ? "-" : MetricText(progress.loss()),
                         ObjectiveText(trial), Bar(progress), running ? EtaText(progress) : "");
}

bool ShowsWork(const v1::Trial& trial) {
  return trial.progress().step_total() > 0 && trial.state() != v1::Trial::STATE_QUEUED;
}

std::string CountsText(const v1::TrialCounts& counts) {
  std::string text = absl::StrCat(counts.running(), " running, ", counts.queued(), " queued, ",
                                  counts.succeeded(), " done");
  if (counts.failed() > 0) absl::StrAppend(&text, ", ", counts.failed(), " failed");
  if (counts.cancelled() > 0) absl::StrAppend(&text, ", ", counts.cancelled(), " cancelled");
  return text;
}

// Cuts a line to what the terminal holds; escape sequences are added later.
std::string Fit(const std::string& line, int columns) {
  return TruncateText(line, static_cast<size_t>(std::max(20, columns - 1)));
}

}  // namespace

void LiveView::Update(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
                      absl::Time now) {
  outage_ = false;
  if (options_.terminal) {
    Redraw(Lines(experiment, trials, now));
    return;
  }
  for (const v1::Trial& trial : trials) PrintNews(experiment, trial, now);
  out_.flush();
}

void LiveView::ShowOutage(const std::string& message) {
  if (outage_) return;
  outage_ = true;
  out_ << "cvctl: no answer (" << SafeText(message)
       << "); trials go on, waiting for the coordinator\n";
  lines_drawn_ = 0;
  out_.flush();
}

void LiveView::Finish() {
  lines_drawn_ = 0;
  out_.flush();
}

std::vector<std::string> LiveView::Lines(const v1::Experiment& experiment,
                                         const std::vector<v1::Trial>& trials,
                                         absl::Time now) const {
  std::vector<std::string> lines;
  std::string head =
      absl::StrCat(ShortName(experiment.name()), "  ", EscapeText(experiment.spec().name()), "  ",
                   StateText(experiment.state()), "  ", CountsText(experiment.trials()), "  ",
                   AgeText(experiment.create_time(), now));
  if (experiment.has_best_value()) {
    absl::StrAppend(&head, "  best ", MetricText(experiment.best_value()), " ",
                    ShortName(experiment.best_trial()));
  }
  lines.push_back(Fit(head, options_.columns));
  lines.push_back(
      Fit(absl::StrFormat("%-10s %-9s %-10s %11s %8s %8s %8s %-23s %s", "TRIAL", "STATE", "STAGE",
                          "STEP", "IMG", "LOSS", "BEST", "PROGRESS", "ETA"),
          options_.columns));
  const size_t room = static_cast<size_t>(std::max(1, options_.rows_max - 3));
  for (size_t i = 0; i < trials.size() && i < room; ++i) {
    const v1::Trial& trial = trials[i];
    const std::string name = absl::StrFormat("%-10s ", ShortName(trial.name()));
    const std::string state = absl::StrFormat("%-9s ", StateText(trial.state()));
    std::string rest = ShowsWork(trial) ? WorkText(trial) : EscapeText(trial.reason());
    absl::StrAppend(&rest, "  ", EscapeText(ParametersText(trial)));
    rest = Fit(rest, options_.columns - static_cast<int>(name.size() + state.size()));
    lines.push_back(options_.color
                        ? absl::StrCat(name, StateColor(trial.state()), state, "\x1b[0m", rest)
                        : absl::StrCat(name, state, rest));
  }
  if (trials.size() > room)
    lines.push_back(absl::StrCat("... and ", trials.size() - room, " more trials"));
  return lines;
}

void LiveView::Redraw(const std::vector<std::string>& lines) {
  if (lines_drawn_ > 0) out_ << "\x1b[" << lines_drawn_ << "A";
  for (const std::string& line : lines) out_ << "\x1b[2K" << line << '\n';
  // What a longer view left behind.
  for (size_t i = lines.size(); i < lines_drawn_; ++i) out_ << "\x1b[2K\n";
  if (lines_drawn_ > lines.size()) out_ << "\x1b[" << lines_drawn_ - lines.size() << "A";
  lines_drawn_ = lines.size();
  out_.flush();
}

void LiveView::PrintNews(const v1::Experiment& experiment, const v1::Trial& trial, absl::Time now) {
  Seen& seen = seen_[trial.name()];
  const std::string name = absl::StrFormat("%8s  %-10s ", AgeText(experiment.create_time(), now),
                                           ShortName(trial.name()));
  if (seen.state != trial.state() || seen.attempts != trial.attempt_count()) {
    out_ << name << StateText(trial.state());
    if (trial.attempt_count() > 1) out_ << " attempt " << trial.attempt_count();
    if (!trial.reason().empty()) out_ << "  " << EscapeText(trial.reason());
    const std::string parameters = ParametersText(trial);
    if (seen.state == v1::Trial::STATE_UNSPECIFIED && !parameters.empty())
      out_ << "  " << EscapeText(parameters);
    out_ << '\n';
    seen.state = trial.state();
    seen.attempts = trial.attempt_count();
  }
  const v1::Progress& progress = trial.progress();
  if (ShowsWork(trial) && progress.height() > 0 && progress.stage() != seen.stage) {
    out_ << name << "stage " << StageText(progress) << "  step " << progress.step() << "/"
         << progress.step_total() << '\n';
    seen.stage = progress.stage();
  }
  if (!trial.evaluations().empty()) {
    const v1::EvaluationResult& last = trial.evaluations(trial.evaluations_size() - 1);
    if (last.step() != seen.evaluation_step) {
      seen.evaluation_step = last.step();
      const std::string& metric = experiment.spec().search().objective().metric();
      out_ << name << "step " << last.step() << "/" << progress.step_total() << "  loss "
           << MetricText(progress.loss())
           << absl::StrFormat("  %.0f img/s", progress.images_per_second());
      const std::string value = LastMetricText(trial, metric.empty() ? "val/top1" : metric);
      if (!value.empty())
        out_ << "  " << (metric.empty() ? "val/top1" : EscapeText(metric)) << " " << value;
      const std::string eta = EtaText(progress);
      if (!eta.empty()) out_ << "  ETA " << eta;
      out_ << '\n';
    }
  }
}

}  // namespace cvtrain::client
