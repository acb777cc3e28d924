// cvctl simulate --trace FILE --policy P, cvctl simulate --live
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/call/verb.h"
#include "client/dataset/source_files.h"
#include "client/simulate/study.h"
#include "client/view/queue.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

struct SimulateFlags {
  // Of the live queue.
  GlobalOptions global;
  bool live = false;
  int workers = 0;
  int slots_each = 0;
  std::vector<std::string> without;
  std::string trace;
  std::string throughputs;
  std::string policies = "cvtrain";
  int gpus = 32;
  std::string told = "declared";
  double sigma = 0.25;
  std::string variation = "none";
  int runs = 10;
  int64_t seed = 1;
  // Of a Philly trace.
  std::string from;
  int days = 0;
  absl::Duration duration_min;
  int gpus_max = 1'024;
  double gpu_hours_below = 0;
  std::string output = "table";
  bool no_headers = false;
};

void Declare(FlagSet& flags, SimulateFlags* options) {
  flags.String("trace", 0, &options->trace, "FILE",
               "a trace of Shockwave, or of Philly as CSV; either may be gzipped");
  flags.String("throughputs", 0, &options->throughputs, "FILE",
               "steps per second of a Shockwave trace's jobs, JSON, may be gzipped");
  flags.String("policy", 0, &options->policies, "LIST",
               absl::StrCat("policies to compare, separated by commas: ", PolicyNames()));
  flags.Int("gpus", 0, &options->gpus, 1, 1'000'000, "in all");
  flags.Choice("know", 0, &options->told, {"oracle", "declared", "measured", "wrong"},
               "what policies are told of durations: what will happen, what jobs declare, what is "
               "left at the present speed, or what they declare times an unknown factor");
  flags.Double("sigma", 0, &options->sigma, 0, 3, "of the factor's logarithm, for --know wrong");
  flags.Choice(
      "vary", 0, &options->variation, {"none", "subset", "arrivals"},
      "change the trace by chance: seven jobs and GPUs of ten, or arrivals dealt out anew");
  flags.Int("seeds", 0, &options->runs, 1, 10'000, "runs, where chance plays a part");
  flags.Int("seed", 0, &options->seed, 0, int64_t{1} << 62, "of the first of them");
  flags.String("from", 0, &options->from, "DATE", "Philly: only jobs submitted from this day on");
  flags.Int("days", 0, &options->days, 0, 10'000, "Philly: and on so many days; 0: all later ones");
  flags.Duration("duration-min", 0, &options->duration_min, "Philly: only jobs of at least this");
  flags.Int("gpus-max", 0, &options->gpus_max, 1, 1'024, "Philly: only jobs of at most so many");
  flags.Double("gpu-hours-below", 0, &options->gpu_hours_below, 0, 1e12,
               "Philly: only jobs of less than this; 0: all");
  flags.Bool("live", 0, &options->live,
             "no trace: what would become of the queue of a coordinator as it is");
  flags.Int("workers", 0, &options->workers, 0, 10'000, "with --live: so many more workers");
  flags.Int("slots-each", 0, &options->slots_each, 1, 1'024,
            "with --live: slots of each of them; default: those of the largest worker");
  flags.StringList("without", 0, &options->without, "WORKER",
                   "with --live: as if it were not there");
  options->global.Declare(flags, false);
  flags.Choice("output", 'o', &options->output, {"table", "json"}, "table or json");
  flags.Bool("no-headers", 0, &options->no_headers, "tables without their first line");
}

Told ToldOf(const std::string& text) {
  for (const Told told : {Told::kOracle, Told::kMeasured, Told::kWrong}) {
    if (ToldName(told) == text) return told;
  }
  return Told::kDeclared;
}

Variation VariationOf(const std::string& text) {
  if (text == "subset") return Variation::kSubset;
  return text == "arrivals" ? Variation::kArrivals : Variation::kNone;
}

absl::StatusOr<std::string> ReadTraceFile(const Cli& cli, const std::string& path) {
  CVT_ASSIGN_OR_RETURN(std::string bytes, ReadFile(cli.files, path, kTraceBytesMax));
  if (!IsGzip(bytes)) return bytes;
  absl::StatusOr<std::string> text = Gunzip(bytes, kTraceBytesMax);
  if (!text.ok()) return Annotate(text.status(), "reading", path);
  return text;
}

absl::StatusOr<PhillySelection> SelectionOf(const SimulateFlags& options) {
  PhillySelection selection;
  if (!options.from.empty()) {
    std::string error;
    if (!absl::ParseTime("%Y-%m-%d", options.from, absl::UTCTimeZone(), &selection.from, &error)) {
      return InvalidArgument(Reason::kUsage,
                             absl::StrCat("--from: must be a day such as 2017-10-09, got ",
                                          SafeText(options.from, 64)));
    }
    if (options.days > 0) selection.until = selection.from + absl::Hours(24) * options.days;
  } else if (options.days > 0) {
    return InvalidArgument(Reason::kUsage, "--days: needs --from, the first of them");
  }
  selection.duration_seconds_min = absl::ToDoubleSeconds(options.duration_min);
  selection.gpus_max = options.gpus_max;
  if (options.gpu_hours_below > 0) selection.gpu_hours_below = options.gpu_hours_below;
  return selection;
}

absl::StatusOr<Trace> ReadPhilly(const std::string& text, const SimulateFlags& options) {
  CVT_ASSIGN_OR_RETURN(const PhillySelection selection, SelectionOf(options));
  CVT_ASSIGN_OR_RETURN(std::vector<PhillyJob> jobs, ReadPhillyTrace(text));
  PhillyTrace trace{SelectJobs(std::move(jobs), selection)};
  if (trace.jobs.empty()) {
    return InvalidArgument(Reason::kUsage,
                           "no job of the trace is left; --from, --days, --duration-min, "
                           "--gpus-max and --gpu-hours-below say which count");
  }
  return Trace(std::move(trace));
}

absl::StatusOr<Trace> ReadShockwave(const Cli& cli, const std::string& text,
                                    const SimulateFlags& options) {
  CVT_ASSIGN_OR_RETURN(std::vector<ShockwaveJob> jobs, ReadShockwaveTrace(text));
  if (options.throughputs.empty()) {
    return InvalidArgument(Reason::kUsage,
                           "--throughputs: this trace needs the file with the speeds of its jobs");
  }
  CVT_ASSIGN_OR_RETURN(const std::string json, ReadTraceFile(cli, options.throughputs));
  absl::StatusOr<Throughputs> throughputs = Throughputs::Parse(json);
  if (!throughputs.ok()) {
    return Annotate(throughputs.status(), "reading", options.throughputs);
  }
  return Trace(ShockwaveTrace{std::move(jobs), *std::move(throughputs)});
}

absl::StatusOr<Trace> ReadTrace(const Cli& cli, const SimulateFlags& options) {
  CVT_ASSIGN_OR_RETURN(const std::string text, ReadTraceFile(cli, options.trace));
  if (IsPhillyTrace(text)) return ReadPhilly(text, options);
  return ReadShockwave(cli, text, options);
}

// What if there were other workers.
absl::StatusOr<ExitCode> PredictLive(const Cli& cli, const SimulateFlags& options) {
  v1::PredictQueueRequest request;
  request.set_workers(options.workers);
  if (options.slots_each > 0) request.set_slots_each(options.slots_each);
  for (const std::string& worker : options.without) {
    CVT_ASSIGN_OR_RETURN(*request.add_without_workers(), WorkerNameOf(worker));
  }
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  CVT_ASSIGN_OR_RETURN(const auto response, connection->PredictQueue(request));
  if (options.output == "json") {
    PrintMessage(cli, OutputFormat::kJson, response);
  } else {
    cli.out << PredictionText(response, cli.clock.WallNow());
  }
  return ExitCode::kDone;
}

}  // namespace

absl::StatusOr<ExitCode> RunSimulate(const Cli& cli, const Arguments& arguments) {
  SimulateFlags options;
  FlagSet flags("cvctl simulate --trace FILE [--throughputs FILE] [flags] | --live [flags]",
                "Runs a trace of jobs under scheduling policies, in virtual time, with the "
                "coordinator's own scheduler, and talks to no coordinator. With --live asks one "
                "what would become of its queue with other workers; nothing changes.");
  Declare(flags, &options);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 0, 0, "no argument but flags"));
  if (options.live) {
    if (options.trace.empty()) return PredictLive(cli, options);
    return InvalidArgument(Reason::kUsage, "--live, --trace: give one of them");
  }
  if (options.trace.empty()) {
    return InvalidArgument(Reason::kUsage, "--trace: must name a file, or give --live");
  }

  const absl::StatusOr<Trace> trace = ReadTrace(cli, options);
  if (!trace.ok()) {
    // What the command line lacks is not the file's.
    if (ReasonOf(trace.status()) == Reason::kUsage) return trace.status();
    return Annotate(trace.status(), "reading", options.trace);
  }
  const StudyOptions study{.policies = absl::StrSplit(options.policies, ',', absl::SkipEmpty()),
                           .gpus = options.gpus,
                           .told = ToldOf(options.told),
                           .sigma = options.sigma,
                           .variation = VariationOf(options.variation),
                           .runs = options.runs,
                           .seed = static_cast<uint64_t>(options.seed),
                           .stop = cli.stop};
  if (study.policies.empty()) return InvalidArgument(Reason::kUsage, "--policy: names none");
  CVT_ASSIGN_OR_RETURN(const std::vector<StudyRow> rows, RunStudy(*trace, study));
  if (options.output == "json") {
    cli.out << StudyJson(rows, study);
    return ExitCode::kDone;
  }
  Table table(StudyHeaders());
  for (const StudyRow& row : rows) table.AddRow(StudyCells(row, study));
  table.Print(cli.out, !options.no_headers);
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
