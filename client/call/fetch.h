#ifndef CVTRAIN_CLIENT_CALL_FETCH_H_
#define CVTRAIN_CLIENT_CALL_FETCH_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/call/connection.h"
#include "client/view/show.h"

// What `get` shows, fetched: the things named, each by its own call, or all of them.
// Errors are those of the calls; a thing that is named and is not there is NOT_FOUND,
// a name of another kind INVALID_ARGUMENT.
namespace cvtrain::client {

using Ids = std::vector<std::string>;

struct ListOptions {
  std::string project;  // only of this one; empty: all
  bool active = false;  // only what has not ended
  bool sweeps = false;  // only experiments that have a search
  size_t limit = 50;    // experiments
};

struct Experiments {
  std::vector<v1::Experiment> experiments;
  bool more = false;  // there are others that fit, beyond the limit
};

// Newest first, as many pages as it takes to meet the limit.
absl::StatusOr<Experiments> FetchExperiments(Connection& connection, const Ids& ids,
                                             const ListOptions& options);

// With the trials that the tables need; `all` with every trial even of sweeps that
// have ended.
absl::StatusOr<std::vector<ExperimentView>> WithTrials(Connection& connection,
                                                       std::vector<v1::Experiment> experiments,
                                                       bool all);

// Trials by name, or those of experiments.
absl::StatusOr<std::vector<v1::Trial>> FetchTrials(Connection& connection, const Ids& ids,
                                                   const ListOptions& options);

// The experiments of `trials`, by name.
absl::StatusOr<std::map<std::string, v1::Experiment>> ExperimentsOf(
    Connection& connection, const std::vector<v1::Trial>& trials);

absl::StatusOr<std::vector<v1::Worker>> FetchWorkers(Connection& connection, const Ids& ids);

// Checkpoints by name, or those of trials or experiments, or `imported` for those of no trial.
absl::StatusOr<std::vector<v1::Checkpoint>> FetchCheckpoints(Connection& connection,
                                                             const Ids& ids);

// Versions by name, or the newest of every data set.
absl::StatusOr<std::vector<v1::DatasetVersion>> FetchDatasets(Connection& connection,
                                                              const Ids& ids);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_FETCH_H_
