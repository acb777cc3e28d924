#ifndef CVTRAIN_COORDINATOR_ENGINE_FORECASTER_H_
#define CVTRAIN_COORDINATOR_ENGINE_FORECASTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "coordinator/state/cluster_state.h"
#include "plan/curriculum/forecast.h"

namespace cvtrain::coordinator {

// What a whole trial takes on its slots.
struct TrialForecast {
  struct Stage {
    double steps = 0;
    absl::Duration duration;
  };
  std::vector<Stage> stages;  // at least one
  // By how much such a forecast is usually wrong: the deviation of its logarithm.
  double error = 0;
  // Where its speed comes from, for people.
  std::string basis;

  double steps() const;
  absl::Duration duration() const;
};

// Forecasts trials from their recipes, and from the speeds that the journal has. Remembers what
// trials have in common, so that asking for all of them costs little. Thread-compatible.
class Forecaster {
 public:
  // Speeds are looked up anew after this long.
  static constexpr absl::Duration kSpeedKept = absl::Seconds(10);

  // The forecast of `trial`, whose recipe is valid. `steady`: now. The reference is valid until
  // the next call.
  const TrialForecast& Forecast(const ClusterState& state,
                                const ClusterState::Experiment& experiment,
                                const ClusterState::Trial& trial, absl::Duration steady);

  // Forgets trials that have ended.
  void Forget(const ClusterState& state);

 private:
  using Stages = std::vector<plan::ExpectedStage>;
  struct Speed {
    double flops_per_slot_second = 0;
    double error = 0;
    std::string basis;
    absl::Duration at;
  };
  // What does not change of a trial, and its forecast with the speed of `at`.
  struct Known {
    std::shared_ptr<const Stages> stages;
    std::string model;        // canonical bytes
    double step_seconds = 0;  // of a synthetic task
    int32_t slots = 1;
    TrialForecast forecast;
    absl::Duration at = -absl::InfiniteDuration();
  };

  Known Look(const ClusterState& state, const ClusterState::Experiment& experiment,
             const ClusterState::Trial& trial);
  const Speed& SpeedOf(const ClusterState& state, const Known& known, absl::Duration steady);

  absl::btree_map<TrialName, Known> trials_;
  absl::btree_map<std::string, std::shared_ptr<const Stages>> stages_;  // by what they depend on
  absl::btree_map<std::string, Speed> speeds_;                          // by model
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_FORECASTER_H_
