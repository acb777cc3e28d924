// Our side of the benchmark of scheduling; bench/side/side.h says how it is talked to.

#include <iostream>

#include "absl/status/status.h"
#include "bench/plan/plan_bench.h"
#include "bench/side/side.h"
#include "common/flags.h"
#include "common/status_macros.h"

namespace cvtrain::bench {
namespace {

absl::Status Main(int argc, char** argv) {
  PlanBenchOptions options;
  FlagSet flags("cvtrain-bench-plan [flags]",
                "Our side of the benchmark of scheduling; bench/plan.py runs it.");
  flags.String("policy", 0, &options.policy, "NAME", "that ranks the jobs");
  flags.Int("jobs", 0, &options.jobs, 1, 1'000'000, "waiting and running");
  flags.Int("slots", 0, &options.slots, 8, 1'000'000, "in workers of eight");
  flags.Int("seed", 0, &options.seed, 0, int64_t{1} << 62, "of the jobs that are made");
  CVT_ASSIGN_OR_RETURN(const FlagSet::Parsed parsed, flags.Parse(argc, argv));
  if (parsed.help) {
    std::cout << flags.Help();
    return absl::OkStatus();
  }
  CVT_ASSIGN_OR_RETURN(const Runner runner, NewPlanBench(options));
  return Serve(runner);
}

}  // namespace
}  // namespace cvtrain::bench

int main(int argc, char** argv) {
  return cvtrain::bench::ExitWith("cvtrain-bench-plan", cvtrain::bench::Main(argc, argv));
}
