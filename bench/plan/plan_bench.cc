#include "bench/plan/plan_bench.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "coordinator/scheduler/plan.h"
#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/water_filling.h"

namespace cvtrain::bench {
namespace {

using coordinator::Claim;
using coordinator::Plan;
using coordinator::PlanInput;
using coordinator::PlanJob;
using coordinator::PlanWorker;
using coordinator::Policy;

constexpr int kSlotsPerWorker = 8;
// Slots of a job, by its number; the peer has the same (bench/peers/gavel_plan.py).
constexpr int32_t kWidths[] = {1, 1, 1, 1, 1, 1, 1, 2, 4, 8};
// Seconds between arrivals, and the longest job.
constexpr double kPause = 3;
constexpr double kLongest = 1e5;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

class PlanBench {
 public:
  PlanBench(const PlanBenchOptions& options, std::unique_ptr<Policy> policy)
      : options_(options), policy_(std::move(policy)) {
    workers_.assign(static_cast<size_t>(options.slots / kSlotsPerWorker),
                    PlanWorker{.slots = kSlotsPerWorker});
    KeyedStream stream("bench-plan/v1", {static_cast<uint64_t>(options.seed)});
    for (int i = 0; i < options.jobs; ++i) waiting_.push_back(MakeJob(i, stream));
    now_ = At(kPause * options.jobs);
    busy_ = waiting_;
    // Until nobody who waits would begin or take the place of someone who runs.
    Plan plan;
    do {
      plan = MakePlan(*policy_, {now_, busy_, workers_});
      Apply(plan);
    } while (!plan.started.empty());
  }

  absl::StatusOr<Pass> Run(absl::string_view what) {
    if (what == "cold") return Decide(waiting_, {.queue = true});
    if (what == "shares") return Shares();
    if (what == "steady") return DecideAfterAnEnd({.queue = false});
    if (what == "queue") return DecideAfterAnEnd({.queue = true});
    return InvalidArgument(Reason::kUsage, absl::StrCat("no such decision: ", what));
  }

 private:
  static PlanJob MakeJob(int i, KeyedStream& stream) {
    PlanJob job;
    job.id = i + 1;
    job.arrival = At(kPause * i);
    const int32_t slots = kWidths[static_cast<size_t>(i) % std::size(kWidths)];
    const double seconds = std::exp(stream.Uniform(std::log(60), std::log(kLongest)));
    job.stages.push_back({.slots = slots, .left = absl::Seconds(seconds)});
    job.packed = true;
    job.preemptible_after = absl::Seconds(60);
    job.restart_cost = absl::Seconds(20);
    return job;
  }

  void Apply(const Plan& plan) {
    for (const auto& one : plan.preempted) busy_[static_cast<size_t>(one.job)].shares.clear();
    for (const auto& one : plan.started) {
      PlanJob& job = busy_[static_cast<size_t>(one.job)];
      job.shares = one.shares;
      job.preemptible_at = now_;
    }
  }

  // The job that ends differs from pass to pass, and is back after it.
  Pass DecideAfterAnEnd(const coordinator::PlanOptions& options) {
    do {
      next_ = (next_ + 7919) % busy_.size();
    } while (!busy_[next_].runs());
    std::swap(busy_[next_], busy_.back());
    const PlanJob ended = std::move(busy_.back());
    busy_.pop_back();
    const Pass pass = Decide(busy_, options);
    busy_.push_back(ended);
    return pass;
  }

  Pass Decide(const std::vector<PlanJob>& jobs, const coordinator::PlanOptions& options) {
    const PlanInput input{now_, jobs, workers_};
    const Plan plan = MakePlan(*policy_, input, options);
    if (options.queue) PredictStarts(input, plan);
    return {.images = 1, .numbers = {{"started", static_cast<double>(plan.started.size())}}};
  }

  Pass Shares() {
    std::vector<Claim> claims;
    for (const PlanJob& job : waiting_) claims.push_back({1, static_cast<double>(job.slots())});
    const std::vector<double> parts = coordinator::FillWater(claims, options_.slots);
    return {.images = 1,
            .numbers = {{"smallest", *std::min_element(parts.begin(), parts.end())},
                        {"sum", std::accumulate(parts.begin(), parts.end(), 0.0)}}};
  }

  const PlanBenchOptions options_;
  const std::unique_ptr<Policy> policy_;
  std::vector<PlanWorker> workers_;
  std::vector<PlanJob> waiting_;
  std::vector<PlanJob> busy_;
  absl::Time now_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<Runner> NewPlanBench(const PlanBenchOptions& options) {
  std::unique_ptr<Policy> policy = coordinator::MakePolicy(options.policy);
  if (policy == nullptr) {
    return InvalidArgument(Reason::kUnknownName, absl::StrCat("no such policy: ", options.policy));
  }
  auto bench = std::make_shared<PlanBench>(options, std::move(policy));
  return Runner([bench](absl::string_view what) { return bench->Run(what); });
}

}  // namespace cvtrain::bench
