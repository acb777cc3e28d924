#ifndef CVTRAIN_CLIENT_FILES_CLI_H_
#define CVTRAIN_CLIENT_FILES_CLI_H_

#include <functional>
#include <optional>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/random.h"

namespace cvtrain::client {

// What cvctl exits with; scripts depend on these numbers.
enum class ExitCode {
  kDone = 0,
  kFailed = 1,   // the job failed, or anything without a number of its own
  kUsage = 2,    // the command line
  kInvalid = 3,  // validation refused
  kNotFound = 4,
  kDenied = 5,
  kUnreachable = 6,  // no coordinator answers
  kConflict = 7,     // exists, wrong state, stale etag
  kTimeout = 8,      // `wait` ran out of time
  kDetached = 130,   // Ctrl-C; the job goes on
};

// The exit code of an error.
ExitCode ExitCodeFor(const absl::Status& status);

// Everything of the outside world that a verb touches. All references must
// outlive it. Thread-compatible.
struct Cli {
  std::ostream& out;
  std::ostream& err;
  // `out` is a terminal: colours and live views make sense.
  bool out_is_terminal = false;
  // Columns of the terminal.
  int columns = 100;
  FileSystem& files;
  const Clock& clock;
  Random& random;
  std::function<std::optional<std::string>(const std::string&)> env;
  // Waits; returns false as soon as Ctrl-C was pressed.
  std::function<bool(absl::Duration)> sleep;
  // Path of this program, to find those beside it.
  std::string program;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_CLI_H_
