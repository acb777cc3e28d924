// Tables of client/view/show.h.
#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

std::string TrialCountsText(const v1::TrialCounts& counts) {
  const int done = counts.succeeded();
  return absl::StrCat(counts.running(), "/", done, "/", counts.cancelled(), "/", counts.failed(),
                      "/", counts.left() < 0 ? "?" : absl::StrCat(counts.left() + counts.queued()));
}

std::string ObjectiveText(const v1::Trial& trial) {
  return trial.has_objective() ? MetricText(trial.objective()) : "";
}

// Workers of a trial: "w1,w2".
std::string WorkersText(const v1::Trial& trial) {
  return absl::StrJoin(trial.workers(), ",", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, absl::StripPrefix(name, "workers/"));
  });
}

std::vector<std::string> TrialRow(const v1::Trial& trial, absl::Time now) {
  const v1::Progress& progress = trial.progress();
  const std::string metric =
      progress.loss() == 0 ? "" : absl::StrCat("loss ", MetricText(progress.loss()));
  return {ShortName(trial.name()),
          StateText(trial.state()),
          StageText(progress),
          absl::StrCat(progress.step(), "/", progress.step_total()),
          metric,
          ObjectiveText(trial),
          progress.flops() == 0 ? "" : FormatCount(progress.flops()),
          WorkersText(trial),
          absl::StrCat(std::max(0, trial.attempt_count() - 1)),
          AgeText(trial.create_time(), now),
          ParametersText(trial)};
}

std::vector<std::string> WideTrialRow(const v1::Trial& trial, absl::Time now) {
  const int got = trial.state() == v1::Trial::STATE_RUNNING ? trial.slots() : 0;
  std::vector<std::string> row = TrialRow(trial, now);
  row.insert(row.end(),
             {absl::StrCat(trial.priority()), absl::StrCat(got, "/", trial.slots()),
              ProgressText(trial.progress()), EtaText(trial.progress()), trial.reason()});
  return row;
}

std::string HealthText(const v1::Worker& worker) {
  return worker.state() == v1::Worker::STATE_READY ? "ok" : "no answer";
}

}  // namespace

Table ExperimentTable(const std::vector<v1::Experiment>& experiments, absl::Time now) {
  Table table({"ID", "NAME", "STATE", "TRIALS(run/done/stop/fail/left)", "METRIC", "BEST",
               "BEST-TRIAL", "AGE"});
  for (const v1::Experiment& experiment : experiments) {
    table.AddRow({ShortName(experiment.name()), experiment.spec().name(),
                  StateText(experiment.state()), TrialCountsText(experiment.trials()),
                  experiment.spec().search().objective().metric(),
                  experiment.has_best_value() ? MetricText(experiment.best_value()) : "",
                  ShortName(experiment.best_trial()), AgeText(experiment.create_time(), now)});
  }
  return table;
}

Table TrialTable(const std::vector<v1::Trial>& trials, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"ID",    "STATE",   "STAGE",    "STEP", "METRIC", "BEST",
                                      "FLOPS", "WORKERS", "RESTARTS", "AGE",  "HPARAMS"};
  if (wide) {
    headers.insert(headers.end(), {"PRIO", "SLOTS(got/want)", "PROGRESS", "ETA", "REASON"});
  }
  Table table(headers);
  for (const v1::Trial& trial : trials) {
    table.AddRow(wide ? WideTrialRow(trial, now) : TrialRow(trial, now));
  }
  return table;
}

Table WorkerTable(const std::vector<v1::Worker>& workers, absl::Time now) {
  Table table({"NAME", "STATE", "SLOTS(free/all)", "DEVICE", "MEM", "HEALTH", "JOBS", "HEARTBEAT",
               "VERSION"});
  for (const v1::Worker& worker : workers) {
    int free = 0;
    int64_t memory = 0;
    std::set<std::string> jobs;
    for (const v1::Slot& slot : worker.slots()) {
      memory += slot.memory_bytes();
      if (slot.attempt().empty()) {
        ++free;
      } else {
        jobs.insert(ShortName(slot.attempt()));
      }
    }
    table.AddRow({ShortName(worker.name()), StateText(worker.state()),
                  absl::StrCat(free, "/", worker.slots_size()),
                  worker.slots().empty() ? "" : worker.slots(0).device(),
                  FormatBytes(static_cast<uint64_t>(memory)), HealthText(worker),
                  absl::StrJoin(jobs, ","), AgeText(worker.renew_time(), now),
                  worker.program_version()});
  }
  return table;
}

Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints, absl::Time now) {
  Table table({"UUID", "TRIAL", "STEP", "METRIC", "SIZE", "STATE", "DIGEST", "AGE"});
  for (const v1::Checkpoint& checkpoint : checkpoints) {
    table.AddRow({std::string(absl::StripPrefix(checkpoint.name(), "checkpoints/")),
                  ShortName(checkpoint.trial()), absl::StrCat(checkpoint.step()),
                  checkpoint.has_objective() ? MetricText(checkpoint.objective()) : "",
                  FormatBytes(static_cast<uint64_t>(checkpoint.size_bytes())),
                  absl::StrJoin(checkpoint.kept_as(), ","), checkpoint.digest().substr(0, 12),
                  AgeText(checkpoint.create_time(), now)});
  }
  return table;
}

Table DatasetTable(const std::vector<v1::DatasetVersion>& versions, absl::Time now) {
  Table table({"NAME", "CLASSES", "IMAGES", "SPLITS", "SIZE", "DIGEST", "AGE"});
  for (const v1::DatasetVersion& version : versions) {
    int64_t images = 0;
    for (const v1::Split& split : version.splits()) images += split.images();
    table.AddRow({ShortName(version.name()), absl::StrCat(version.classes_size()),
                  absl::StrCat(images),
                  absl::StrJoin(version.splits(), ",",
                                [](std::string* out, const v1::Split& split) {
                                  absl::StrAppend(out, split.name(), "=", split.images());
                                }),
                  FormatBytes(static_cast<uint64_t>(version.size_bytes())),
                  version.digest().substr(0, 12), AgeText(version.create_time(), now)});
  }
  return table;
}

std::string RankingText(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials) {
  const v1::Objective& objective = experiment.spec().search().objective();
  std::vector<v1::Trial> ranked = trials;
  const bool smaller_is_better = objective.mode() == v1::Objective::MODE_MIN;
  std::stable_sort(ranked.begin(), ranked.end(), [&](const v1::Trial& a, const v1::Trial& b) {
    if (a.has_objective() != b.has_objective()) return a.has_objective();
    if (!a.has_objective()) return false;
    return smaller_is_better ? a.objective() < b.objective() : a.objective() > b.objective();
  });

  std::set<std::string> metrics;
  for (const v1::Trial& trial : ranked) {
    if (trial.evaluations().empty()) continue;
    for (const auto& [metric, value] : trial.evaluations(trial.evaluations_size() - 1).metrics()) {
      if (absl::EndsWith(metric, "/top1") && metric != objective.metric()) metrics.insert(metric);
    }
  }
  std::vector<std::string> headers = {"RANK", "ID", "STATE", "HPARAMS"};
  if (!objective.metric().empty()) headers.push_back(objective.metric());
  headers.insert(headers.end(), metrics.begin(), metrics.end());
  headers.insert(headers.end(), {"STEPS", "FLOPS"});

  Table table(headers);
  for (size_t i = 0; i < ranked.size(); ++i) {
    const v1::Trial& trial = ranked[i];
    std::vector<std::string> row = {trial.has_objective() ? absl::StrCat(i + 1) : "",
                                    ShortName(trial.name()), StateText(trial.state()),
                                    ParametersText(trial)};
    if (!objective.metric().empty()) row.push_back(ObjectiveText(trial));
    for (const std::string& metric : metrics) row.push_back(LastMetricText(trial, metric));
    row.push_back(absl::StrCat(trial.progress().step()));
    row.push_back(trial.progress().flops() == 0 ? "" : FormatCount(trial.progress().flops()));
    table.AddRow(row);
  }
  std::ostringstream out;
  table.Print(out);
  return out.str();
}

}  // namespace cvtrain::client
