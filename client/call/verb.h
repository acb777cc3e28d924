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
  void Declare(FlagSet& flags, bool with_output = true);
};

// Connects as `options` say. INVALID_ARGUMENT (USAGE) for a bad address.
absl::StatusOr<std::unique_ptr<Connection>> Connect(const Cli& cli, const GlobalOptions& options);

// Parses `arguments`; after --help it has printed the help and returns true.
absl::StatusOr<bool> ParseFlags(const Cli& cli, FlagSet& flags, const Arguments& arguments,
                                std::vector<std::string>& positional);

// INVALID_ARGUMENT (USAGE) unless there are `min` to `max` arguments.
absl::Status CheckCount(const std::vector<std::string>& positional, size_t min, size_t max,
                        const std::string& what);

bool UseColor(const Cli& cli, const GlobalOptions& options);

// Prints a resource or a list as JSON or YAML. Call only for those formats.
void PrintMessage(const Cli& cli, OutputFormat format, const google::protobuf::Message& message);

// The experiment of "exp/12", "12" or a resource name.
absl::StatusOr<std::string> ExperimentNameOf(const std::string& text);
// The trial of "trial/12.3" or "12.3".
absl::StatusOr<std::string> TrialNameOf(const std::string& text);
// The checkpoint of a UUID or of its first digits.
absl::StatusOr<std::string> CheckpointNameOf(Connection& connection, const std::string& text);

// Follows an experiment until it ends, or Ctrl-C: prints how to come back, and
// returns kDetached. Ends with the ranking of the trials. kFailed if it failed.
absl::StatusOr<ExitCode> Follow(const Cli& cli, Connection& connection,
                                const GlobalOptions& options, const std::string& experiment);

// --- The verbs -----------------------------------------------------------------

absl::StatusOr<ExitCode> RunCancel(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunCkpt(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunCompletion(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunDataset(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunDescribe(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunGet(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunLocal(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunLogs(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunMetrics(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunSubmit(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunVersion(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWait(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWatch(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> RunWorker(const Cli& cli, const Arguments& arguments);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_VERB_H_
