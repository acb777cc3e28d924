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
  // File that the program locks while it runs, with its process id: who holds it is
  // who does the work, whatever the pid file says.
  std::string lock_path;
};

std::string LogPath(const Daemon& daemon);

// The last lines of its log, escaped, for messages.
std::string LogEnd(FileSystem& files, const Daemon& daemon);

// Its process id, or nothing if it does not run: that of the pid file, or, if that
// was lost, of the lock file. A process that got the number of a dead daemon is told
// apart by its command line.
absl::StatusOr<std::optional<pid_t>> RunningPid(FileSystem& files, const Daemon& daemon);

// The process that holds the lock of the daemon's state; nothing if that has ended or
// there never was one.
absl::StatusOr<std::optional<pid_t>> LockHolder(FileSystem& files, const Daemon& daemon);

// Writes the pid file: of a daemon that runs and whose file was lost.
absl::Status WritePidFile(FileSystem& files, const Daemon& daemon, pid_t pid);

// Starts it in a session of its own. NOT_FOUND (FILE_NOT_FOUND) if the program
// is not there.
absl::StatusOr<pid_t> StartDaemon(FileSystem& files, const Daemon& daemon);

// Sends a signal. OK if the process is gone.
absl::Status SignalDaemon(pid_t pid, int signal);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_FILES_DAEMON_H_
