// A trace of jobs: what is read of it, if it is small, is played to its end under every policy.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/simulate/philly.h"
#include "client/simulate/shockwave.h"
#include "client/simulate/shockwave_job.h"
#include "common/status_macros.h"
#include "coordinator/scheduler/policy.h"

namespace cvtrain::client {
namespace {

constexpr size_t kJobsPlayedMax = 40;
constexpr double kSecondsPlayedMax = 1e6;
constexpr int kGpus = 16;

const Throughputs& Speeds() {
  static const auto* const speeds = new Throughputs(*Throughputs::Parse(R"json({"v100": {
      "('LM (batch size 10)', 1)": {"null": 9}, "('LM (batch size 20)', 1)": {"null": 8},
      "('LM (batch size 40)', 1)": {"null": 7}, "('LM (batch size 80)', 1)": {"null": 6},
      "('LM (batch size 80)', 4)": {"null": 6},
      "('ResNet-50 (batch size 64)', 2)": {"null": 2},
      "('ResNet-50 (batch size 128)', 2)": {"null": 1}}})json"));
  return *speeds;
}

void CheckEnds(const absl::StatusOr<Outcome>& outcome) {
  if (!outcome.ok()) return;
  for (const JobOutcome& job : outcome->jobs) CVT_CHECK(job.end >= job.arrival);
}

void PlayPhilly(absl::string_view text) {
  auto jobs = ReadPhillyTrace(text);
  if (!jobs.ok() || jobs->size() > kJobsPlayedMax) return;
  const std::vector<PhillyJob> selected = SelectJobs(*std::move(jobs), {});
  for (const auto& policy : coordinator::Policies()) {
    CheckEnds(SimulatePhilly(selected, *policy.make(), {.gpus = kGpus, .told = {}, .stop = {}}));
  }
}

void PlayShockwave(absl::string_view text) {
  const auto jobs = ReadShockwaveTrace(text);
  if (!jobs.ok() || jobs->size() > kJobsPlayedMax) return;
  double seconds = 0;
  for (const ShockwaveJob& job : *jobs) {
    const auto run = ShockwaveRun::Create(job, Speeds());
    if (!run.ok()) return;
    seconds += run->declared();
  }
  if (seconds > kSecondsPlayedMax) return;
  for (const auto& policy : coordinator::Policies()) {
    for (const Told told : {Told::kOracle, Told::kDeclared, Told::kMeasured, Told::kWrong}) {
      CheckEnds(SimulateShockwave(*jobs, Speeds(), *policy.make(),
                                  {.gpus = kGpus, .told = {.told = told}, .stop = {}}));
    }
  }
}

}  // namespace
}  // namespace cvtrain::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (cvtrain::client::IsPhillyTrace(text)) {
    cvtrain::client::PlayPhilly(text);
  } else {
    cvtrain::client::PlayShockwave(text);
  }
  return 0;
}
