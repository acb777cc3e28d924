#include "common/unix_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/posix_error.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

constexpr size_t kHeaderSizeBytes = 4;
constexpr int kBacklog = 128;

absl::Status PeerGone() {
  return Unavailable(Reason::kPeerGone, "the other end of the socket is closed");
}

absl::Status Late(absl::string_view what) {
  return DeadlineExceeded(Reason::kDeadline, absl::StrCat(what, " in time"));
}

std::array<char, kHeaderSizeBytes> EncodeSize(size_t size) {
  return {static_cast<char>(size), static_cast<char>(size >> 8), static_cast<char>(size >> 16),
          static_cast<char>(size >> 24)};
}

size_t DecodeSize(const char* header) {
  size_t size = 0;
  for (size_t i = 0; i < kHeaderSizeBytes; ++i) {
    size |= static_cast<size_t>(static_cast<uint8_t>(header[i])) << (8 * i);
  }
  return size;
}

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > limits::kSocketPathSizeBytesMax ||
      path.find('\0') != std::string::npos) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("socket path: must have 1 to ", limits::kSocketPathSizeBytesMax,
                     " bytes, got ", path.size(), ": ", path, "; use a shorter directory"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Waits until `events` or an error on `fd`; false if the time is over.
absl::StatusOr<bool> WaitFor(int fd, short events, absl::Time deadline) {
  while (true) {
    pollfd item = {.fd = fd, .events = events, .revents = 0};
    int timeout = -1;
    if (deadline != absl::InfiniteFuture()) {
      const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
      // Rounded up: not awake a little too early, again and again.
      timeout = static_cast<int>(
          std::min<int64_t>(absl::ToInt64Milliseconds(left + absl::Microseconds(999)), 1 << 30));
    }
    const int ready = ::poll(&item, 1, timeout);
    if (ready > 0) return true;
    if (ready == 0 && absl::Now() >= deadline) return false;
    if (ready < 0 && errno != EINTR) return ErrnoToStatus(errno, "waiting for a socket");
  }
}

void TakeDescriptors(const msghdr& message, std::vector<UniqueFd>& descriptors) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
}

absl::StatusOr<UniqueFd> NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "creating a socket");
  return fd;
}

}  // namespace

UnixConnection::UnixConnection(UniqueFd fd) : fd_(std::move(fd)) {
  CVT_CHECK(fd_.valid());
  CVT_CHECK(::fcntl(fd_.get(), F_SETFD, FD_CLOEXEC) == 0);
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  CVT_CHECK(flags >= 0 && ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) == 0);
}

UnixConnection::~UnixConnection() = default;

absl::StatusOr<std::unique_ptr<UnixConnection>> UnixConnection::Connect(const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  CVT_ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT || errno == EAGAIN) {
      return Unavailable(Reason::kServerUnreachable,
                         absl::StrCat(path, ": nobody listens on this socket"));
    }
    return ErrnoToStatus(errno, "connecting to", path);
  }
  return std::make_unique<UnixConnection>(std::move(fd));
}

absl::StatusOr<std::pair<std::unique_ptr<UnixConnection>, std::unique_ptr<UnixConnection>>>
UnixConnection::Pair() {
  int fds[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return ErrnoToStatus(errno, "creating a pair of sockets");
  }
  return std::make_pair(std::make_unique<UnixConnection>(UniqueFd(fds[0])),
                        std::make_unique<UnixConnection>(UniqueFd(fds[1])));
}

absl::Status UnixConnection::Send(absl::string_view bytes, absl::Span<const int> descriptors,
                                  absl::Duration timeout) {
  if (bytes.size() > limits::kMessageSizeBytesMax) {
    return LimitExceeded("message_size_bytes_max",
                         absl::StrCat("a frame has at most ", limits::kMessageSizeBytesMax,
                                      " bytes, got ", bytes.size()));
  }
  if (descriptors.size() > limits::kDescriptorsPerFrameMax) {
    return LimitExceeded("descriptors_per_frame_max",
                         absl::StrCat("a frame carries at most ", limits::kDescriptorsPerFrameMax,
                                      " descriptors, got ", descriptors.size()));
  }
  absl::MutexLock lock(&send_mu_);
  return SendAll(bytes, descriptors, absl::Now() + timeout);
}

absl::Status UnixConnection::SendAll(absl::string_view bytes, absl::Span<const int> descriptors,
                                     absl::Time deadline) {
  std::array<char, kHeaderSizeBytes> header = EncodeSize(bytes.size());
  const size_t total = header.size() + bytes.size();
  size_t sent = 0;
  while (sent < total) {
    iovec parts[2];
    size_t part_count = 0;
    if (sent < header.size()) {
      parts[part_count++] = {header.data() + sent, header.size() - sent};
    }
    const size_t from = sent < header.size() ? 0 : sent - header.size();
    if (from < bytes.size()) {
      parts[part_count++] = {const_cast<char*>(bytes.data()) + from, bytes.size() - from};
    }
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = part_count;
    alignas(cmsghdr) char control[CMSG_SPACE(limits::kDescriptorsPerFrameMax * sizeof(int))] = {};
    if (sent == 0 && !descriptors.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
      std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
    }
    const ssize_t written = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (written >= 0) {
      sent += static_cast<size_t>(written);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return PeerGone();
    if (errno != EAGAIN) return ErrnoToStatus(errno, "sending on a socket");
    CVT_ASSIGN_OR_RETURN(const bool ready, WaitFor(fd_.get(), POLLOUT, deadline));
    if (!ready) {
      // Half a frame can never be completed by a later call.
      if (sent > 0) Shutdown();
      return Late("the other end made no room for a frame");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> UnixConnection::ReadMore() {
  // The header is read alone, and descriptors come with its first byte: so they can
  // only belong to this frame.
  while (true) {
    const bool in_header = header_size_ < kHeaderSizeBytes;
    if (!in_header && body_size_ == frame_.bytes.size()) return true;
    iovec part = in_header
                     ? iovec{header_ + header_size_, kHeaderSizeBytes - header_size_}
                     : iovec{frame_.bytes.data() + body_size_, frame_.bytes.size() - body_size_};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(limits::kDescriptorsPerFrameMax * sizeof(int))] = {};
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return false;
      if (errno == ECONNRESET) return PeerGone();
      return ErrnoToStatus(errno, "receiving from a socket");
    }
    TakeDescriptors(message, frame_.descriptors);
    if ((message.msg_flags & MSG_CTRUNC) != 0 ||
        frame_.descriptors.size() > limits::kDescriptorsPerFrameMax) {
      Shutdown();
      return DataLoss(Reason::kFrameBad, "descriptors of a frame were lost");
    }
    if (got == 0) {
      if (header_size_ == 0) return PeerGone();
      return DataLoss(Reason::kFrameBad, "the socket was closed in the middle of a frame");
    }
    if (!in_header) {
      body_size_ += static_cast<size_t>(got);
      continue;
    }
    header_size_ += static_cast<size_t>(got);
    if (header_size_ < kHeaderSizeBytes) continue;
    const size_t size = DecodeSize(header_);
    if (size > limits::kMessageSizeBytesMax) {
      Shutdown();
      return DataLoss(Reason::kFrameBad,
                      absl::StrCat("a frame of ", size, " bytes was announced; at most ",
                                   limits::kMessageSizeBytesMax, " are allowed"));
    }
    frame_.bytes.resize(size);
  }
}

absl::StatusOr<std::optional<Frame>> UnixConnection::TryReceive() {
  CVT_ASSIGN_OR_RETURN(const bool whole, ReadMore());
  if (!whole) return std::nullopt;
  header_size_ = 0;
  body_size_ = 0;
  return std::exchange(frame_, Frame());
}

absl::StatusOr<Frame> UnixConnection::Receive(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    CVT_ASSIGN_OR_RETURN(std::optional<Frame> frame, TryReceive());
    if (frame.has_value()) return *std::move(frame);
    CVT_ASSIGN_OR_RETURN(const bool ready, WaitFor(fd_.get(), POLLIN, deadline));
    if (!ready) return Late("no frame came");
  }
}

void UnixConnection::Shutdown() { ::shutdown(fd_.get(), SHUT_RDWR); }

absl::StatusOr<PeerCredentials> UnixConnection::Peer() const {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return ErrnoToStatus(errno, "asking for the peer of a socket");
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Bind(const std::string& path) {
  CVT_ASSIGN_OR_RETURN(const sockaddr_un address, Address(path));
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return AlreadyExists(Reason::kFileExists,
                           absl::StrCat(path,
                                        ": something that is no socket is there; remove it "
                                        "or choose another path"));
    }
    const auto other = UnixConnection::Connect(path);
    if (other.ok()) {
      const absl::StatusOr<PeerCredentials> peer = (*other)->Peer();
      return FailedPrecondition(
          Reason::kSocketBusy,
          absl::StrCat(path, ": ", peer.ok() ? absl::StrCat("process ", peer->pid) : "a process",
                       " listens on this socket; stop it, or choose another path"));
    }
    if (ReasonOf(other.status()) != Reason::kServerUnreachable) return other.status();
    // Left behind by a process that is gone.
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoToStatus(errno, "removing the old socket", path);
    }
  }
  CVT_ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  // On Linux the file gets the mode of the socket's inode: nobody else can connect, at
  // no moment.
  if (::fchmod(fd.get(), 0600) != 0) return ErrnoToStatus(errno, "protecting", path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoToStatus(errno, "binding", path);
  }
  if (::listen(fd.get(), kBacklog) != 0) return ErrnoToStatus(errno, "listening on", path);
  return std::unique_ptr<UnixListener>(new UnixListener(std::move(fd), path));
}

UnixListener::~UnixListener() { ::unlink(path_.c_str()); }

absl::StatusOr<std::unique_ptr<UnixConnection>> UnixListener::Accept(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.valid()) return std::make_unique<UnixConnection>(std::move(fd));
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) return ErrnoToStatus(errno, "accepting on", path_);
    CVT_ASSIGN_OR_RETURN(const bool ready, WaitFor(fd_.get(), POLLIN, deadline));
    if (!ready) return Late(absl::StrCat(path_, ": nobody connected"));
  }
}

}  // namespace cvtrain
