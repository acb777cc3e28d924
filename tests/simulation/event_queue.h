#ifndef CVTRAIN_TESTS_SIMULATION_EVENT_QUEUE_H_
#define CVTRAIN_TESTS_SIMULATION_EVENT_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace cvtrain::simulation {

// Nanoseconds of virtual time, from the start of the simulation. Integers: every processor agrees
// on them, and they are quick to compare.
using Nanos = int64_t;

inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kMinute = 60 * kSecond;
inline constexpr Nanos kHour = 60 * kMinute;
inline constexpr Nanos kDay = 24 * kHour;

inline absl::Duration ToDuration(Nanos time) { return absl::Nanoseconds(time); }
inline Nanos ToNanos(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

// What happens when, in one order: by time, then in the order in which it was asked for. Time
// stands still while something happens. Thread-compatible.
class EventQueue {
 public:
  using Action = std::function<void()>;

  Nanos now() const { return now_; }
  int64_t executed() const { return executed_; }

  // `time` in the past means now.
  void At(Nanos time, Action action) {
    events_.push_back({std::max(time, now_), next_++, std::move(action)});
    std::push_heap(events_.begin(), events_.end(), IsLater);
  }
  void After(Nanos delay, Action action) { At(now_ + delay, std::move(action)); }

  // Runs what comes next, unless it comes after `end` or there is nothing; time is `end` then.
  bool RunNext(Nanos end) {
    if (events_.empty() || events_.front().time > end) {
      now_ = std::max(now_, end);
      return false;
    }
    std::pop_heap(events_.begin(), events_.end(), IsLater);
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.time;
    ++executed_;
    event.action();
    return true;
  }

 private:
  struct Event {
    Nanos time = 0;
    uint64_t order = 0;
    Action action;
  };
  static bool IsLater(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }

  Nanos now_ = 0;
  uint64_t next_ = 0;
  int64_t executed_ = 0;
  std::vector<Event> events_;
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_EVENT_QUEUE_H_
