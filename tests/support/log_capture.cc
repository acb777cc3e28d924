#include "tests/support/log_capture.h"

#include "absl/strings/match.h"

namespace cvtrain::testing {

LogCapture::LogCapture() : previous_level_(GetLogLevel()) {
  SetLogLevel(LogLevel::kDebug);
  previous_ = SetLogSink([this](const LogRecord& record) {
    absl::MutexLock lock(&mu_);
    records_.push_back(record);
  });
}

LogCapture::~LogCapture() {
  SetLogSink(previous_);
  SetLogLevel(previous_level_);
}

std::vector<LogRecord> LogCapture::records() const {
  absl::MutexLock lock(&mu_);
  return records_;
}

std::vector<std::string> LogCapture::lines() const {
  std::vector<std::string> lines;
  for (const LogRecord& record : records()) {
    const std::string line = FormatLogRecord(record);
    lines.push_back(line.substr(line.find(' ') + 1));
  }
  return lines;
}

bool LogCapture::Contains(absl::string_view text) const {
  for (const std::string& line : lines()) {
    if (absl::StrContains(line, text)) return true;
  }
  return false;
}

}  // namespace cvtrain::testing
