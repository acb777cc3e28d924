#ifndef CVTRAIN_CLIENT_VIEW_SHOW_H_
#define CVTRAIN_CLIENT_VIEW_SHOW_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/files/cli.h"
#include "client/view/table.h"
#include "cvtrain/v1/checkpoint.pb.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/metric.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "cvtrain/v1/worker.pb.h"

// How resources look to people. Nothing here calls anybody. Thread-safe.
namespace cvtrain::client {

// --- Words ------------------------------------------------------------------

// "RUNNING", as in the tables.
std::string StateText(v1::Experiment::State state);
std::string StateText(v1::Trial::State state);
std::string StateText(v1::Worker::State state);
// "worker lost"
std::string CauseText(v1::Cause cause);
bool HasEnded(v1::Experiment::State state);
bool HasEnded(v1::Trial::State state);

// "experiments/12/trials/3" -> "trial/12.3"; what is no name stays as it is.
std::string ShortName(const std::string& resource_name);
// The experiment of a trial, and whether one has a search.
std::string ParentOf(const v1::Trial& trial);
bool IsSweep(const v1::Experiment& experiment);
// "target_psnr.end=20", the shortest unambiguous ends of the paths.
std::string ParametersText(const v1::Trial& trial);
// "7m05s" since `time`; "-" if it is unset.
std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now);
// "2/3 96px"
std::string StageText(const v1::Progress& progress);
// "12/300", "3/10"; the end alone where it is not known, empty before anything is.
std::string StepText(const v1::Progress& progress);
std::string EpochText(const v1::Progress& progress);
// "84%"; empty before anything is known.
std::string ProgressText(const v1::Progress& progress);
std::string EtaText(const v1::Progress& progress);
// The last loss, and images per second, of a trial that runs; empty for others.
std::string LossText(const v1::Trial& trial);
std::string SpeedText(const v1::Trial& trial);
// The objective's metric in the last evaluation, and in the best; empty without one.
std::string LastObjectiveText(const v1::Trial& trial);
std::string BestObjectiveText(const v1::Trial& trial);
// Four significant digits, as metrics are read: "87.92", "0.4133".
std::string MetricText(double value);
// The value of `metric` in the trial's last evaluation; empty without one.
std::string LastMetricText(const v1::Trial& trial, const std::string& metric);

absl::Time TimeOf(const google::protobuf::Timestamp& time);

// --- Tables, with the columns of the command's documentation ----------------

// An experiment with its trials, as far as a table needs them: none of a sweep that
// has ended.
struct ExperimentView {
  v1::Experiment experiment;
  std::vector<v1::Trial> trials;
};

// `wide` adds columns. STAGE to METRIC and ETA are of the only trial, or of a sweep's
// running trial that has come furthest; PROGRESS is over all trials.
Table ExperimentTable(const std::vector<ExperimentView>& experiments, absl::Time now, bool wide);
// With all of their trials: BUDGET counts FLOPs.
Table SweepTable(const std::vector<ExperimentView>& sweeps, absl::Time now, bool wide);
Table TrialTable(const std::vector<v1::Trial>& trials, absl::Time now);
// `experiments` by name; those that are missing leave cells empty.
Table WideTrialTable(const std::vector<v1::Trial>& trials,
                     const std::map<std::string, v1::Experiment>& experiments, absl::Time now);
Table WorkerTable(const std::vector<v1::Worker>& workers, absl::Time now, bool wide);
Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints, absl::Time now, bool wide);
Table DatasetTable(const std::vector<v1::DatasetVersion>& versions, absl::Time now, bool wide);

// The end of an experiment: the trials that have a rank from best to worst by the
// objective, as the coordinator ranks them, then the others with the reason in a word
// (failed, cancelled, discarded by the search, unmeasured, unfinished); with every
// metric of the last evaluation that is named `.../top1` or is the objective.
std::string RankingText(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials);

// The stages and trials of a preview.
std::string PreviewText(const v1::PreviewExperimentResponse& preview, const std::string& yaml);

// The page of `describe`.
std::string DescribeText(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
                         const std::string& recipe_yaml, absl::Time now);
std::string DescribeText(const v1::Trial& trial, const std::string& recipe_yaml, absl::Time now);
std::string DescribeText(const v1::Worker& worker, absl::Time now);
std::string DescribeText(const v1::Checkpoint& checkpoint, absl::Time now);
std::string DescribeText(const v1::DatasetVersion& version, absl::Time now);

// --- Machine-readable --------------------------------------------------------

enum class OutputFormat { kTable, kWide, kJson, kYaml, kName };
absl::StatusOr<OutputFormat> ParseOutputFormat(const std::string& text);

// A message as JSON with the field names of the protos; ends with a newline.
std::string JsonText(const google::protobuf::Message& message);
// Series of trials: {"trials": [{"trial": NAME, "series": [MetricSeries...]}...]}.
using SeriesMap = std::map<std::string, v1::MetricSeries>;  // of one trial, by metric
std::string MetricsJson(const std::map<std::string, SeriesMap>& trials);
// An error, as docs/errors.md describes it: {"code", "reason", "message", "exit_code",
// "limit", "violations": [{"field", "rule", "value"}...]}, on one line.
std::string ErrorJson(const absl::Status& status);
// The same content as YAML; times as RFC 3339.
std::string YamlText(const google::protobuf::Message& message);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_SHOW_H_
