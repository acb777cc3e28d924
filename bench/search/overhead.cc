#include "bench/search/overhead.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/errors.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "coordinator/state/cluster_state.h"
#include "coordinator/state/decide_attempt.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::bench {
namespace {

using coordinator::Decision;

// Trials at the end that are timed.
constexpr int kTimed = 50;
// Trials that a search makes ahead, and some.
constexpr int kAhead = 200;
constexpr char kWorker[] = "workers/w1";

template <typename Method>
void FillSpace(Method& method, int trials) {
  method.set_trials(trials);
  const std::vector<std::string> paths = {"recipe.synthetic.final_metric",
                                          "recipe.synthetic.step_time_ms"};
  for (const std::string& path : paths) {
    v1::RandomParameter& parameter = *method.add_parameters();
    parameter.set_parameter(path);
    parameter.mutable_uniform()->set_min(1);
    parameter.mutable_uniform()->set_max(100);
  }
}

absl::StatusOr<v1::ExperimentSpec> SpecOf(const std::string& method, int trials) {
  v1::ExperimentSpec spec;
  spec.set_api("cvtrain/v1");
  spec.set_kind("Experiment");
  spec.set_name("overhead");
  spec.mutable_recipe()->set_task(v1::Recipe::TASK_SYNTHETIC);
  spec.mutable_recipe()->mutable_synthetic()->set_steps(81);
  spec.mutable_recipe()->mutable_synthetic()->set_steps_per_epoch(1);
  v1::Search& search = *spec.mutable_search();
  search.mutable_objective()->set_metric("val/top1");
  search.mutable_objective()->set_mode(v1::Objective::MODE_MAX);
  search.set_max_parallel_trials(1);
  if (method == "random") {
    FillSpace(*search.mutable_random(), trials);
  } else if (method == "sobol") {
    FillSpace(*search.mutable_sobol(), trials);
  } else if (method == "tpe") {
    FillSpace(*search.mutable_tpe(), trials);
  } else if (method == "asha") {
    FillSpace(*search.mutable_asha(), trials);
  } else {
    return InvalidArgument(Reason::kUsage, absl::StrCat("no such method: ", method));
  }
  return spec;
}

// A state with one worker of one slot, which runs one trial after another.
class OneByOne {
 public:
  absl::Status Begin(const v1::ExperimentSpec& spec) {
    session::v1::Hello hello;
    hello.set_worker(kWorker);
    hello.set_instance("first");
    hello.add_slots()->set_kind(v1::Slot::KIND_CPU);
    CVT_RETURN_IF_ERROR(Commit(coordinator::DecideRegisterWorker(state_, hello, {}, now_)));
    v1::CreateExperimentRequest request;
    *request.mutable_spec() = spec;
    return Commit(coordinator::DecideCreateExperiment(state_, request, "bench", now_));
  }

  // Returns the seconds of its evaluation and of its end.
  absl::StatusOr<std::pair<double, double>> Run(int64_t trial) {
    coordinator::TrialPlacement placement{TrialName(ExperimentName(1), trial), {}};
    placement.ranks.push_back({*WorkerName::Parse(kWorker), 0});
    CVT_RETURN_IF_ERROR(Commit(coordinator::DecideAllocate(state_, placement, now_)));
    session::v1::ReportFactsRequest request;
    request.set_worker(kWorker);
    request.set_attempt(AttemptName(placement.trial, 1).ToString());
    CVT_ASSIGN_OR_RETURN(const auto* attempt, state_.FindAttempt(AttemptName(placement.trial, 1)));
    request.set_lease_generation(attempt->lease_generation());
    session::v1::Fact& fact = *request.add_facts();
    fact.set_sequence(1);
    fact.mutable_started();
    CVT_RETURN_IF_ERROR(Commit(coordinator::DecideFacts(state_, request, now_)));
    fact.set_sequence(2);
    v1::EvaluationResult& evaluation = *fact.mutable_evaluation();
    evaluation.set_step(81);
    evaluation.set_epoch(81);
    (*evaluation.mutable_metrics())["val/top1"] = values_.Uniform(0, 100);
    double begin = WallSeconds();
    CVT_RETURN_IF_ERROR(Commit(coordinator::DecideFacts(state_, request, now_)));
    const double evaluated = WallSeconds() - begin;
    fact.set_sequence(3);
    fact.mutable_ended()->set_cause(v1::CAUSE_FINISHED);
    begin = WallSeconds();
    CVT_RETURN_IF_ERROR(Commit(coordinator::DecideFacts(state_, request, now_)));
    return std::make_pair(evaluated, WallSeconds() - begin);
  }

 private:
  absl::Status Commit(const Decision& decision) {
    CVT_RETURN_IF_ERROR(decision.status());
    if (!decision->event) return absl::OkStatus();
    storage::v1::Event event = *decision->event;
    event.set_revision(state_.revision() + 1);
    *event.mutable_time() = coordinator::ToTimestamp(now_);
    return state_.Apply(event);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  coordinator::ClusterState state_;
  KeyedStream values_{"bench-search/v1", {1}};
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

absl::StatusOr<Pass> MeasureOverhead(const std::string& method, int trials) {
  // More of them than are run, so that there is always one to propose.
  CVT_ASSIGN_OR_RETURN(const v1::ExperimentSpec spec, SpecOf(method, trials + kAhead));
  OneByOne cluster;
  CVT_RETURN_IF_ERROR(cluster.Begin(spec));
  std::vector<double> evaluations;
  std::vector<double> ends;
  for (int64_t trial = 1; trial <= trials; ++trial) {
    CVT_ASSIGN_OR_RETURN(const auto seconds, cluster.Run(trial));
    if (trial + kTimed <= trials) continue;
    evaluations.push_back(1e6 * seconds.first);
    ends.push_back(1e6 * seconds.second);
  }
  return Pass{.images = 1,
              .numbers = {{"evaluation_microseconds", Median(evaluations)},
                          {"end_microseconds", Median(ends)}}};
}

}  // namespace cvtrain::bench
