#ifndef CVTRAIN_COMMON_FUTEX_H_
#define CVTRAIN_COMMON_FUTEX_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace cvtrain {

// Waits on a word that may lie in memory shared by processes. For protocols on such memory only:
// threads of one process have absl::Mutex.

// Returns at once if `word` is not `expected`; otherwise when FutexWakeAll() is called for it, when
// `timeout` has passed, or for no reason.
void FutexWait(const std::atomic<uint32_t>& word, uint32_t expected, absl::Duration timeout);

// Wakes all that wait for `word`, in all processes that have it mapped.
void FutexWakeAll(const std::atomic<uint32_t>& word);

// A short break of a loop that looks at memory again and again.
inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Lets another thread have the core, if one wants it.
void YieldCore();

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_FUTEX_H_
