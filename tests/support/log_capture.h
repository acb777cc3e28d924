#ifndef CVTRAIN_TESTS_SUPPORT_LOG_CAPTURE_H_
#define CVTRAIN_TESTS_SUPPORT_LOG_CAPTURE_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/log.h"

namespace cvtrain::testing {

// Collects the log lines of its lifetime, of all levels, in place of stderr. Thread-safe.
class LogCapture {
 public:
  LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture();

  std::vector<LogRecord> records() const ABSL_LOCKS_EXCLUDED(mu_);
  // Lines without time: "I lease expired trial=...".
  std::vector<std::string> lines() const ABSL_LOCKS_EXCLUDED(mu_);
  bool Contains(absl::string_view text) const;

 private:
  LogSink previous_;
  LogLevel previous_level_;
  mutable absl::Mutex mu_;
  std::vector<LogRecord> records_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_LOG_CAPTURE_H_
