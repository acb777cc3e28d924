// Tables of experiments, sweeps and trials of client/view/show.h.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

std::string TrialCountsText(const v1::TrialCounts& counts) {
  return absl::StrCat(counts.running(), "/", counts.succeeded(), "/", counts.cancelled(), "/",
                      counts.failed(), "/",
                      counts.left() < 0 ? "?" : absl::StrCat(counts.left() + counts.queued()));
}

int EndedCount(const v1::TrialCounts& counts) {
  return counts.succeeded() + counts.failed() + counts.cancelled();
}

double ShareOf(const v1::Progress& progress) {
  return progress.step_total() == 0
             ? 0
             : static_cast<double>(progress.step()) / static_cast<double>(progress.step_total());
}

// The trial that stands for an experiment: its only one, or of a sweep the running
// one that has come furthest; null without one.
const v1::Trial* StandsFor(const ExperimentView& view) {
  if (!IsSweep(view.experiment)) return view.trials.empty() ? nullptr : &view.trials[0];
  const v1::Trial* furthest = nullptr;
  for (const v1::Trial& trial : view.trials) {
    if (trial.state() != v1::Trial::STATE_RUNNING) continue;
    if (furthest == nullptr || ShareOf(trial.progress()) > ShareOf(furthest->progress()))
      furthest = &trial;
  }
  return furthest;
}

// Over all trials of a sweep, those that are still to be made included.
std::string SweepProgressText(const ExperimentView& view) {
  const v1::TrialCounts& counts = view.experiment.trials();
  if (HasEnded(view.experiment.state())) return "100%";
  if (counts.left() < 0) return "";  // the search decides as it goes
  double done = EndedCount(counts);
  for (const v1::Trial& trial : view.trials) {
    if (!HasEnded(trial.state())) done += ShareOf(trial.progress());
  }
  const int all =
      EndedCount(counts) + counts.running() + counts.queued() + counts.paused() + counts.left();
  return all == 0 ? "" : absl::StrFormat("%d%%", static_cast<int>(100 * done / all));
}

// The last of those that run, once nothing waits any more.
std::string SweepEtaText(const ExperimentView& view) {
  const v1::TrialCounts& counts = view.experiment.trials();
  if (counts.left() != 0 || counts.queued() + counts.paused() > 0) return "";
  const v1::Trial* last = nullptr;
  for (const v1::Trial& trial : view.trials) {
    if (trial.state() != v1::Trial::STATE_RUNNING || !trial.progress().has_eta()) continue;
    if (last == nullptr || trial.progress().eta().seconds() > last->progress().eta().seconds())
      last = &trial;
  }
  return last == nullptr ? "" : EtaText(last->progress());
}

// FLOPs, as used and as the search may.
std::string BudgetText(const ExperimentView& view) {
  double flops = 0;
  for (const v1::Trial& trial : view.trials) flops += trial.progress().flops();
  const v1::SearchBudget& budget = view.experiment.spec().search().budget();
  return absl::StrCat(flops == 0 ? "-" : FormatCount(flops), "/",
                      budget.has_flops() ? FormatCount(budget.flops()) : "-");
}

// As in the recipe; empty without a search.
std::string MethodText(const v1::Experiment& experiment) {
  const int number = static_cast<int>(experiment.spec().search().method_case());
  const google::protobuf::FieldDescriptor* method =
      v1::Search::descriptor()->FindFieldByNumber(number);
  return method == nullptr ? "" : std::string(method->name());
}

std::string BestText(const ExperimentView& view) {
  if (view.experiment.has_best_value()) return MetricText(view.experiment.best_value());
  const v1::Trial* trial = StandsFor(view);
  return trial == nullptr || IsSweep(view.experiment) ? "" : BestObjectiveText(*trial);
}

std::vector<std::string> ExperimentRow(const ExperimentView& view, absl::Time now) {
  const v1::Experiment& experiment = view.experiment;
  const v1::Trial* trial = StandsFor(view);
  const v1::Progress progress = trial == nullptr ? v1::Progress() : trial->progress();
  const bool sweep = IsSweep(experiment);
  const bool running = trial != nullptr && trial->state() == v1::Trial::STATE_RUNNING;
  return {ShortName(experiment.name()),
          experiment.spec().name(),
          StateText(experiment.state()),
          StageText(progress),
          StepText(progress),
          EpochText(progress),
          trial == nullptr ? "" : LastObjectiveText(*trial),
          BestText(view),
          sweep ? SweepProgressText(view) : ProgressText(progress),
          running ? EtaText(progress) : "",
          AgeText(experiment.create_time(), now)};
}

// Workers of a trial: "w1,w2".
std::string WorkersText(const v1::Trial& trial) {
  return absl::StrJoin(trial.workers(), ",", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, absl::StripPrefix(name, "workers/"));
  });
}

// Rungs that it passed; "pruned@3" if its search stopped it after three epochs.
std::string RungText(const v1::Trial& trial) {
  if (trial.pruned_at_epoch() > 0) return absl::StrCat("pruned@", trial.pruned_at_epoch());
  return trial.rungs_passed() == 0 ? "" : absl::StrCat(trial.rungs_passed());
}

std::string FlopsText(const v1::Trial& trial) {
  return trial.progress().flops() == 0 ? "" : FormatCount(trial.progress().flops());
}

std::string RestartsText(const v1::Trial& trial) {
  return absl::StrCat(std::max(0, trial.attempt_count() - 1));
}

std::vector<std::string> TrialRow(const v1::Trial& trial, absl::Time now) {
  const v1::Progress& progress = trial.progress();
  return {ShortName(trial.name()),
          StateText(trial.state()),
          RungText(trial),
          StageText(progress),
          StepText(progress),
          LastObjectiveText(trial),
          BestObjectiveText(trial),
          FlopsText(trial),
          WorkersText(trial),
          RestartsText(trial),
          AgeText(trial.create_time(), now),
          ParametersText(trial)};
}

std::vector<std::string> WideTrialRow(const v1::Trial& trial, const v1::Experiment& experiment,
                                      absl::Time now) {
  const v1::Progress& progress = trial.progress();
  const bool running = trial.state() == v1::Trial::STATE_RUNNING;
  return {ShortName(trial.name()),
          "trial",
          experiment.spec().name(),
          experiment.creator(),
          "",  // there is one queue
          absl::StrCat(trial.priority()),
          StateText(trial.state()),
          absl::StrCat(running ? trial.slots() : 0, "/", trial.slots()),
          ProgressText(progress),
          EtaText(progress),
          RestartsText(trial),
          AgeText(trial.create_time(), now),
          trial.reason(),
          RungText(trial),
          StageText(progress),
          StepText(progress),
          EpochText(progress),
          LastObjectiveText(trial),
          BestObjectiveText(trial),
          FlopsText(trial),
          LossText(trial),
          SpeedText(trial),
          WorkersText(trial),
          ParametersText(trial)};
}

}  // namespace

Table ExperimentTable(const std::vector<ExperimentView>& experiments, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"ID",     "NAME", "STATE",    "STAGE", "STEP", "EPOCH",
                                      "METRIC", "BEST", "PROGRESS", "ETA",   "AGE"};
  if (wide) {
    headers.insert(headers.end(), {"PROJECT", "USER", "PRIO", "METHOD",
                                   "TRIALS(run/done/stop/fail/left)", "OBJECTIVE", "BEST-TRIAL"});
  }
  Table table(headers);
  for (const ExperimentView& view : experiments) {
    const v1::Experiment& experiment = view.experiment;
    std::vector<std::string> row = ExperimentRow(view, now);
    if (wide) {
      row.insert(row.end(), {experiment.spec().project(), experiment.creator(),
                             absl::StrCat(experiment.spec().priority()), MethodText(experiment),
                             TrialCountsText(experiment.trials()),
                             experiment.spec().search().objective().metric(),
                             ShortName(experiment.best_trial())});
    }
    table.AddRow(row);
  }
  return table;
}

Table SweepTable(const std::vector<ExperimentView>& sweeps, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"ID",
                                      "NAME",
                                      "METHOD",
                                      "STATE",
                                      "TRIALS(run/done/stop/fail/left)",
                                      "BEST",
                                      "BUDGET(used/total)",
                                      "ETA"};
  if (wide) {
    headers.insert(headers.end(),
                   {"PROJECT", "USER", "PRIO", "PROGRESS", "OBJECTIVE", "BEST-TRIAL", "AGE"});
  }
  Table table(headers);
  for (const ExperimentView& view : sweeps) {
    const v1::Experiment& sweep = view.experiment;
    std::vector<std::string> row = {ShortName(sweep.name()),
                                    sweep.spec().name(),
                                    MethodText(sweep),
                                    StateText(sweep.state()),
                                    TrialCountsText(sweep.trials()),
                                    BestText(view),
                                    BudgetText(view),
                                    SweepEtaText(view)};
    if (wide) {
      row.insert(row.end(),
                 {sweep.spec().project(), sweep.creator(), absl::StrCat(sweep.spec().priority()),
                  SweepProgressText(view), sweep.spec().search().objective().metric(),
                  ShortName(sweep.best_trial()), AgeText(sweep.create_time(), now)});
    }
    table.AddRow(row);
  }
  return table;
}

Table TrialTable(const std::vector<v1::Trial>& trials, absl::Time now) {
  Table table({"ID", "STATE", "RUNG", "STAGE", "STEP", "METRIC", "BEST", "FLOPS", "WORKERS",
               "RESTARTS", "AGE", "HPARAMS"});
  for (const v1::Trial& trial : trials) table.AddRow(TrialRow(trial, now));
  return table;
}

Table WideTrialTable(const std::vector<v1::Trial>& trials,
                     const std::map<std::string, v1::Experiment>& experiments, absl::Time now) {
  Table table(
      {"ID",       "KIND",   "NAME",     "USER",  "QUEUE",  "PRIO",  "STATE",   "SLOTS(got/want)",
       "PROGRESS", "ETA",    "RESTARTS", "AGE",   "REASON", "RUNG",  "STAGE",   "STEP",
       "EPOCH",    "METRIC", "BEST",     "FLOPS", "LOSS",   "IMG/S", "WORKERS", "HPARAMS"});
  for (const v1::Trial& trial : trials) {
    const auto found = experiments.find(ParentOf(trial));
    table.AddRow(
        WideTrialRow(trial, found == experiments.end() ? v1::Experiment() : found->second, now));
  }
  return table;
}

}  // namespace cvtrain::client
