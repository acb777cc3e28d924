// cvctl watch ID, and `submit -f`.
#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "client/view/live.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kRefreshTerminal = absl::Milliseconds(500);
constexpr absl::Duration kRefreshPlain = absl::Seconds(1);

// One look at an experiment.
struct Look {
  v1::Experiment experiment;
  std::vector<v1::Trial> trials;
};

absl::StatusOr<Look> LookAt(Connection& connection, const std::string& name) {
  Look look;
  v1::GetExperimentRequest request;
  request.set_name(name);
  CVT_ASSIGN_OR_RETURN(v1::GetExperimentResponse response, connection.GetExperiment(request));
  look.experiment = std::move(*response.mutable_experiment());
  CVT_ASSIGN_OR_RETURN(look.trials, connection.AllTrials(name));
  return look;
}

ExitCode Detach(const Cli& cli, LiveView& view, const std::string& name) {
  view.Finish();
  cli.err << "\ndetached; " << ShortName(name) << " goes on. `cvctl watch " << ShortName(name)
          << "` comes back, `cvctl cancel " << ShortName(name) << "` ends it\n";
  return ExitCode::kDetached;
}

ExitCode ShowEnd(const Cli& cli, LiveView& view, const Look& look) {
  view.Finish();
  cli.out << '\n'
          << RankingText(look.experiment, look.trials) << '\n'
          << ShortName(look.experiment.name()) << ' ' << StateText(look.experiment.state());
  if (!look.experiment.message().empty()) cli.out << ": " << EscapeText(look.experiment.message());
  cli.out << '\n';
  return look.experiment.state() == v1::Experiment::STATE_SUCCEEDED ? ExitCode::kDone
                                                                    : ExitCode::kFailed;
}

}  // namespace

absl::StatusOr<ExitCode> Follow(const Cli& cli, Connection& connection,
                                const GlobalOptions& options, const std::string& experiment) {
  LiveView view(cli.out, {.terminal = cli.out_is_terminal,
                          .size = cli.terminal_size,
                          .color = UseColor(cli, options)});
  while (true) {
    const absl::StatusOr<Look> look = LookAt(connection, experiment);
    if (look.ok()) {
      view.Update(look->experiment, look->trials, cli.clock.WallNow());
      if (HasEnded(look->experiment.state())) return ShowEnd(cli, view, *look);
    } else if (absl::IsCancelled(look.status())) {
      return Detach(cli, view, experiment);
    } else if (IsOutage(look.status())) {
      // Trials outlive a coordinator that is away; so does the view.
      view.ShowOutage(std::string(look.status().message()));
    } else {
      view.Finish();
      return look.status();
    }
    connection.LimitCalls(kLookTimeout);
    if (!cli.sleep(cli.out_is_terminal ? kRefreshTerminal : kRefreshPlain)) {
      return Detach(cli, view, experiment);
    }
  }
}

absl::StatusOr<ExitCode> RunWatch(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl watch EXP [flags]", "Follows an experiment until it ends. Ctrl-C detaches.");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one experiment, such as exp/12"));
  CVT_ASSIGN_OR_RETURN(const std::string name, ExperimentNameOf(positional[0]));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  // Nobody should watch what is not there, or a coordinator that never was.
  CVT_RETURN_IF_ERROR(LookAt(*connection, name).status());
  return Follow(cli, *connection, options, name);
}

}  // namespace cvtrain::client
