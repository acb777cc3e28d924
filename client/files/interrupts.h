#ifndef CVTRAIN_CLIENT_FILES_INTERRUPTS_H_
#define CVTRAIN_CLIENT_FILES_INTERRUPTS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/thread.h"
#include "common/wake_fd.h"

namespace cvtrain::client {

// Ctrl-C as a stop token, so that every verb can end in its own way: a call that
// hangs is cancelled, a folder of half-built shards is removed, a view says
// good-bye. The second Ctrl-C ends the process at once, whatever it does.
//
// SIGINT is blocked in the thread that makes this, and in all that it starts
// afterwards; make it before any other thread. Thread-safe.
class Interrupts {
 public:
  // `second` is called, on a thread of this object, at the second Ctrl-C; it
  // should not return. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) without descriptors.
  static absl::StatusOr<std::unique_ptr<Interrupts>> Create(std::function<void()> second);

  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  StopToken token() const { return stop_.get_token(); }

  // Reads `descriptor` to its end, but no more than `size_bytes_max` bytes.
  // CANCELLED (STOPPING) at Ctrl-C; UNAVAILABLE (STORAGE_FAILED) if it cannot be read.
  absl::StatusOr<std::string> ReadAll(int descriptor, size_t size_bytes_max) const;

 private:
  Interrupts(int signals, WakeFd pressed, WakeFd done, std::function<void()> second);

  void Watch(const StopToken& end);

  const UniqueFd signals_;  // a signalfd
  const WakeFd pressed_;    // readable from the first Ctrl-C on
  const WakeFd done_;       // ends the watcher
  const std::function<void()> second_;
  StopSource stop_;
  std::unique_ptr<Thread> watcher_;  // last: it uses the others
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_INTERRUPTS_H_
