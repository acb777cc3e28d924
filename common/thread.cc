#include "common/thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"

namespace cvtrain {

bool WaitForStop(const StopToken& stop, absl::Duration duration) {
  std::mutex mu;
  std::condition_variable_any changed;
  std::unique_lock lock(mu);
  const auto stopped = [&] { return stop.stop_requested(); };
  if (duration >= absl::Hours(24 * 365))
    return changed.wait(lock, stop, [] { return false; }), true;
  changed.wait_for(lock, stop, absl::ToChronoNanoseconds(duration), stopped);
  return stopped();
}

Thread::Thread(const std::string& name, std::function<void(StopToken)> body, int nice)
    : thread_([name = name.substr(0, 15), body = std::move(body), nice](StopToken stop) {
        pthread_setname_np(pthread_self(), name.c_str());
        // On Linux a thread has a priority of its own. Without the right to lower it,
        // which cannot happen, the thread runs on at the normal one.
        if (nice != 0) setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), nice);
        body(std::move(stop));
      }) {}

Thread::~Thread() = default;  // jthread requests the stop and joins

void Thread::Join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace cvtrain
