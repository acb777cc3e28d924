#ifndef CVTRAIN_CLIENT_FILES_CLI_H_
#define CVTRAIN_CLIENT_FILES_CLI_H_

#include <functional>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/random.h"
#include "common/thread.h"

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
  kTimeout = 8,      // --timeout passed
  kDetached = 130,   // Ctrl-C; the job goes on
};

// CANCELLED (STOPPING): what a verb that does not follow anything ends with after
// Ctrl-C.
absl::Status Interrupted();

// The exit code of an error.
ExitCode ExitCodeFor(const absl::Status& status);

// What a terminal holds, in characters.
struct TerminalSize {
  int rows = 24;
  int columns = 100;
};

// Everything of the outside world that a verb touches. All references must
// outlive it. Thread-compatible.
struct Cli {
  std::ostream& out;
  std::ostream& err;
  // `out` is a terminal: colours and live views make sense.
  bool out_is_terminal = false;
  // Of the terminal at this moment: windows are resized while a view runs.
  std::function<TerminalSize()> terminal_size;
  FileSystem& files;
  const Clock& clock;
  Random& random;
  std::function<std::optional<std::string>(const std::string&)> env;
  // Waits; returns false as soon as Ctrl-C was pressed.
  std::function<bool(absl::Duration)> sleep;
  // Requested by Ctrl-C: calls that are on their way are cancelled.
  StopToken stop;
  // Standard input to its end, at most so many bytes of it. CANCELLED (STOPPING)
  // as soon as Ctrl-C was pressed.
  std::function<absl::StatusOr<std::string>(size_t size_bytes_max)> read_input;
  // Path of this program, to find those beside it.
  std::string program;
  // CheckPrivateFolder(); unset where there are no other users.
  std::function<absl::Status(const std::string& path)> check_private_folder = {};
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_CLI_H_
