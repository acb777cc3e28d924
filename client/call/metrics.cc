// cvctl metrics TRIAL...
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/call/verb.h"
#include "client/view/plot.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kWatchPause = absl::Seconds(2);
constexpr int kPlotPointsMax = 2'000;

struct MetricOptions {
  GlobalOptions global;
  std::string names;
  std::string by = "step";
  bool plot = false;
  bool watch = false;
};

absl::StatusOr<SeriesMap> Fetch(Connection& connection, const std::string& trial,
                                const std::vector<std::string>& names, int max_points) {
  v1::QueryMetricsRequest request;
  request.set_trial(trial);
  request.set_max_points(max_points);
  for (const std::string& name : names) request.add_metrics(name);
  SeriesMap all;
  do {
    CVT_ASSIGN_OR_RETURN(const auto response, connection.QueryMetrics(request));
    for (const v1::MetricSeries& series : response.series()) all[series.metric()].MergeFrom(series);
    request.set_from_step(response.next_step());
  } while (request.from_step() != 0);
  // MergeFrom repeats nothing but the name, which is the same.
  return all;
}

// The values of an axis at the steps of a series; the step itself without one.
std::vector<double> AxisOf(const SeriesMap& all, const v1::MetricSeries& series,
                           const std::string& by) {
  std::map<int64_t, double> at;
  if (by != "step") {
    const auto axis = all.find(by);
    if (axis != all.end()) {
      for (int i = 0; i < axis->second.steps_size(); ++i)
        at[axis->second.steps(i)] = axis->second.values(i);
    }
  }
  std::vector<double> x;
  for (const int64_t step : series.steps()) {
    // The axis may be reported less often: the last value at or before the step.
    auto next = at.upper_bound(step);
    x.push_back(next == at.begin() ? static_cast<double>(step) : std::prev(next)->second);
  }
  return x;
}

std::string AxisName(const std::string& by) { return by == "time" ? "wall_time" : by; }

void PrintCsv(const Cli& cli, const std::map<std::string, SeriesMap>& trials,
              const MetricOptions& options, const std::vector<std::string>& names) {
  cli.out << "trial,metric,step," << (options.by == "step" ? "" : options.by + ",") << "value\n";
  for (const auto& [trial, all] : trials) {
    for (const auto& [name, series] : all) {
      if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
      const std::vector<double> x = AxisOf(all, series, AxisName(options.by));
      for (int i = 0; i < series.steps_size(); ++i) {
        cli.out << ShortName(trial) << ',' << EscapeText(name) << ',' << series.steps(i) << ',';
        if (options.by != "step") cli.out << FormatDouble(x[static_cast<size_t>(i)]) << ',';
        cli.out << FormatDouble(series.values(i)) << '\n';
      }
    }
  }
}

void PrintPlots(const Cli& cli, const std::map<std::string, SeriesMap>& trials,
                const MetricOptions& options, const std::vector<std::string>& names) {
  std::map<std::string, std::vector<PlotSeries>> plots;  // by metric
  for (const auto& [trial, all] : trials) {
    for (const auto& [name, series] : all) {
      if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
      plots[name].push_back({.label = ShortName(trial),
                             .x = AxisOf(all, series, AxisName(options.by)),
                             .y = {series.values().begin(), series.values().end()}});
    }
  }
  // Dots of several trials cannot be told apart, letters can.
  for (const auto& [name, series] : plots) {
    cli.out << EscapeText(name) << '\n'
            << Plot(series, {.columns = cli.terminal_size().columns,
                             .x_label = options.by,
                             .unicode = series.size() == 1})
            << '\n';
  }
}

void PrintTable(const Cli& cli, const std::map<std::string, SeriesMap>& trials,
                const MetricOptions& options, const std::vector<std::string>& names) {
  Table table({"TRIAL", "METRIC", "POINTS", "STEP", "LAST", "MIN", "MAX"});
  for (const auto& [trial, all] : trials) {
    for (const auto& [name, series] : all) {
      if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
      if (series.values().empty()) continue;
      const auto [low, high] = std::minmax_element(series.values().begin(), series.values().end());
      table.AddRow({ShortName(trial), name, absl::StrCat(series.steps_size()),
                    absl::StrCat(series.steps(series.steps_size() - 1)),
                    MetricText(series.values(series.values_size() - 1)), MetricText(*low),
                    MetricText(*high)});
    }
  }
  table.Print(cli.out, !options.global.no_headers);
}

// METRIC_NOT_FOUND, with the nearest names, if no trial has the metric `name`.
absl::Status CheckMetric(Connection& connection, const std::map<std::string, SeriesMap>& trials,
                         const std::string& name) {
  std::set<std::string> known;
  std::vector<std::string> ids;
  for (const auto& [trial, all] : trials) {
    const auto found = all.find(name);
    if (found != all.end() && !found->second.steps().empty()) return absl::OkStatus();
    v1::ListMetricsRequest request;
    request.set_trial(trial);
    CVT_ASSIGN_OR_RETURN(const auto response, connection.ListMetrics(request));
    known.insert(response.metrics().begin(), response.metrics().end());
    ids.push_back(ShortName(trial));
  }
  const std::vector<std::string> names(known.begin(), known.end());
  const std::vector<std::string> nearest = NearestNames(name, names);
  std::string others = DidYouMean(nearest);
  if (nearest.empty()) others = absl::StrCat("; there are ", absl::StrJoin(names, ", "));
  if (names.empty()) others = "; nothing has been reported yet";
  return NotFound(Reason::kMetricNotFound, absl::StrCat("metric ", name, ": not reported by ",
                                                        absl::StrJoin(ids, ", "), others));
}

absl::Status PrintOnce(const Cli& cli, Connection& connection, const MetricOptions& options,
                       const std::vector<std::string>& trial_names,
                       const std::vector<std::string>& names) {
  std::vector<std::string> wanted = names;
  if (!names.empty() && options.by != "step") wanted.push_back(AxisName(options.by));
  std::map<std::string, SeriesMap> trials;
  for (const std::string& trial : trial_names) {
    CVT_ASSIGN_OR_RETURN(trials[trial],
                         Fetch(connection, trial, wanted, options.plot ? kPlotPointsMax : 0));
  }
  // What is watched may still come.
  for (size_t i = 0; i < names.size() && !options.watch; ++i)
    CVT_RETURN_IF_ERROR(CheckMetric(connection, trials, names[i]));
  if (options.watch && cli.out_is_terminal) cli.out << "\x1b[H\x1b[2J";
  if (options.global.output == "csv") {
    PrintCsv(cli, trials, options, names);
  } else if (options.global.output == "json") {
    cli.out << MetricsJson(trials);
  } else if (options.plot) {
    PrintPlots(cli, trials, options, names);
  } else {
    PrintTable(cli, trials, options, names);
  }
  cli.out.flush();
  return absl::OkStatus();
}

// All trials, where an experiment is named.
absl::StatusOr<std::vector<std::string>> TrialNames(Connection& connection, const Arguments& ids) {
  std::vector<std::string> names;
  for (const std::string& id : ids) {
    const absl::StatusOr<std::string> trial = TrialNameOf(id);
    if (trial.ok()) {
      names.push_back(*trial);
      continue;
    }
    const absl::StatusOr<std::string> experiment = ExperimentNameOf(id);
    if (!experiment.ok()) return trial.status();
    CVT_ASSIGN_OR_RETURN(const auto trials, connection.AllTrials(*experiment));
    for (const v1::Trial& one : trials) names.push_back(one.name());
  }
  return names;
}

}  // namespace

absl::StatusOr<ExitCode> RunMetrics(const Cli& cli, const Arguments& arguments) {
  MetricOptions options;
  FlagSet flags("cvctl metrics TRIAL|EXP... [flags]", "The series of trials.");
  flags.String("name", 0, &options.names, "LIST", "only these metrics, separated by commas");
  flags.Choice("by", 0, &options.by, {"step", "epoch", "samples", "flops", "time"},
               "axis of plots and CSV");
  flags.Bool("plot", 0, &options.plot, "draw them");
  flags.Bool("watch", 'w', &options.watch, "again every two seconds, until Ctrl-C");
  options.global.Declare(flags, false);
  flags.Choice("output", 'o', &options.global.output, {"table", "csv", "json"},
               "table, csv or json");
  flags.Bool("no-headers", 0, &options.global.no_headers, "tables without their first line");
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "trials or experiments, such as trial/12.3"));
  const std::vector<std::string> names = absl::StrSplit(options.names, ',', absl::SkipEmpty());
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  OutageNotice outage(cli);
  for (bool first = true;; first = false) {
    const absl::StatusOr<std::vector<std::string>> trials = TrialNames(*connection, positional);
    const absl::Status status =
        trials.ok() ? PrintOnce(cli, *connection, options, *trials, names) : trials.status();
    if (!options.watch) {
      CVT_RETURN_IF_ERROR(status);
      return ExitCode::kDone;
    }
    const bool goes_on = status.ok() || absl::IsCancelled(status) || (!first && IsOutage(status));
    if (!goes_on) return status;
    outage.Note(status);
    connection->LimitCalls(kLookTimeout);
    if (!cli.sleep(kWatchPause)) {
      cli.err << "\ndetached; `cvctl metrics -w " << absl::StrJoin(positional, " ")
              << "` comes back\n";
      return ExitCode::kDetached;
    }
  }
}

}  // namespace cvtrain::client
