#ifndef CVTRAIN_COORDINATOR_ENGINE_THROUGHPUT_H_
#define CVTRAIN_COORDINATOR_ENGINE_THROUGHPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "coordinator/state/cluster_state.h"

namespace cvtrain::v1 {
class PlannedStage;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::coordinator {

// How much a slot of this cluster trains in a second.
struct Throughput {
  // FLOPs of training, as plans count them: what trials spend on evaluations, checkpoints and
  // waiting for pictures makes it smaller. Greater than 0; not set for a synthetic task, whose
  // recipe says what a step takes.
  double flops_per_slot_second = 0;
  enum class Source { kSameModel, kOtherModel, kAssumed };
  Source source = Source::kAssumed;
  // Where that comes from, for people.
  std::string basis;
};

// Where nothing was measured: a core with AVX2 or AVX-512 at a third of what its matrix products
// reach (docs/performance.md).
inline constexpr double kAssumedFlopsPerThreadSecond = 20e9;

// What to expect of a trial of this model (canonical bytes of Recipe.model): what the newest
// attempt of the same model reached that ran to its end; else of any model; else what is assumed of
// the threads of a slot. Looks at the newest trials only. A pure function.
Throughput ExpectedThroughput(const ClusterState& state, const std::string& model);

// Fills in the durations of the stages of a trial of `recipe` on `slots` slots. Steps of a
// synthetic task take the time that the recipe says.
void PredictDurations(const v1::Recipe& recipe, int32_t slots, const Throughput& throughput,
                      absl::Span<v1::PlannedStage> stages);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_THROUGHPUT_H_
