// Words and numbers of client/view/show.h.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/view/show.h"
#include "common/ids.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

std::string WithoutPrefix(const std::string& name, const std::string& prefix) {
  return std::string(absl::StripPrefix(name, prefix));
}

template <typename Name>
bool TryShorten(const std::string& text, std::string& out) {
  const absl::StatusOr<Name> name = Name::Parse(text);
  if (!name.ok()) return false;
  out = FormatShort(*name);
  return true;
}

// The last parts of `path` that tell it from the other paths.
std::string ShortestEnd(const std::string& path, const std::vector<std::string>& all) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t count = 1; count < parts.size(); ++count) {
    const std::string end =
        absl::StrJoin(parts.end() - static_cast<std::ptrdiff_t>(count), parts.end(), ".");
    const auto matches = std::count_if(all.begin(), all.end(), [&](const std::string& other) {
      return other == end || absl::EndsWith(other, "." + end);
    });
    // One word such as `end` says too little.
    if (matches == 1 && (count >= 2 || end.size() > 3)) return end;
  }
  return path;
}

std::string OutOf(int64_t done, int64_t total) {
  if (total > 0) return absl::StrCat(done, "/", total);
  return done > 0 ? absl::StrCat(done) : "";
}

}  // namespace

std::string StateText(v1::Experiment::State state) {
  return WithoutPrefix(v1::Experiment::State_Name(state), "STATE_");
}

std::string StateText(v1::Trial::State state) {
  return WithoutPrefix(v1::Trial::State_Name(state), "STATE_");
}

std::string StateText(v1::Worker::State state) {
  return WithoutPrefix(v1::Worker::State_Name(state), "STATE_");
}

std::string CauseText(v1::Cause cause) {
  if (cause == v1::CAUSE_UNSPECIFIED) return "";
  return absl::StrReplaceAll(absl::AsciiStrToLower(WithoutPrefix(v1::Cause_Name(cause), "CAUSE_")),
                             {{"_", " "}});
}

bool HasEnded(v1::Experiment::State state) {
  return state == v1::Experiment::STATE_SUCCEEDED || state == v1::Experiment::STATE_FAILED ||
         state == v1::Experiment::STATE_CANCELLED;
}

bool HasEnded(v1::Trial::State state) {
  return state == v1::Trial::STATE_SUCCEEDED || state == v1::Trial::STATE_FAILED ||
         state == v1::Trial::STATE_CANCELLED;
}

std::string ShortName(const std::string& resource_name) {
  std::string text;
  if (TryShorten<ExperimentName>(resource_name, text) ||
      TryShorten<TrialName>(resource_name, text) || TryShorten<AttemptName>(resource_name, text) ||
      TryShorten<WorkerName>(resource_name, text) ||
      TryShorten<CheckpointName>(resource_name, text) ||
      TryShorten<DatasetVersionName>(resource_name, text) ||
      TryShorten<DatasetName>(resource_name, text)) {
    return text;
  }
  return resource_name;
}

std::string ParentOf(const v1::Trial& trial) {
  const absl::StatusOr<TrialName> name = TrialName::Parse(trial.name());
  return name.ok() ? name->experiment().ToString() : "";
}

bool IsSweep(const v1::Experiment& experiment) {
  return experiment.spec().search().method_case() != v1::Search::METHOD_NOT_SET;
}

std::string ParametersText(const v1::Trial& trial) {
  std::vector<std::pair<std::string, std::string>> sorted(trial.parameters().begin(),
                                                          trial.parameters().end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> paths;
  for (const auto& [path, value] : sorted) paths.push_back(path);
  return absl::StrJoin(sorted, " ", [&](std::string* out, const auto& entry) {
    absl::StrAppend(out, ShortestEnd(entry.first, paths), "=", entry.second);
  });
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return "-";
  const absl::Duration age = absl::Trunc(now - TimeOf(time), absl::Seconds(1));
  return age <= absl::ZeroDuration() ? "0s" : FormatElapsed(age);
}

std::string StageText(const v1::Progress& progress) {
  if (progress.stage_total() == 0) return "";
  const std::string size = progress.height() == progress.width()
                               ? absl::StrCat(progress.height(), "px")
                               : absl::StrCat(progress.height(), "x", progress.width(), "px");
  const std::string stage = absl::StrCat(progress.stage() + 1, "/", progress.stage_total());
  return progress.height() == 0 ? stage : absl::StrCat(stage, " ", size);
}

std::string StepText(const v1::Progress& progress) {
  return OutOf(progress.step(), progress.step_total());
}

std::string EpochText(const v1::Progress& progress) {
  return OutOf(progress.epoch(), progress.epoch_total());
}

std::string ProgressText(const v1::Progress& progress) {
  if (progress.step_total() == 0) return "";
  return absl::StrFormat("%d%%", 100 * progress.step() / progress.step_total());
}

std::string EtaText(const v1::Progress& progress) {
  if (!progress.has_eta()) return "";
  return FormatDuration(absl::Seconds(progress.eta().seconds()));
}

std::string LossText(const v1::Trial& trial) {
  const double loss = trial.progress().loss();
  return trial.state() == v1::Trial::STATE_RUNNING && loss != 0 ? MetricText(loss) : "";
}

std::string SpeedText(const v1::Trial& trial) {
  const double speed = trial.progress().images_per_second();
  return trial.state() == v1::Trial::STATE_RUNNING && speed > 0 ? absl::StrFormat("%.0f", speed)
                                                                : "";
}

std::string LastObjectiveText(const v1::Trial& trial) {
  return trial.has_last_objective() ? MetricText(trial.last_objective()) : "";
}

std::string BestObjectiveText(const v1::Trial& trial) {
  return trial.has_best_objective() ? MetricText(trial.best_objective()) : "";
}

std::string MetricText(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.4g", value) : FormatDouble(value);
}

std::string LastMetricText(const v1::Trial& trial, const std::string& metric) {
  if (trial.evaluations().empty()) return "";
  const auto& metrics = trial.evaluations(trial.evaluations_size() - 1).metrics();
  const auto found = metrics.find(metric);
  return found == metrics.end() ? "" : MetricText(found->second);
}

}  // namespace cvtrain::client
