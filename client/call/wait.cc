// cvctl wait ID...
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kPollPause = absl::Milliseconds(250);

// How one thing that is waited for stands.
struct Standing {
  bool there = false;   // it has got where it was waited for
  bool failed = false;  // and that was a failure
  std::string text;     // "exp/12 SUCCEEDED"
};

absl::StatusOr<Standing> StandingOf(Connection& connection, const std::string& id, bool running) {
  Standing standing;
  const absl::StatusOr<std::string> trial_name = TrialNameOf(id);
  if (trial_name.ok()) {
    v1::GetTrialRequest request;
    request.set_name(*trial_name);
    CVT_ASSIGN_OR_RETURN(const auto response, connection.GetTrial(request));
    const v1::Trial& trial = response.trial();
    standing.there =
        HasEnded(trial.state()) || (running && trial.state() == v1::Trial::STATE_RUNNING);
    standing.failed = HasEnded(trial.state()) && trial.state() != v1::Trial::STATE_SUCCEEDED;
    standing.text = absl::StrCat(ShortName(trial.name()), " ", StateText(trial.state()));
    return standing;
  }
  v1::GetExperimentRequest request;
  CVT_ASSIGN_OR_RETURN(*request.mutable_name(), ExperimentNameOf(id));
  CVT_ASSIGN_OR_RETURN(const auto response, connection.GetExperiment(request));
  const v1::Experiment& experiment = response.experiment();
  standing.there = HasEnded(experiment.state()) || (running && experiment.trials().running() > 0);
  standing.failed =
      HasEnded(experiment.state()) && experiment.state() != v1::Experiment::STATE_SUCCEEDED;
  standing.text = absl::StrCat(ShortName(experiment.name()), " ", StateText(experiment.state()));
  return standing;
}

// One after the other: a look at each until it has got there.
absl::StatusOr<ExitCode> WaitForOne(const Cli& cli, Connection& connection, const std::string& id,
                                    const WaitOptions& options, absl::Duration end) {
  Standing standing;
  OutageNotice outage(cli);
  while (true) {
    const absl::StatusOr<Standing> now = StandingOf(connection, id, options.running);
    if (!now.ok() && !IsOutage(now.status())) return now.status();
    outage.Note(now.status());
    if (now.ok()) standing = *now;
    connection.LimitCalls(kLookTimeout);
    if (standing.there) break;
    if (cli.clock.SteadyNow() >= end) {
      return DeadlineExceeded(Reason::kDeadline,
                              absl::StrCat(standing.text.empty() ? id : standing.text,
                                           " when --timeout passed; it goes on"));
    }
    if (!cli.sleep(kPollPause)) return Interrupted();
  }
  if (options.print) cli.out << standing.text << '\n';
  return standing.failed ? ExitCode::kFailed : ExitCode::kDone;
}

}  // namespace

absl::StatusOr<ExitCode> WaitFor(const Cli& cli, Connection& connection,
                                 const std::vector<std::string>& ids, const WaitOptions& options) {
  const absl::Duration end = cli.clock.SteadyNow() + options.timeout;
  ExitCode worst = ExitCode::kDone;
  for (const std::string& id : ids) {
    const absl::StatusOr<ExitCode> code = WaitForOne(cli, connection, id, options, end);
    if (absl::IsCancelled(code.status())) {
      cli.err << "\ndetached; " << ShortName(id) << " goes on. `cvctl wait "
              << absl::StrJoin(ids, " ",
                               [](std::string* out, const std::string& one) {
                                 absl::StrAppend(out, ShortName(one));
                               })
              << "` comes back\n";
      return ExitCode::kDetached;
    }
    if (!code.ok()) return code;
    if (*code == ExitCode::kFailed) worst = ExitCode::kFailed;
  }
  return worst;
}

absl::StatusOr<ExitCode> RunWait(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  std::string wait_for = "done";
  FlagSet flags("cvctl wait EXP|TRIAL... [flags]",
                "Waits until all have ended. Exits 1 if one failed, 8 when --timeout passes.");
  flags.Choice("for", 0, &wait_for, {"done", "running"}, "what to wait for");
  options.timeout = absl::InfiniteDuration();
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "experiments or trials, such as exp/12"));

  const WaitOptions wait{.running = wait_for == "running", .timeout = options.timeout};
  options.timeout = std::min(options.timeout, limits::kRpcDeadlineDefault);
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  // Nobody should wait for what is not there, or for a coordinator that never was.
  for (const std::string& id : positional)
    CVT_RETURN_IF_ERROR(StandingOf(*connection, id, wait.running).status());
  return WaitFor(cli, *connection, positional, wait);
}

}  // namespace cvtrain::client
