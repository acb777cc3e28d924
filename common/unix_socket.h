#ifndef CVTRAIN_COMMON_UNIX_SOCKET_H_
#define CVTRAIN_COMMON_UNIX_SOCKET_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/unique_fd.h"

// Framed messages and file descriptors between processes of one machine.
//
// A frame is a length (4 bytes, little-endian) and so many bytes, at most
// limits::kMessageSizeBytesMax. Descriptors travel as SCM_RIGHTS beside the first
// byte of their frame, at most limits::kDescriptorsPerFrameMax; they arrive
// close-on-exec.
namespace cvtrain {

struct Frame {
  std::string bytes;
  std::vector<UniqueFd> descriptors;
};

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// One end of a connection. Send() may be called by any thread; Receive() and
// TryReceive() by one thread at a time, which may be another one. Shutdown() may be
// called by any thread and wakes both.
class UnixConnection {
 public:
  // Takes a connected stream socket, for example one that was inherited; makes it
  // non-blocking and close-on-exec.
  explicit UnixConnection(UniqueFd fd);
  ~UnixConnection();

  // Connects to a listening socket.
  // UNAVAILABLE (SERVER_UNREACHABLE)  nobody listens there, or the queue is full
  // PERMISSION_DENIED (FILE_FORBIDDEN) not our socket
  // INVALID_ARGUMENT (FIELD_INVALID)   the path is too long for a socket
  static absl::StatusOr<std::unique_ptr<UnixConnection>> Connect(const std::string& path);

  // Two connected ends, for a child process or a test.
  static absl::StatusOr<std::pair<std::unique_ptr<UnixConnection>, std::unique_ptr<UnixConnection>>>
  Pair();

  // Sends one frame whole; waits for the peer to make room. `descriptors` stay ours.
  // UNAVAILABLE (PEER_GONE)          the other end is closed
  // DEADLINE_EXCEEDED (DEADLINE)     no room in time; if part of the frame is out, the
  //                                  connection is shut down
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) frame too long or too many descriptors; nothing sent
  absl::Status Send(absl::string_view bytes, absl::Span<const int> descriptors = {},
                    absl::Duration timeout = absl::Seconds(30)) ABSL_LOCKS_EXCLUDED(send_mu_);

  // Waits for the next frame.
  // UNAVAILABLE (PEER_GONE)       the other end closed, or Shutdown() was called
  // DEADLINE_EXCEEDED (DEADLINE)  no whole frame in time; what came is kept for the next call
  // DATA_LOSS (FRAME_BAD)         a length above the limit, descriptors lost, or an end in
  //                               mid-frame; the connection is of no more use
  absl::StatusOr<Frame> Receive(absl::Duration timeout = absl::InfiniteDuration());

  // The next frame if all of it is here, else nothing, without waiting: for owners of a
  // poll() loop. Call it until it returns nothing. Errors as of Receive().
  absl::StatusOr<std::optional<Frame>> TryReceive();

  // Ends both directions; pending and later calls return PEER_GONE.
  void Shutdown();

  // Who created the other end.
  absl::StatusOr<PeerCredentials> Peer() const;

  // For poll(); stays owned by this.
  int fd() const { return fd_.get(); }

 private:
  absl::Status SendAll(absl::string_view bytes, absl::Span<const int> descriptors,
                       absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(send_mu_);
  // Reads what is here into the frame under construction; true if it is whole.
  absl::StatusOr<bool> ReadMore();

  // Constant after construction.
  const UniqueFd fd_;

  absl::Mutex send_mu_;

  // Owned by the receiving thread.
  char header_[4] = {};
  size_t header_size_ = 0;  // bytes of header_ that have come
  size_t body_size_ = 0;    // bytes of frame_.bytes that have come
  Frame frame_;
};

// Accepts connections on a path. Thread-compatible; fd() is for poll().
class UnixListener {
 public:
  // Binds `path` with permissions 0600. A socket file whose process is gone is
  // replaced.
  // FAILED_PRECONDITION (SOCKET_BUSY)  a process listens there; the message names it
  // ALREADY_EXISTS (FILE_EXISTS)       something that is no socket is there
  // NOT_FOUND (FILE_NOT_FOUND)         no such directory
  // INVALID_ARGUMENT (FIELD_INVALID)   the path is too long for a socket
  static absl::StatusOr<std::unique_ptr<UnixListener>> Bind(const std::string& path);

  // Removes the socket file.
  ~UnixListener();

  // Waits for a connection; DEADLINE_EXCEEDED (DEADLINE) if none came in time.
  absl::StatusOr<std::unique_ptr<UnixConnection>> Accept(absl::Duration timeout);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  UnixListener(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  const UniqueFd fd_;
  const std::string path_;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_UNIX_SOCKET_H_
