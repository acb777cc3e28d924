#ifndef CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_TRACE_H_
#define CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The traces of Shockwave (Zheng et al., NSDI 2023; uw-mad-dash/shockwave, scheduler/): jobs whose
// batch size changes while they run, and how fast each of their kinds is.
namespace cvtrain::client {

enum class TraceModel { kResnet18, kResnet50, kTransformer, kLanguageModel, kRecommendation };

// "ResNet-18"
absl::string_view TraceModelName(TraceModel model);

// How the batch size changes: not, to the largest where gradients are calm (Accordion), or by
// doubling with the gradient noise (GNS).
enum class BatchMode { kStatic, kAccordion, kNoiseScale };

struct ShockwaveJob {
  size_t line = 0;  // in the trace, from 1
  TraceModel model = TraceModel::kResnet18;
  BatchMode mode = BatchMode::kStatic;
  int batch_size = 0;  // at the begin
  int64_t steps = 0;   // at that batch size
  int gpus = 1;
  double weight = 1;
  double arrival_seconds = 0;
};

inline constexpr size_t kTraceBytesMax = size_t{64} << 20;
inline constexpr size_t kTraceJobsMax = 200'000;
inline constexpr int kTraceGpusMax = 1'024;

// Reads twelve fields a line, separated by tabs, in order of arrival. INVALID_ARGUMENT (DATA_BAD)
// that names line, field and rule; LIMIT_EXCEEDED for more than kTraceJobsMax jobs.
absl::StatusOr<std::vector<ShockwaveJob>> ReadShockwaveTrace(absl::string_view text);

// Steps per second that jobs make alone on V100s. Immutable; thread-safe.
class Throughputs {
 public:
  // Reads Gavel's format: {"v100": {"('ResNet-18 (batch size 32)', 1)": {"null": 42.9, ...}, ...}}.
  // Models that no trace has are left out. INVALID_ARGUMENT (DATA_BAD) that names the entry.
  static absl::StatusOr<Throughputs> Parse(absl::string_view json);

  // 0 if nobody measured it.
  double StepsPerSecond(TraceModel model, int batch_size, int gpus) const;

 private:
  absl::btree_map<std::tuple<TraceModel, int, int>, double> steps_per_second_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_TRACE_H_
