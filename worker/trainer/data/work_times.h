#ifndef CVTRAIN_WORKER_TRAINER_DATA_WORK_TIMES_H_
#define CVTRAIN_WORKER_TRAINER_DATA_WORK_TIMES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/clock.h"

namespace cvtrain::trainer {

// Time that training has waited for pictures, by what those who make them were doing meanwhile.
struct InputStall {
  absl::Duration network;  // waiting for a shard that is not on this machine yet
  absl::Duration disk;     // reading and verifying bytes of a shard
  absl::Duration decode;   // decoding, cropping, augmenting

  absl::Duration total() const { return network + disk + decode; }

  friend InputStall operator+(const InputStall& a, const InputStall& b) {
    return {a.network + b.network, a.disk + b.disk, a.decode + b.decode};
  }
  friend InputStall operator-(const InputStall& a, const InputStall& b) {
    return {a.network - b.network, a.disk - b.disk, a.decode - b.decode};
  }
};

// What the time of one decoding thread goes to.
//
// Enter() is that thread's; Sums() is thread-safe, and may be off by what changes meanwhile.
class WorkTimes {
 public:
  enum Work : size_t { kIdle, kNetwork, kDisk, kDecode };
  static constexpr size_t kWorks = 4;
  using Sums = std::array<absl::Duration, kWorks>;

  explicit WorkTimes(const Clock& clock) : clock_(clock), since_(Now()) {}

  // From now on the thread does `work`.
  void Enter(Work work);

  // Up to now, what is under way included.
  Sums sums() const;

 private:
  int64_t Now() const { return absl::ToInt64Nanoseconds(clock_.SteadyNow()); }

  const Clock& clock_;
  std::array<std::atomic<int64_t>, kWorks> done_ = {};  // nanoseconds
  std::atomic<size_t> work_ = kIdle;
  std::atomic<int64_t> since_;
};

// Divides a wait for pictures among its causes, in proportion to what all threads did during it.
// Where they did nothing, which is when a wait is too short to see, it counts as decoding.
//
// Thread-compatible; the times may be entered meanwhile.
class StallMeter {
 public:
  // `threads` and the clock must outlive this.
  StallMeter(const Clock& clock, const std::vector<std::unique_ptr<WorkTimes>>& threads)
      : clock_(clock), threads_(threads) {}

  void Begin();
  void End();

  // Of all waits that have ended.
  const InputStall& stall() const { return stall_; }

 private:
  WorkTimes::Sums SumOfThreads() const;

  const Clock& clock_;
  const std::vector<std::unique_ptr<WorkTimes>>& threads_;
  absl::Duration begin_;
  WorkTimes::Sums at_begin_;
  InputStall stall_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_WORK_TIMES_H_
