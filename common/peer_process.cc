#include "common/peer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/posix_error.h"

namespace cvtrain {
namespace {

// The beginning of a small file, or of what a link says; empty if it cannot be read.
std::string ReadWord(const char* path) {
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  std::array<char, 128> buffer;
  const ssize_t size = file.valid() ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  return size <= 0 ? std::string()
                   : std::string(absl::StripAsciiWhitespace(
                         absl::string_view(buffer.data(), static_cast<size_t>(size))));
}

std::string ReadLink(const char* path) {
  std::array<char, 128> buffer;
  const ssize_t size = ::readlink(path, buffer.data(), buffer.size());
  return size <= 0 ? std::string() : std::string(buffer.data(), static_cast<size_t>(size));
}

}  // namespace

std::string PeerProcess::Place() {
  const std::string boot = ReadWord("/proc/sys/kernel/random/boot_id");
  const std::string processes = ReadLink("/proc/self/ns/pid");
  const std::string place = absl::StrCat(boot, " ", processes, " uid:", ::geteuid());
  return boot.empty() || processes.empty() ? absl::StrCat(place, " unknown:", ::getpid()) : place;
}

pid_t PeerProcess::Self() { return ::getpid(); }

absl::StatusOr<PeerProcess> PeerProcess::Open(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd.valid()) return PeerProcess(pid, std::move(pidfd));
  if (errno == ESRCH) return NotFound(Reason::kUnknownName, absl::StrCat("no process ", pid));
  return ErrnoToStatus(errno, "watching process", absl::StrCat(pid));
}

bool PeerProcess::HasEnded() const {
  pollfd item = {.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&item, 1, 0) == 1;
}

absl::StatusOr<UniqueFd> PeerProcess::OpenFile(int fd) const {
  const std::string path = absl::StrCat("/proc/", pid_, "/fd/", fd);
  // Whatever it is, opening it must do nothing to us.
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  const int error = errno;
  // Its number may be another process's by now.
  if (HasEnded())
    return NotFound(Reason::kUnknownName, absl::StrCat("process ", pid_, " has ended"));
  if (!file.valid()) return ErrnoToStatus(error, "opening", path);
  return file;
}

}  // namespace cvtrain
