#include "client/view/live.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/view/live_rows.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {

void LiveView::Update(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
                      absl::Time now) {
  outage_ = false;
  if (options_.terminal) {
    const TerminalSize size = options_.size();
    Redraw(LiveRows(experiment, trials, now, size, options_.color), size);
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

void LiveView::Redraw(const std::vector<std::string>& lines, const TerminalSize& size) {
  const bool resized = size.columns != drawn_for_.columns || size.rows != drawn_for_.rows;
  if (lines_drawn_ > 0 && resized) {
    // A terminal of another size has wrapped what was drawn: where it stands is unknown.
    out_ << "\x1b[2J\x1b[H";
    lines_drawn_ = 0;
  }
  drawn_for_ = size;
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
      out_ << name << "step " << last.step();
      if (progress.step_total() > 0) out_ << "/" << progress.step_total();
      // A trial that has ended has no speed, and its last loss is not told.
      if (const std::string loss = LossText(trial); !loss.empty()) out_ << "  loss " << loss;
      if (const std::string speed = SpeedText(trial); !speed.empty())
        out_ << "  " << speed << " img/s";
      const std::string value = LastMetricText(trial, metric.empty() ? "val/top1" : metric);
      if (!value.empty())
        out_ << "  " << (metric.empty() ? "val/top1" : EscapeText(metric)) << " " << value;
      if (const std::string eta = EtaText(progress); !eta.empty()) out_ << "  ETA " << eta;
      out_ << '\n';
    }
  }
}

}  // namespace cvtrain::client
