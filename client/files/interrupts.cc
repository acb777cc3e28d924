#include "client/files/interrupts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/files/cli.h"
#include "common/errors.h"
#include "common/posix_error.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<Interrupts>> Interrupts::Create(std::function<void()> second) {
  CVT_ASSIGN_OR_RETURN(WakeFd pressed, WakeFd::Create());
  CVT_ASSIGN_OR_RETURN(WakeFd done, WakeFd::Create());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return ErrnoToStatus(errno, "opening", "signalfd");
  return std::unique_ptr<Interrupts>(
      new Interrupts(signals, std::move(pressed), std::move(done), std::move(second)));
}

Interrupts::Interrupts(int signals, WakeFd pressed, WakeFd done, std::function<void()> second)
    : signals_(signals),
      pressed_(std::move(pressed)),
      done_(std::move(done)),
      second_(std::move(second)),
      watcher_(
          std::make_unique<Thread>("interrupts", [this](const StopToken& end) { Watch(end); })) {}

Interrupts::~Interrupts() {
  watcher_->RequestStop();
  done_.Notify();
}

void Interrupts::Watch(const StopToken& end) {
  while (!end.stop_requested()) {
    pollfd wait[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                     {.fd = done_.fd(), .events = POLLIN, .revents = 0}};
    if (::poll(wait, 2, -1) < 0) continue;
    signalfd_siginfo info = {};
    if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
    if (stop_.stop_requested()) second_();
    pressed_.Notify();
    stop_.request_stop();
  }
}

absl::StatusOr<std::string> Interrupts::ReadAll(int descriptor, size_t size_bytes_max) const {
  std::string text;
  while (text.size() < size_bytes_max) {
    pollfd wait[] = {{.fd = descriptor, .events = POLLIN, .revents = 0},
                     {.fd = pressed_.fd(), .events = POLLIN, .revents = 0}};
    if (::poll(wait, 2, -1) < 0 && errno != EINTR)
      return ErrnoToStatus(errno, "reading", "standard input");
    if (stop_.stop_requested()) return Interrupted();
    if (wait[0].revents == 0) continue;
    std::string piece(std::min(kReadBytes, size_bytes_max - text.size()), '\0');
    const ssize_t got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoToStatus(errno, "reading", "standard input");
    if (got == 0) break;
    text.append(piece, 0, static_cast<size_t>(got));
  }
  return text;
}

}  // namespace cvtrain::client
