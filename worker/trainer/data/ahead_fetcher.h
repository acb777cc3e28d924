#ifndef CVTRAIN_WORKER_TRAINER_DATA_AHEAD_FETCHER_H_
#define CVTRAIN_WORKER_TRAINER_DATA_AHEAD_FETCHER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/thread.h"
#include "worker/trainer/data/section_set.h"
#include "worker/trainer/data/split_reader.h"

namespace cvtrain::trainer {

// Fetches sections of shards before somebody requires them, on a thread of its own, one at a time:
//
//   1. of all training shards, those that this stage reads;
//   2. of all validation shards, those that evaluations read;
//   3. of all training shards, those that the next stage reads, then the one after it, until what
//      has come for later stages fills the budget; the rest when the next stage begins.
//
// An error ends it, and nothing else: who requires what is missing asks again, and hears why.
class AheadFetcher {
 public:
  struct Options {
    // Sections of each stage of the trial, and the stage that it is in.
    std::vector<SectionSet> stages;
    size_t stage = 0;
    SectionSet evaluation;
    int64_t budget_bytes = 0;
    // Ranks of one worker begin at different shards, so that each brings something.
    int rank = 0;
    int world_size = 1;
  };
  // The splits must outlive it. The destructor waits for the request under way: cancel that first.
  AheadFetcher(SplitReader& train, SplitReader& validation, Options options);

  // The trial is in that stage now. Thread-safe.
  void BeginStage(size_t stage) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run(const StopToken& stop);
  // False if it is to end.
  bool FetchAll(SplitReader& split, SectionSet sections, size_t for_stage, const StopToken& stop);
  // Waits until there is room for later stages, or `for_stage` is not a later one.
  bool WaitForRoom(size_t for_stage, const StopToken& stop) ABSL_LOCKS_EXCLUDED(mu_);

  SplitReader& train_;
  SplitReader& validation_;
  const Options options_;

  absl::Mutex mu_;
  absl::CondVar changed_;
  size_t stage_ ABSL_GUARDED_BY(mu_);
  int64_t ahead_bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of stages after stage_

  Thread thread_;  // last: it uses the members above
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_AHEAD_FETCHER_H_
