#ifndef CVTRAIN_COMMON_PEER_PROCESS_H_
#define CVTRAIN_COMMON_PEER_PROCESS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace cvtrain {

// Another process of this machine that is not our child, and works with us. Movable. Thread-safe.
class PeerProcess {
 public:
  // Equal in two processes that can be each other's peers: same boot of the same machine, same
  // namespace of process ids, same user. Where the machine does not say, equal to no other's.
  static std::string Place();

  static pid_t Self();

  // Returns NOT_FOUND (UNKNOWN_NAME) if there is no such process.
  static absl::StatusOr<PeerProcess> Open(pid_t pid);

  pid_t pid() const { return pid_; }

  // Whether it has ended, reaped or not; a process id that is used again does not confuse it.
  bool HasEnded() const;

  // What it has open as `fd`, opened anew. Returns an error of the file system if it may not be,
  // and NOT_FOUND (UNKNOWN_NAME) if the process has ended.
  absl::StatusOr<UniqueFd> OpenFile(int fd) const;

 private:
  PeerProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  UniqueFd pidfd_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_PEER_PROCESS_H_
