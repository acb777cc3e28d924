// cvctl wait ID...
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "common/errors.h"
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

}  // namespace

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

  const absl::Duration end = cli.clock.SteadyNow() + options.timeout;
  options.timeout = std::min(options.timeout, absl::Seconds(30));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  bool failed = false;
  for (const std::string& id : positional) {
    Standing standing;
    while (true) {
      const absl::StatusOr<Standing> now = StandingOf(*connection, id, wait_for == "running");
      if (!now.ok() && !absl::IsUnavailable(now.status())) return now.status();
      if (now.ok()) standing = *now;
      if (standing.there) break;
      if (cli.clock.SteadyNow() >= end) {
        return DeadlineExceeded(Reason::kDeadline,
                                absl::StrCat(standing.text.empty() ? id : standing.text,
                                             " when --timeout passed; it goes on"));
      }
      if (!cli.sleep(kPollPause)) {
        cli.err << "\ndetached; " << id << " goes on\n";
        return ExitCode::kDetached;
      }
    }
    cli.out << standing.text << '\n';
    failed = failed || standing.failed;
  }
  return failed ? ExitCode::kFailed : ExitCode::kDone;
}

}  // namespace cvtrain::client
