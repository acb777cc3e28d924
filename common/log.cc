#include "common/log.h"

#include <unistd.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/text.h"

namespace cvtrain {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};

// Where lines go. Process-wide, as stderr is; never destroyed, so that threads may
// log until the end.
struct Output {
  absl::Mutex mu;
  LogSink sink ABSL_GUARDED_BY(mu);
};

Output& TheOutput() {
  static auto* const output = new Output;
  return *output;
}

char LevelLetter(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 'D';
    case LogLevel::kInfo:
      return 'I';
    case LogLevel::kWarning:
      return 'W';
    case LogLevel::kError:
      return 'E';
  }
  return '?';
}

bool NeedsQuotes(absl::string_view value) {
  return value.empty() || value.find_first_of(" =\"") != absl::string_view::npos;
}

std::string Quote(absl::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

void WriteToStderr(const LogRecord& record) {
  const std::string line = FormatLogRecord(record) + "\n";
  // One write, so that lines of processes that share a terminal do not mix. If stderr
  // is gone there is nobody to tell.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

std::string FormatLogRecord(const LogRecord& record) {
  std::string line = absl::StrCat(FormatTimestamp(record.time), " ",
                                  std::string(1, LevelLetter(record.level)), " ", record.message);
  for (const auto& [key, value] : record.fields) {
    absl::StrAppend(&line, " ", key, "=", NeedsQuotes(value) ? Quote(value) : value);
  }
  return TruncateText(line, limits::kOwnLogLineSizeBytesMax);
}

LogSink SetLogSink(LogSink sink) {
  Output& output = TheOutput();
  absl::MutexLock lock(&output.mu);
  output.sink.swap(sink);
  return sink;
}

void SetLogLevel(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }
LogLevel GetLogLevel() { return g_level.load(std::memory_order_relaxed); }

LogLine::LogLine(LogLevel level, absl::string_view message) : enabled_(level >= GetLogLevel()) {
  if (!enabled_) return;
  record_.level = level;
  record_.time = absl::Now();
  record_.message = SafeText(message, limits::kOwnLogFieldSizeBytesMax);
}

LogLine::~LogLine() {
  if (!enabled_) return;
  Output& output = TheOutput();
  {
    // The only callback under a mutex here: sinks are serialized by promise, and
    // belong to tests and main functions.
    absl::MutexLock lock(&output.mu);
    if (output.sink) {
      output.sink(record_);
      return;
    }
  }
  WriteToStderr(record_);
}

LogLine& LogLine::Raw(absl::string_view key, std::string value) {
  if (enabled_) record_.fields.emplace_back(std::string(key), std::move(value));
  return *this;
}

LogLine& LogLine::Field(absl::string_view key, absl::string_view value) {
  if (!enabled_) return *this;
  return Raw(key, SafeText(value, limits::kOwnLogFieldSizeBytesMax));
}

LogLine& LogLine::Field(absl::string_view key, bool value) {
  return Raw(key, value ? "true" : "false");
}

LogLine& LogLine::Field(absl::string_view key, double value) {
  return Raw(key, absl::StrCat(value));
}

LogLine& LogLine::Field(absl::string_view key, absl::Duration value) {
  return Raw(key, FormatElapsed(value));
}

LogLine& LogLine::Field(absl::string_view key, absl::Time value) {
  return Raw(key, FormatTimestamp(value));
}

LogLine& LogLine::Field(absl::string_view key, const absl::Status& value) {
  if (!enabled_) return *this;
  const std::string reason = ReasonNameOf(value);
  return Field(key, absl::StrCat(absl::StatusCodeToString(value.code()), reason.empty() ? "" : " ",
                                 reason, value.message().empty() ? "" : ": ", value.message()));
}

LogLimiter::Passed LogLimiter::Pass() {
  const absl::Duration now = clock_.SteadyNow();
  absl::MutexLock lock(&mu_);
  if (now < next_) {
    ++suppressed_;
    return {};
  }
  next_ = now + period_;
  return {.passed = true, .suppressed = std::exchange(suppressed_, 0)};
}

}  // namespace cvtrain
