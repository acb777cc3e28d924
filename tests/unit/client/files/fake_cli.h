#ifndef CVTRAIN_TESTS_UNIT_CLIENT_FILES_FAKE_CLI_H_
#define CVTRAIN_TESTS_UNIT_CLIENT_FILES_FAKE_CLI_H_

#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "client/files/cli.h"
#include "common/memory_file_system.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_random.h"

namespace cvtrain::client {

// The outside world of a verb of cvctl, in memory: what it prints, the files and the
// environment that it finds, and a clock that moves when it sleeps. Thread-compatible;
// Press() is thread-safe.
class FakeCli {
 public:
  // What a verb is called with; valid as long as this.
  Cli cli() {
    return {.out = out,
            .err = err,
            .out_is_terminal = false,
            .terminal_size = [] { return TerminalSize{}; },
            .files = files,
            .clock = clock,
            .random = random,
            .env = [this](const std::string& name) -> std::optional<std::string> {
              const auto found = env.find(name);
              return found == env.end() ? std::nullopt : std::optional(found->second);
            },
            .sleep = [this](absl::Duration duration) { return Sleep(duration); },
            .stop = stop_.get_token(),
            .read_input = [this](size_t size_bytes_max) -> absl::StatusOr<std::string> {
              return input.substr(0, size_bytes_max);
            },
            .program = "/bin/cvctl",
            .check_private_folder = {}};
  }

  // Ctrl-C.
  void Press() { stop_.request_stop(); }

  std::ostringstream out;
  std::ostringstream err;
  std::string input;
  std::map<std::string, std::string> env;
  testing::FakeClock clock;
  InMemoryFileSystem files{clock};
  testing::FakeRandom random{7};

  // How often it slept, and what happens then.
  int sleeps = 0;
  std::function<void(int sleeps)> on_sleep;

 private:
  bool Sleep(absl::Duration duration) {
    ++sleeps;
    if (on_sleep) on_sleep(sleeps);
    clock.Advance(duration);
    return !stop_.stop_requested();
  }

  StopSource stop_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_TESTS_UNIT_CLIENT_FILES_FAKE_CLI_H_
