#ifndef CVTRAIN_CLIENT_CALL_VERB_H_
#define CVTRAIN_CLIENT_CALL_VERB_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/call/connection.h"
#include "client/files/cli.h"
#include "client/view/show.h"
#include "common/flags.h"

// A verb of cvctl: one file each, and one line in verbs.cc.
namespace cvtrain::client {

using Arguments = std::vector<std::string>;

// Runs a verb with what followed it on the command line. Returns the exit code;
// an error is printed by the caller and turned into one.
using VerbFunction = absl::StatusOr<ExitCode> (*)(const Cli& cli, const Arguments& arguments);

struct Verb {
  const char* name;
  const char* summary;
  VerbFunction run;
};

// All verbs, in the order of `cvctl help`.
absl::Span<const Verb> Verbs();

// Flags that verbs that talk to a coordinator share. Precedence: flag, then
// CVCTL_* in the environment, then the context file, then the local default.
struct GlobalOptions {
  std::string server;
  std::string context;
  TlsFiles tls;
  absl::Duration timeout = absl::Seconds(30);
  std::string output = "table";
  bool no_headers = false;
  std::string color = "auto";

  // Declares the flags of a connection; with `with_output`, -o and --no-headers, too.
  // `flags` must outlive the use of this.
  void Declare(FlagSet& flags, bool with_output = true);

  bool TimeoutGiven() const { return flags != nullptr && flags->WasGiven("timeout"); }

  const FlagSet* flags = nullptr;
};

// Connects as `options` say. INVALID_ARGUMENT (USAGE) for a bad address.
absl::StatusOr<std::unique_ptr<Connection>> Connect(const Cli& cli, const GlobalOptions& options);

// Parses `arguments`; after --help it has printed the help and returns true.
absl::StatusOr<bool> ParseFlags(const Cli& cli, FlagSet& flags, const Arguments& arguments,
                                std::vector<std::string>& positional);

// INVALID_ARGUMENT (USAGE) unless there are `min` to `max` arguments.
absl::Status CheckCount(const std::vector<std::string>& positional, size_t min, size_t max,
                        const std::string& what);

// A verb of a noun: `ls` of `cvctl ckpt ls`.
struct Subcommand {
  const char* name;
  const char* summary;
  VerbFunction run;
};

// Runs the one that the first argument names (`list` is `ls`) with the others. After
// --help it prints them all. INVALID_ARGUMENT (USAGE) without one of this name.
absl::StatusOr<ExitCode> RunSubcommand(const Cli& cli, const std::string& noun,
                                       absl::Span<const Subcommand> subcommands,
                                       const Arguments& arguments);

// `arguments` behind `first`; and with a bare first name made one of `kind`.
Arguments WithFirst(const std::string& first, Arguments arguments);
Arguments WithKind(const std::string& kind, Arguments arguments);

// The UUID of --request-id, or a new one if `given` is empty. INVALID_ARGUMENT
// (USAGE) if it is none: what a request id names must not be up to its spelling.
absl::StatusOr<std::string> RequestIdOf(const Cli& cli, const std::string& given);

// The command that repeats `arguments` of `verb` as the same request, quoted for a
// shell.
std::string RepeatCommand(const std::string& verb, const Arguments& arguments,
                          const std::string& request_id);

// True if a command line asks for JSON, whatever else is wrong with it: its errors are
// JSON, too.
bool AsksForJson(const Arguments& arguments);

bool UseColor(const Cli& cli, const GlobalOptions& options);

// Prints a resource or a list as JSON or YAML. Call only for those formats.
void PrintMessage(const Cli& cli, OutputFormat format, const google::protobuf::Message& message);

// The experiment of "exp/12", "12" or a resource name.
absl::StatusOr<std::string> ExperimentNameOf(const std::string& text);
// The trial of "trial/12.3" or "12.3".
absl::StatusOr<std::string> TrialNameOf(const std::string& text);
// The worker of "worker/gpu-a" or "gpu-a".
absl::StatusOr<std::string> WorkerNameOf(const std::string& text);
// The version of "dataset/trashnet@2", or the newest of "trashnet".
absl::StatusOr<std::string> DatasetVersionNameOf(const std::string& text);
// The checkpoint of a UUID or of its first digits.
absl::StatusOr<std::string> CheckpointNameOf(Connection& connection, const std::string& text);

// Follows an experiment until it ends, or Ctrl-C: prints how to come back, and
// returns kDetached. Ends with the ranking of the trials. kFailed if it failed.
// Goes on through outages of the coordinator.
absl::StatusOr<ExitCode> Follow(const Cli& cli, Connection& connection,
                                const GlobalOptions& options, const std::string& experiment);

struct WaitOptions {
  bool running = false;                               // or ended
  absl::Duration timeout = absl::InfiniteDuration();  // of the whole wait
  bool print = true;                                  // a line for each that has got there
};

// Waits until experiments and trials have ended (or run). kFailed if one failed,
// kDetached after Ctrl-C, DEADLINE_EXCEEDED (DEADLINE) when `timeout` has passed.
// Goes on through outages of the coordinator.
absl::StatusOr<ExitCode> WaitFor(const Cli& cli, Connection& connection,
                                 const std::vector<std::string>& ids, const WaitOptions& options);

// How long a call of a verb that looks again and again may take: an outage is
// noticed as soon as that.
inline constexpr absl::Duration kLookTimeout = absl::Seconds(5);

// Says once per outage that the coordinator is away, on the error stream.
class OutageNotice {
 public:
  explicit OutageNotice(const Cli& cli) : cli_(cli) {}
  // Call after each look with how it went.
  void Note(const absl::Status& status);

 private:
  const Cli& cli_;
  bool said_ = false;
};

// --- The verbs -----------------------------------------------------------------

absl::StatusOr<ExitCode> RunQueue(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunExplain(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunHold(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunRelease(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunCancel(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunCkpt(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunCompletion(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunDataset(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunDescribe(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunGet(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunLocal(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunLogs(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunMetrics(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunSimulate(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunSubmit(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunVersion(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWait(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWatch(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWorker(const Cli& cli, const Arguments& arguments);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_VERB_H_
