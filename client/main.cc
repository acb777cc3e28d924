// cvctl: wiring only.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/call/verb.h"
#include "client/files/cli.h"
#include "common/env.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

// Ctrl-C ends a wait instead of the program, so that a view can say good-bye.
int OpenInterrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

bool SleepUnlessInterrupted(int interrupts, absl::Duration duration) {
  pollfd wait = {.fd = interrupts, .events = POLLIN, .revents = 0};
  return poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(duration))) == 0;
}

int TerminalColumns() {
  winsize size = {};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

std::string ProgramPath() {
  std::string path(4096, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return path;
}

void PrintHelp(std::ostream& out) {
  out << "cvctl: experiments, sweeps and curricula on a cvtrain cluster\n\n"
         "usage: cvctl VERB [arguments] [flags]; `cvctl VERB --help` says more\n\n";
  for (const Verb& verb : Verbs()) out << absl::StrFormat("  %-11s %s\n", verb.name, verb.summary);
  out << "\nIDs: exp/12, trial/12.3, ckpt/9f3c, worker/NAME, dataset/NAME. Exit codes: 0 done, 1 "
         "the job\n"
         "failed, 2 usage, 3 refused, 4 not found, 5 denied, 6 unreachable, 7 conflict, 8 "
         "time-out,\n"
         "130 detached.\n";
}

// Other spellings: `cvctl list exp`, `cvctl exp list`, `cvctl ps`.
std::vector<std::string> Canonical(std::vector<std::string> words) {
  if (words.empty()) return words;
  if (words[0] == "list" || words[0] == "ls") words[0] = "get";
  if (words[0] == "ps") words = {"get", "trial", "--active"};
  const bool noun = words[0] == "exp" || words[0] == "experiment" || words[0] == "trial";
  if (noun && words.size() >= 2) {
    const std::string kind = words[0];
    words.erase(words.begin());
    if (words[0] == "list" || words[0] == "ls" || words[0] == "get") {
      words[0] = "get";
      words.insert(words.begin() + 1, kind);
    }
  }
  return words;
}

int PrintError(const absl::Status& status) {
  std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  std::cerr << "cvctl: ";
  for (const std::string& line : lines) std::cerr << EscapeText(line) << '\n';
  return static_cast<int>(ExitCodeFor(status));
}

int Run(const std::vector<std::string>& arguments) {
  const std::vector<std::string> words = Canonical(arguments);
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    PrintHelp(words.empty() ? std::cerr : std::cout);
    return words.empty() ? static_cast<int>(ExitCode::kUsage) : 0;
  }
  const int interrupts = OpenInterrupts();
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  const Cli cli{
      .out = std::cout,
      .err = std::cerr,
      .out_is_terminal = terminal,
      .columns = terminal ? TerminalColumns() : 100,
      .files = PosixFileSystem(),
      .clock = RealClock(),
      .random = SystemRandom(),
      .env = GetEnv,
      .sleep = [interrupts](absl::Duration d) { return SleepUnlessInterrupted(interrupts, d); },
      .program = ProgramPath()};
  std::vector<std::string> names;
  for (const Verb& verb : Verbs()) {
    names.push_back(verb.name);
    if (words[0] != verb.name) continue;
    const absl::StatusOr<ExitCode> code = verb.run(cli, {words.begin() + 1, words.end()});
    std::cout.flush();
    return code.ok() ? static_cast<int>(*code) : PrintError(code.status());
  }
  return PrintError(InvalidArgument(
      Reason::kUsage,
      absl::StrCat("unknown verb ", words[0], DidYouMean(NearestNames(words[0], names)),
                   "; `cvctl help` lists them")));
}

}  // namespace
}  // namespace cvtrain::client

int main(int argc, char** argv) { return cvtrain::client::Run({argv + 1, argv + argc}); }
