#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_LINE_READER_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_LINE_READER_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/unique_fd.h"

namespace cvtrain::worker {

// Reads what a child process prints, line by line, without ever waiting. Bounded: a line
// is cut at limits::kLogLineSizeBytesMax, and past kLinesPerSecond lines are only counted.
// Text is as the child wrote it. Thread-compatible.
class LineReader {
 public:
  static constexpr int kLinesPerSecond = 200;
  // Lines that LastLines() remembers.
  static constexpr size_t kLastLines = 5;

  // Begins with a new pipe and returns its writing end, for the child.
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if no descriptor is left.
  absl::StatusOr<UniqueFd> Open();

  // Lines that have come; at the end of the pipe, also the last one without its newline.
  // "(N lines left out)" stands for what was too much.
  std::vector<std::string> Read(absl::Duration now);

  // For poll(); -1 when closed.
  int fd() const { return fd_.get(); }

  // The last few lines since Open(), for the message of a crash.
  std::string LastLines() const;

 private:
  void TakeLine(std::string line, absl::Duration now, std::vector<std::string>& lines);

  UniqueFd fd_;
  std::string partial_;
  bool cut_ = false;  // the rest of the line under construction is skipped
  std::deque<std::string> last_;
  absl::Duration window_ = -absl::InfiniteDuration();
  int in_window_ = 0;
  int64_t left_out_ = 0;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_LINE_READER_H_
