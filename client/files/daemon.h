#ifndef CVTRAIN_CLIENT_FILES_DAEMON_H_
#define CVTRAIN_CLIENT_FILES_DAEMON_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/file_system.h"

// Programs that go on after cvctl has ended: started with their output in
// `<directory>/<name>.log` and their process id in `<directory>/<name>.pid`.
namespace cvtrain::client {

struct Daemon {
  std::string name;
  std::vector<std::string> argv;
  std::string directory;
};

std::string LogPath(const Daemon& daemon);

// The last lines of its log, escaped, for messages.
std::string LogEnd(FileSystem& files, const Daemon& daemon);

// Its process id, or nothing if it does not run. A process that got the number
// of a dead daemon is told apart by its command line.
absl::StatusOr<std::optional<pid_t>> RunningPid(FileSystem& files, const Daemon& daemon);

// Starts it in a session of its own. NOT_FOUND (FILE_NOT_FOUND) if the program
// is not there.
absl::StatusOr<pid_t> StartDaemon(FileSystem& files, const Daemon& daemon);

// Sends a signal. OK if the process is gone.
absl::Status SignalDaemon(pid_t pid, int signal);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_DAEMON_H_
