#ifndef CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_JOB_H_
#define CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_JOB_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "client/simulate/shockwave_trace.h"

namespace cvtrain::client {

// One job of a Shockwave trace as Shockwave's simulator runs it (scheduler/scheduler.py: simulate,
// _done_callback, _scale_bs_and_iters): round by round, in whole steps. Its batch size is asked to
// change after a round and changes at the end of the next one that it runs, which rounds its
// progress up to a whole epoch. Times are in seconds. Thread-compatible.
class ShockwaveRun {
 public:
  // INVALID_ARGUMENT (DATA_BAD) if `throughputs`, which must outlive it, lacks a speed of the job,
  // or if the job is too long to be simulated; the message names the line.
  static absl::StatusOr<ShockwaveRun> Create(const ShockwaveJob& job,
                                             const Throughputs& throughputs);

  const ShockwaveJob& job() const { return job_; }

  // What the authors declare that it takes alone on its GPUs.
  double declared() const { return declared_; }
  // Of that, what epochs that are not done yet take.
  double DeclaredLeft() const;
  // What its steps take if the batch size stays as it is.
  double MeasuredLeft() const;
  // What it takes from begin to end if it runs alone; from now on, if it has run, about that less
  // what it has run.
  double RunAlone() const;

  // After a round, whether it has run in it or not: takes note if the batch size is to change.
  void Observe();

  // How long it runs in a round of `round` seconds, at most.
  double RoundLength(double round) const;
  // Runs for a round of `round` seconds. With `restart`, of which RestartSeconds() are lost unless
  // the job ends early in the round.
  void RunRound(double round, bool restart);

  bool done() const { return done_; }
  // How long it has run, without what restarts took.
  double served() const { return served_; }

  static constexpr double RestartSeconds() { return 20; }

 private:
  ShockwaveRun(const ShockwaveJob& job, const Throughputs& throughputs);
  int64_t RoundSteps(double round) const;
  void Rescale();

  ShockwaveJob job_;
  const Throughputs* throughputs_;
  double declared_ = 0;
  std::vector<double> left_after_;  // declared, before epoch i; 0 at the end
  int batch_size_;
  double speed_ = 0;  // steps per second
  int64_t steps_total_;
  int64_t steps_done_ = 0;
  double served_ = 0;
  bool grows_ = false;  // what Observe() has noted
  bool shrinks_ = false;
  bool done_ = false;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_SHOCKWAVE_JOB_H_
