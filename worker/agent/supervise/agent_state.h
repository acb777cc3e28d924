#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_STATE_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_STATE_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/telemetry.h"
#include "cvtrain/session/v1/session.pb.h"
#include "worker/agent/cache/content_cache.h"
#include "worker/agent/supervise/agent.h"

// What agent.cc, agent_outputs.cc and agent_trainers.cc share; nobody else includes it.
namespace cvtrain::worker {

// An attempt whose ranks are here, from StartRanks until its last rank has ended. What
// remains to be reported of it after that is the business of reports and spool.
struct Agent::Attempt {
  session::v1::Assign assign;
  bool needs_resume_file = false;
  std::optional<CachedFile> resume_file;  // until the slots have it
  bool started = false;                   // the slots have its ranks
  int ranks_left = 0;
  std::set<int> shards;              // that were asked for, by index
  std::map<int, int64_t> last_step;  // by rank, for the counter of steps
  std::optional<double> last_samples;
};

// Series of the loop. Labels are from closed sets: states, never names.
struct Agent::Telemetry {
  explicit Telemetry(TelemetryRegistry& registry);

  Gauge& slots;
  std::map<TrainerSlot::State, Gauge*> trainers;
  std::map<Session::State, Gauge*> session;
  Gauge& attempts_running;
  Gauge& attempts_reporting;
  Gauge& lease_age;
  Counter& reconnects;
  Counter& steps;
  Counter& images;
  CounterSet input_stall;
  Counter& points;
  Histogram& trial_start;
  CounterSet ranks_ended;
  Counter& reports_refused_by_spool;
  int64_t reconnects_counted = 0;
};

// Name of a cause as a label: "finished", "worker_lost".
std::string CauseLabel(v1::Cause cause);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_AGENT_STATE_H_
