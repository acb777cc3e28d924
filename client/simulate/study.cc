#include "client/simulate/study.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/simulate/philly.h"
#include "client/simulate/shockwave.h"
#include "common/errors.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/scheduler/policy.h"

namespace cvtrain::client {
namespace {

constexpr double kSubsetPart = 0.7;
constexpr int kSubsetGpusStep = 8;

// 0 to n - 1 in an order of chance.
std::vector<size_t> Shuffled(size_t n, uint64_t seed) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  KeyedStream stream("simulate-vary/v1", {seed});
  stream.Shuffle(order);
  return order;
}

// What moves with the time of arrival when jobs are dealt out anew.
void SetArrival(const ShockwaveJob& from, ShockwaveJob& to) {
  to.arrival_seconds = from.arrival_seconds;
}
void SetArrival(const PhillyJob& from, PhillyJob& to) { to.submitted = from.submitted; }

template <typename Job>
std::vector<Job> VaryJobs(const std::vector<Job>& jobs, Variation variation, uint64_t seed) {
  if (variation == Variation::kNone) return jobs;
  std::vector<size_t> order = Shuffled(jobs.size(), seed);
  std::vector<Job> varied;
  if (variation == Variation::kSubset) {
    const auto part = static_cast<size_t>(static_cast<double>(jobs.size()) * kSubsetPart);
    order.resize(std::max<size_t>(part, 1));
    std::sort(order.begin(), order.end());
  }
  for (size_t i = 0; i < order.size(); ++i) {
    varied.push_back(jobs[order[i]]);
    if (variation == Variation::kArrivals) SetArrival(jobs[i], varied.back());
  }
  return varied;
}

int VaryGpus(const Trace& trace, const StudyOptions& options) {
  if (options.variation != Variation::kSubset) return options.gpus;
  const int gpus = static_cast<int>(options.gpus * kSubsetPart);
  // Nodes are whole.
  const int step = std::holds_alternative<PhillyTrace>(trace) ? kSubsetGpusStep : 1;
  return std::max(gpus / step, 1) * step;
}

absl::StatusOr<StudyRow::Run> RunOnce(const Trace& trace, coordinator::Policy& policy,
                                      const StudyOptions& options, uint64_t seed) {
  const SimulateOptions simulate{
      .gpus = VaryGpus(trace, options),
      .told = {.told = options.told, .sigma = options.sigma, .seed = seed},
      .stop = options.stop};
  Outcome outcome;
  if (const auto* shockwave = std::get_if<ShockwaveTrace>(&trace)) {
    CVT_ASSIGN_OR_RETURN(outcome,
                         SimulateShockwave(VaryJobs(shockwave->jobs, options.variation, seed),
                                           shockwave->throughputs, policy, simulate));
  } else {
    const auto jobs = VaryJobs(std::get<PhillyTrace>(trace).jobs, options.variation, seed);
    CVT_ASSIGN_OR_RETURN(outcome, SimulatePhilly(jobs, policy, simulate));
  }
  return StudyRow::Run{.seed = seed,
                       .gpus = simulate.gpus,
                       .jobs = static_cast<int64_t>(outcome.jobs.size()),
                       .restarts = outcome.restarts,
                       .summary = Summarize(outcome, simulate.gpus)};
}

std::vector<std::string> AllPolicyNames() {
  std::vector<std::string> names;
  for (const auto& policy : coordinator::Policies()) names.push_back(policy.name);
  return names;
}

absl::Status UnknownPolicy(const std::string& name) {
  return InvalidArgument(Reason::kUnknownName,
                         absl::StrCat("--policy: there is no ", SafeText(name, 64),
                                      DidYouMean(NearestNames(name, AllPolicyNames())),
                                      "; there are ", PolicyNames()));
}

template <typename Value>
double Mean(const StudyRow& row, const Value& value) {
  double sum = 0;
  for (const StudyRow::Run& run : row.runs) sum += value(run);
  return sum / static_cast<double>(row.runs.size());
}

template <typename Value>
double Largest(const StudyRow& row, const Value& value) {
  double largest = value(row.runs.front());
  for (const StudyRow::Run& run : row.runs) largest = std::max(largest, value(run));
  return largest;
}

std::string WholeSeconds(double seconds) { return absl::StrFormat("%.0f", seconds); }
std::string Percent(double part) { return absl::StrFormat("%.1f%%", 100 * part); }

std::string RunJson(const StudyRow::Run& run) {
  const OutcomeSummary& summary = run.summary;
  return absl::StrCat("{\"seed\": ", run.seed, ", \"gpus\": ", run.gpus, ", \"jobs\": ", run.jobs,
                      ", \"makespan_seconds\": ", FormatDouble(summary.makespan),
                      ", \"completion_mean_seconds\": ", FormatDouble(summary.completion_mean),
                      ", \"queueing_mean_seconds\": ", FormatDouble(summary.queueing_mean),
                      ", \"fairness_ratio_worst\": ", FormatDouble(summary.ratio_worst),
                      ", \"unfair_jobs\": ", summary.unfair, ", \"restarts\": ", run.restarts, "}");
}

}  // namespace

std::string PolicyNames() { return absl::StrJoin(AllPolicyNames(), ", "); }

absl::StatusOr<std::vector<StudyRow>> RunStudy(const Trace& trace, const StudyOptions& options) {
  for (const std::string& name : options.policies) {
    if (coordinator::MakePolicy(name) == nullptr) return UnknownPolicy(name);
  }
  const bool chance = options.told == Told::kWrong || options.variation != Variation::kNone;
  std::vector<StudyRow> rows;
  for (const std::string& name : options.policies) {
    StudyRow& row = rows.emplace_back();
    row.policy = name;
    for (int i = 0; i < (chance ? options.runs : 1); ++i) {
      const std::unique_ptr<coordinator::Policy> policy = coordinator::MakePolicy(name);
      CVT_ASSIGN_OR_RETURN(
          const StudyRow::Run run,
          RunOnce(trace, *policy, options, options.seed + static_cast<uint64_t>(i)));
      row.runs.push_back(run);
    }
  }
  return rows;
}

std::vector<std::string> StudyHeaders() {
  return {"POLICY",   "TOLD",  "RUNS", "MAKESPAN", "LARGEST", "COMPLETION",
          "QUEUEING", "RATIO", "OVER", "MOST",     "RESTARTS"};
}

std::vector<std::string> StudyCells(const StudyRow& row, const StudyOptions& options) {
  const auto makespan = [](const StudyRow::Run& run) { return run.summary.makespan; };
  const auto completion = [](const StudyRow::Run& run) { return run.summary.completion_mean; };
  const auto queueing = [](const StudyRow::Run& run) { return run.summary.queueing_mean; };
  const auto ratio = [](const StudyRow::Run& run) { return run.summary.ratio_worst; };
  const auto over = [](const StudyRow::Run& run) { return run.summary.unfair_part; };
  const auto restarts = [](const StudyRow::Run& run) { return static_cast<double>(run.restarts); };
  return {row.policy,
          std::string(ToldName(options.told)),
          absl::StrCat(row.runs.size()),
          WholeSeconds(Mean(row, makespan)),
          WholeSeconds(Largest(row, makespan)),
          WholeSeconds(Mean(row, completion)),
          WholeSeconds(Mean(row, queueing)),
          absl::StrFormat("%.2f", Largest(row, ratio)),
          Percent(Mean(row, over)),
          Percent(Largest(row, over)),
          WholeSeconds(Mean(row, restarts))};
}

std::string StudyJson(const std::vector<StudyRow>& rows, const StudyOptions& options) {
  std::string text = absl::StrCat("{\"told\": \"", ToldName(options.told), "\"");
  if (options.told == Told::kWrong) {
    absl::StrAppend(&text, ", \"sigma\": ", FormatDouble(options.sigma));
  }
  absl::StrAppend(&text, ", \"rows\": [");
  for (size_t i = 0; i < rows.size(); ++i) {
    // Names of policies are ours: nothing in them needs escaping.
    absl::StrAppend(&text, i == 0 ? "" : ", ", "{\"policy\": \"", rows[i].policy,
                    "\", \"runs\": [");
    for (size_t k = 0; k < rows[i].runs.size(); ++k) {
      absl::StrAppend(&text, k == 0 ? "" : ", ", RunJson(rows[i].runs[k]));
    }
    absl::StrAppend(&text, "]}");
  }
  absl::StrAppend(&text, "]}\n");
  return text;
}

}  // namespace cvtrain::client
