// cvctl: wiring only.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/call/verb.h"
#include "client/files/cli.h"
#include "client/files/interrupts.h"
#include "common/env.h"
#include "common/errors.h"
#include "common/private_folder.h"
#include "common/text.h"
#include "common/thread.h"

namespace cvtrain::client {
namespace {

TerminalSize SizeOfTerminal() {
  TerminalSize size;
  winsize window = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0) return size;
  if (window.ws_col > 0) size.columns = window.ws_col;
  if (window.ws_row > 0) size.rows = window.ws_row;
  return size;
}

// Ctrl-C a second time: whatever hangs, it ends.
void EndAtOnce() { std::_Exit(static_cast<int>(ExitCode::kDetached)); }

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

int PrintError(const absl::Status& status, bool json) {
  if (json) {
    std::cerr << ErrorJson(status);
    return static_cast<int>(ExitCodeFor(status));
  }
  std::cerr << "cvctl: ";
  for (absl::string_view line : absl::StrSplit(status.message(), '\n'))
    std::cerr << EscapeText(line) << '\n';
  return static_cast<int>(ExitCodeFor(status));
}

// A verb that ended well, and whose answer nobody got, has not ended well.
int CheckOutput(int code) {
  std::cout.flush();
  if (std::cout.good()) return code;
  std::cerr << "cvctl: standard output: could not be written, so part of the answer is missing; "
               "is the disk full?\n";
  return code == 0 ? static_cast<int>(ExitCode::kFailed) : code;
}

int Run(const std::vector<std::string>& arguments) {
  const std::vector<std::string> words = Canonical(arguments);
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    PrintHelp(words.empty() ? std::cerr : std::cout);
    return words.empty() ? static_cast<int>(ExitCode::kUsage) : CheckOutput(0);
  }
  const absl::StatusOr<std::unique_ptr<Interrupts>> interrupts = Interrupts::Create(EndAtOnce);
  const bool json = AsksForJson(words);
  if (!interrupts.ok()) return PrintError(interrupts.status(), json);
  const StopToken stop = (*interrupts)->token();
  const Cli cli{.out = std::cout,
                .err = std::cerr,
                .out_is_terminal = isatty(STDOUT_FILENO) != 0,
                .terminal_size = SizeOfTerminal,
                .files = PosixFileSystem(),
                .clock = RealClock(),
                .random = SystemRandom(),
                .env = GetEnv,
                .sleep = [stop](absl::Duration duration) { return !WaitForStop(stop, duration); },
                .stop = stop,
                .read_input =
                    [&interrupts](size_t size_bytes_max) {
                      return (*interrupts)->ReadAll(STDIN_FILENO, size_bytes_max);
                    },
                .program = ProgramPath(),
                .check_private_folder = CheckPrivateFolder};
  std::vector<std::string> names;
  for (const Verb& verb : Verbs()) {
    names.push_back(verb.name);
    if (words[0] != verb.name) continue;
    const absl::StatusOr<ExitCode> code = verb.run(cli, {words.begin() + 1, words.end()});
    std::cout.flush();  // what was found out comes before what went wrong
    return CheckOutput(code.ok() ? static_cast<int>(*code) : PrintError(code.status(), json));
  }
  return PrintError(
      InvalidArgument(Reason::kUsage, absl::StrCat("unknown verb ", words[0],
                                                   DidYouMean(NearestNames(words[0], names)),
                                                   "; `cvctl help` lists them")),
      json);
}

}  // namespace
}  // namespace cvtrain::client

int main(int argc, char** argv) { return cvtrain::client::Run({argv + 1, argv + argc}); }
