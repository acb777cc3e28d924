#include "worker/agent/supervise/line_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/errors.h"
#include "common/limits.h"

namespace cvtrain::worker {
namespace {

// Per call; the rest waits in the pipe.
constexpr int kReadsMax = 4;

}  // namespace

absl::StatusOr<UniqueFd> LineReader::Open() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return LimitExceeded("file_descriptors", "no descriptor left for the output of a trainer");
  }
  fd_.Reset(ends[0]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  partial_.clear();
  cut_ = false;
  last_.clear();
  return UniqueFd(ends[1]);
}

std::vector<std::string> LineReader::Read(absl::Duration now) {
  std::vector<std::string> lines;
  for (int i = 0; i < kReadsMax && fd_.valid(); ++i) {
    char buffer[16384];
    const ssize_t size = ::read(fd_.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) {
      fd_.Reset();
      if (!partial_.empty()) TakeLine(std::exchange(partial_, {}), now, lines);
      break;
    }
    for (ssize_t at = 0; at < size; ++at) {
      const char c = buffer[at];
      if (c == '\n') {
        TakeLine(std::exchange(partial_, {}), now, lines);
        cut_ = false;
      } else if (!cut_) {
        partial_.push_back(c);
        cut_ = partial_.size() >= limits::kLogLineSizeBytesMax;
      }
    }
  }
  return lines;
}

void LineReader::TakeLine(std::string line, absl::Duration now, std::vector<std::string>& lines) {
  if (line.empty()) return;
  last_.push_back(line);
  if (last_.size() > kLastLines) last_.pop_front();
  if (now - window_ >= absl::Seconds(1)) {
    window_ = now;
    in_window_ = 0;
    if (left_out_ > 0) {
      lines.push_back(absl::StrCat("(", std::exchange(left_out_, 0), " lines left out)"));
    }
  }
  if (++in_window_ > kLinesPerSecond) {
    ++left_out_;
    return;
  }
  lines.push_back(std::move(line));
}

std::string LineReader::LastLines() const { return absl::StrJoin(last_, "\n"); }

}  // namespace cvtrain::worker
