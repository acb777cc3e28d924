#ifndef CVTRAIN_COMMON_LOG_H_
#define CVTRAIN_COMMON_LOG_H_

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"

// One line per event that a person would act on:
//
//   CVT_LOG(kInfo, "lease expired").Field("trial", name).Field("silent_for", silence);
//
//   2024-05-01T12:34:56.789Z I lease expired trial=experiments/12/trials/3 silent_for=31s
//
// Values from outside are escaped, quoted if they hold spaces, and shortened; a
// line is written by one write() to stderr. Thread-safe. Messages are constant
// sentences without a final stop; what varies goes into fields. Secrets have no
// Field(). Do not log under a mutex.
#define CVT_LOG(level, message) ::cvtrain::LogLine(::cvtrain::LogLevel::level, message)

namespace cvtrain {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogRecord {
  LogLevel level = LogLevel::kInfo;
  absl::Time time;
  std::string message;                                      // escaped
  std::vector<std::pair<std::string, std::string>> fields;  // escaped and shortened
};

// The line without its newline, at most limits::kOwnLogLineSizeBytesMax bytes.
std::string FormatLogRecord(const LogRecord& record);

// Replaces stderr as the place where lines go; an empty function restores it.
// Returns the sink before. Calls to the sink are serialized. For tests and mains.
using LogSink = std::function<void(const LogRecord&)>;
LogSink SetLogSink(LogSink sink);

// Lines below this level are dropped; default kInfo.
void SetLogLevel(LogLevel level);
LogLevel GetLogLevel();

template <typename T>
concept HasToString = requires(const T& value) {
  { value.ToString() } -> std::convertible_to<std::string>;
};

// Collects one line and writes it when it is destroyed, at the end of the
// statement. Use CVT_LOG.
class LogLine {
 public:
  LogLine(LogLevel level, absl::string_view message);
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;
  ~LogLine();

  LogLine& Field(absl::string_view key, absl::string_view value);
  LogLine& Field(absl::string_view key, const char* value) {
    return Field(key, absl::string_view(value));
  }
  LogLine& Field(absl::string_view key, const std::string& value) {
    return Field(key, absl::string_view(value));
  }
  LogLine& Field(absl::string_view key, bool value);
  LogLine& Field(absl::string_view key, double value);
  LogLine& Field(absl::string_view key, absl::Duration value);
  LogLine& Field(absl::string_view key, absl::Time value);
  // Writes code, reason and message.
  LogLine& Field(absl::string_view key, const absl::Status& value);
  template <std::integral T>
  requires(!std::same_as<T, bool>) LogLine& Field(absl::string_view key, T value) {
    return Raw(key, std::to_string(value));
  }
  template <HasToString T>
  requires(!std::same_as<T, absl::Status>) LogLine& Field(absl::string_view key, const T& value) {
    return Field(key, absl::string_view(value.ToString()));
  }

 private:
  LogLine& Raw(absl::string_view key, std::string value);

  const bool enabled_;
  LogRecord record_;
};

// Bounds how often one place logs:
//
//   if (auto pass = limiter.Pass()) CVT_LOG(kWarning, "...").Field("suppressed", pass.suppressed);
//
// Lets one line pass per `period`. Thread-safe.
class LogLimiter {
 public:
  struct Passed {
    bool passed = false;
    int64_t suppressed = 0;  // lines since the last one that passed
    explicit operator bool() const { return passed; }
  };

  explicit LogLimiter(absl::Duration period, const Clock& clock = RealClock())
      : clock_(clock), period_(period) {}

  Passed Pass() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Clock& clock_;
  const absl::Duration period_;
  absl::Mutex mu_;
  absl::Duration next_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  int64_t suppressed_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_LOG_H_
