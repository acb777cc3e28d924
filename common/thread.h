#ifndef CVTRAIN_COMMON_THREAD_H_
#define CVTRAIN_COMMON_THREAD_H_

#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/time/time.h"

namespace cvtrain {

using StopToken = std::stop_token;
using StopSource = std::stop_source;

// Sleeps for `duration`, or until a stop is requested; returns true if it was.
// The wait of threads that pace themselves; logic under test takes the time as data.
bool WaitForStop(const StopToken& stop, absl::Duration duration);

// A named thread whose owner joins it: the destructor requests a stop and joins.
// `body` ends soon after its token says so. Thread-compatible.
class Thread {
 public:
  // Shows up as `name` in debuggers and top, cut to 15 characters. `nice` (0 to 19)
  // lowers its priority.
  Thread(const std::string& name, std::function<void(StopToken)> body, int nice = 0);
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread();

  // Asks `body` to end; does not wait. Thread-safe.
  void RequestStop() { thread_.request_stop(); }
  // Waits for the end of `body`. Harmless when repeated.
  void Join();

 private:
  std::jthread thread_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_THREAD_H_
