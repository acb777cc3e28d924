// Pages of client/view/show.h.
#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

// "Name:        value", for the head of a page. Values are escaped.
class Page {
 public:
  Page& Line(const std::string& name, const std::string& value) {
    if (!value.empty())
      absl::StrAppend(&text_, absl::StrFormat("%-17s", name + ":"), EscapeText(value), "\n");
    return *this;
  }
  Page& Section(const std::string& title, const std::string& body) {
    if (!body.empty()) absl::StrAppend(&text_, "\n", title, ":\n", Indent(body));
    return *this;
  }
  Page& Section(const std::string& title, const Table& table) {
    if (table.empty()) return *this;
    std::ostringstream out;
    table.Print(out);
    return Section(title, out.str());
  }
  std::string text() const { return text_; }

 private:
  static std::string Indent(const std::string& body) {
    std::string out;
    for (absl::string_view line : absl::StrSplit(body, '\n', absl::SkipWhitespace())) {
      absl::StrAppend(&out, "  ", line, "\n");
    }
    return out;
  }

  std::string text_;
};

std::string TimeText(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0 ? "" : FormatTimestamp(TimeOf(time));
}

std::string SizesText(const v1::PlannedStage& stage) {
  return absl::StrJoin(stage.sizes(), " ", [](std::string* out, const v1::SizedBatch& size) {
    if (size.height() == size.width()) {
      absl::StrAppend(out, size.height(), ":", size.batch_size());
    } else {
      absl::StrAppend(out, size.height(), "x", size.width(), ":", size.batch_size());
    }
  });
}

// In whole seconds, at least one.
absl::Duration DurationOf(const google::protobuf::Duration& duration) {
  return absl::Ceil(absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos()),
                    absl::Seconds(1));
}

Table StageTable(const google::protobuf::RepeatedPtrField<v1::PlannedStage>& stages) {
  Table table({"STAGE", "EPOCHS", "SIZES(px:batch)", "STEPS", "IMAGES", "FLOPS", "MEMORY", "TIME"});
  for (const v1::PlannedStage& stage : stages) {
    table.AddRow(
        {absl::StrCat(stage.index() + 1),
         absl::StrCat(stage.from_epoch() + 1, "-", stage.to_epoch()), SizesText(stage),
         absl::StrCat(stage.steps()), absl::StrCat(stage.images()), FormatCount(stage.flops()),
         FormatBytes(static_cast<uint64_t>(std::max<int64_t>(0, stage.peak_memory_bytes()))),
         stage.has_duration() ? FormatElapsed(DurationOf(stage.duration())) : ""});
  }
  return table;
}

std::string TotalsText(const google::protobuf::RepeatedPtrField<v1::PlannedStage>& stages) {
  int64_t steps = 0;
  int64_t images = 0;
  double flops = 0;
  absl::Duration duration;
  for (const v1::PlannedStage& stage : stages) {
    duration += DurationOf(stage.duration());
    steps += stage.steps();
    images += stage.images();
    flops += stage.flops();
  }
  return absl::StrCat(
      steps, " steps, ", images, " images, ", FormatCount(flops), " FLOPs",
      duration > absl::ZeroDuration() ? absl::StrCat(", about ", FormatElapsed(duration)) : "",
      " a trial");
}

Table AttemptTable(const v1::Trial& trial) {
  Table table({"ATTEMPT", "WORKERS", "FROM", "TO", "CAUSE", "STARTED", "RESUMED-FROM", "MESSAGE"});
  for (const v1::Attempt& attempt : trial.attempts()) {
    table.AddRow(
        {ShortName(attempt.name()),
         absl::StrJoin(attempt.placements(), ",",
                       [](std::string* out, const v1::Placement& placement) {
                         absl::StrAppend(out, ShortName(placement.worker()), ":", placement.slot());
                       }),
         absl::StrCat(attempt.start_step()),
         attempt.cause() == v1::CAUSE_UNSPECIFIED ? "" : absl::StrCat(attempt.end_step()),
         attempt.cause() == v1::CAUSE_UNSPECIFIED ? "running" : CauseText(attempt.cause()),
         TimeText(attempt.start_time()), ShortName(attempt.resumed_from()), attempt.message()});
  }
  return table;
}

std::string LastEvaluationText(const v1::Trial& trial) {
  if (trial.evaluations().empty()) return "";
  const v1::EvaluationResult& last = trial.evaluations(trial.evaluations_size() - 1);
  std::vector<std::string> lines;
  for (const auto& [metric, value] : last.metrics()) {
    lines.push_back(absl::StrFormat("%-24s %s", EscapeText(metric), MetricText(value)));
  }
  std::sort(lines.begin(), lines.end());
  return absl::StrCat("step ", last.step(), ", epoch ", last.epoch(),
                      last.sample_digest().empty() ? "" : ", samples ",
                      EscapeText(last.sample_digest()), "\n", absl::StrJoin(lines, "\n"));
}

// A line for each class that has pictures: how many are right, and what the others are taken for
// most often. Empty without a matrix.
std::string ConfusionText(const v1::Trial& trial) {
  if (trial.evaluations().empty()) return "";
  const v1::ConfusionMatrix& confusion =
      trial.evaluations(trial.evaluations_size() - 1).confusion();
  const int64_t classes = confusion.classes();
  if (confusion.counts_size() != classes * classes) return "";
  std::vector<std::string> lines;
  for (int64_t row = 0; row < classes; ++row) {
    int64_t total = 0, right = 0, taken = -1, taken_for = 0;
    for (int64_t column = 0; column < classes; ++column) {
      const int64_t count = confusion.counts(static_cast<int>(row * classes + column));
      total += count;
      if (column == row) {
        right = count;
      } else if (count > taken) {
        taken = count;
        taken_for = column;
      }
    }
    if (total == 0) continue;
    std::string line =
        absl::StrFormat("class %-4d %6.2f %% of %d", row,
                        100.0 * static_cast<double>(right) / static_cast<double>(total), total);
    if (taken > 0) absl::StrAppend(&line, ", ", taken, " taken for class ", taken_for);
    lines.push_back(std::move(line));
  }
  return absl::StrJoin(lines, "\n");
}

std::string ObjectivesText(const v1::Trial& trial) {
  if (!trial.has_last_objective() && !trial.has_best_objective()) return "";
  return absl::StrCat(LastObjectiveText(trial), ", ", BestObjectiveText(trial));
}

// The totals are known while it runs; of the steps also when it has succeeded.
std::string StepsAndEpochsText(const v1::Progress& progress) {
  const auto of = [](int64_t done, int64_t total) {
    return total > 0 ? absl::StrCat(done, "/", total) : absl::StrCat(done);
  };
  return absl::StrCat(of(progress.step(), progress.step_total()), " steps, epoch ",
                      of(progress.epoch(), progress.epoch_total()));
}

std::string MediaText(v1::DatasetVersion::Media media) {
  switch (media) {
    case v1::DatasetVersion::MEDIA_AUDIO:
      return "audio";
    case v1::DatasetVersion::MEDIA_BYTES:
      return "bytes";
    default:
      return "images";
  }
}

int64_t SamplesOf(const v1::DatasetVersion& version) {
  int64_t samples = 0;
  for (const v1::Split& split : version.splits()) samples += split.images();
  return samples;
}

// Bytes of each rung, then of the sources; empty for versions that do not say.
Table RungTable(const v1::DatasetVersion& version) {
  Table rungs({"RUNG", "BYTES", "PER-SAMPLE"});
  const auto samples = static_cast<uint64_t>(std::max<int64_t>(1, SamplesOf(version)));
  for (int i = 0; i < version.rung_size_bytes_size(); ++i) {
    const auto bytes = static_cast<uint64_t>(version.rung_size_bytes(i));
    rungs.AddRow({i < version.rungs_size() ? absl::StrCat(version.rungs(i), "px") : "source",
                  FormatBytes(bytes), FormatBytes(bytes / samples)});
  }
  return rungs;
}

// How many pictures had which short side when they were read.
Table ShortSideTable(const v1::DatasetVersion& version) {
  constexpr int64_t kBarMax = 40;
  int64_t most = 1;
  for (const v1::SideCount& entry : version.short_sides()) most = std::max(most, entry.images());
  Table sides({"SHORT-SIDE", "IMAGES", "BAR"});
  for (int i = 0; i < version.short_sides_size(); ++i) {
    const v1::SideCount& entry = version.short_sides(i);
    const bool is_last = i + 1 == version.short_sides_size();
    if (is_last && entry.images() == 0) break;  // says only where the one before ends
    const std::string end =
        !is_last ? absl::StrCat("-", version.short_sides(i + 1).side() - 1, "px") : "px and more";
    const auto bar = static_cast<size_t>((entry.images() * kBarMax + most - 1) / most);
    sides.AddRow(
        {absl::StrCat(entry.side(), end), absl::StrCat(entry.images()), std::string(bar, '#')});
  }
  return sides;
}

// "[20, 22], objective 74.1 to 75.3"
std::string BracketText(const v1::Bracket& bracket) {
  const auto objective = [](bool has, double value) { return has ? MetricText(value) : "?"; };
  return absl::StrCat("[", MetricText(bracket.low()), ", ", MetricText(bracket.high()),
                      "], objective ",
                      objective(bracket.has_low_objective(), bracket.low_objective()), " to ",
                      objective(bracket.has_high_objective(), bracket.high_objective()));
}

std::string PointParametersText(const v1::SearchPoint& point) {
  v1::Trial trial;
  *trial.mutable_parameters() = point.parameters();
  return ParametersText(trial);
}

// "of 12 allowed", where the search has such a bound.
template <typename Value>
std::string OfBudget(bool has, Value bound) {
  return has ? absl::StrCat(" of ", bound) : "";
}

std::string UsedText(const v1::SearchBudget& used, const v1::SearchBudget& budget) {
  return absl::StrCat(
      used.trials(), OfBudget(budget.has_trials(), budget.trials()), " trials, ",
      FormatCount(used.flops()), OfBudget(budget.has_flops(), FormatCount(budget.flops())),
      " FLOPs, ", MetricText(used.slot_hours()),
      OfBudget(budget.has_slot_hours(), budget.slot_hours()), " slot-hours, ",
      MetricText(used.hours()), OfBudget(budget.has_hours(), budget.hours()), " hours");
}

// What the search says of itself, a line each.
std::string SearchText(const v1::Experiment& experiment) {
  if (!experiment.has_search()) return "";
  const v1::SearchStatus& search = experiment.search();
  std::vector<std::string> lines;
  if (search.has_answer()) lines.push_back(absl::StrCat("answer   ", MetricText(search.answer())));
  if (search.has_bracket()) {
    lines.push_back(absl::StrCat("bracket  ", BracketText(search.bracket())));
  }
  if (search.has_best()) {
    const v1::SearchPoint& best = search.best();
    std::string line =
        absl::StrCat("best     ", PointParametersText(best), ": ", MetricText(best.objectives(0)));
    if (best.has_standard_deviation()) {
      absl::StrAppend(&line, ", deviation ", MetricText(best.standard_deviation()), " over ",
                      best.replicates(), " seeds");
    }
    lines.push_back(line);
  }
  if (search.raced_out() > 0) {
    lines.push_back(
        absl::StrCat("stopped  ", search.raced_out(), " points that are clearly worse"));
  }
  lines.push_back(
      absl::StrCat("used     ", UsedText(search.used(), experiment.spec().search().budget())));
  if (!search.message().empty()) lines.push_back(absl::StrCat("note     ", search.message()));
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, EscapeText(line), "\n");
  return text;
}

// Points that no other beats in all objectives.
Table FrontTable(const v1::Experiment& experiment) {
  std::vector<std::string> headers = {"ID", "HPARAMS",
                                      EscapeText(experiment.spec().search().objective().metric())};
  for (const v1::Objective& tradeoff : experiment.spec().search().tradeoffs()) {
    headers.push_back(EscapeText(tradeoff.metric()));
  }
  Table table(headers);
  for (const v1::SearchPoint& point : experiment.search().front()) {
    std::vector<std::string> row = {ShortName(point.trial()), PointParametersText(point)};
    for (const double objective : point.objectives()) row.push_back(MetricText(objective));
    table.AddRow(row);
  }
  return table;
}

}  // namespace

std::string PreviewText(const v1::PreviewExperimentResponse& preview, const std::string& yaml) {
  Page page;
  page.Section("Recipe, with every default", yaml);
  page.Section("Stages of a trial", StageTable(preview.stages()));
  if (!preview.stages().empty()) {
    std::string work = TotalsText(preview.stages());
    if (!preview.duration_basis().empty()) {
      absl::StrAppend(&work, "\nTimes: ", EscapeText(preview.duration_basis()));
    }
    page.Section("Work", work);
  }

  Table trials({"TRIAL", "HPARAMS"});
  int number = 1;
  for (const v1::PlannedTrial& planned : preview.trials()) {
    v1::Trial trial;
    *trial.mutable_parameters() = planned.parameters();
    trials.AddRow({absl::StrCat(number++), ParametersText(trial)});
  }
  page.Section(preview.trial_count() < 0
                   ? "Trials (the search decides as it goes; these are the first)"
                   : absl::StrCat("Trials (", preview.trial_count(), ")"),
               trials);
  page.Section("Warnings", absl::StrJoin(preview.warnings(), "\n",
                                         [](std::string* out, const std::string& text) {
                                           absl::StrAppend(out, EscapeText(text));
                                         }));
  return page.text() + "\nNothing was submitted.\n";
}

std::string DescribeText(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
                         const std::string& recipe_yaml, absl::Time now) {
  Page page;
  page.Line("Experiment", ShortName(experiment.name()))
      .Line("Name", experiment.spec().name())
      .Line("Project", experiment.spec().project())
      .Line("Description", experiment.spec().description())
      .Line("State", StateText(experiment.state()))
      .Line("Message", experiment.message())
      .Line("Creator", experiment.creator())
      .Line("Created", TimeText(experiment.create_time()))
      .Line("Ended", TimeText(experiment.end_time()))
      .Line("Best trial", ShortName(experiment.best_trial()))
      .Line("Best value", experiment.has_best_value() ? MetricText(experiment.best_value()) : "")
      .Line("Program version", experiment.program_version())
      .Line("Plan version", absl::StrCat(experiment.plan_version()))
      .Section("Search", SearchText(experiment))
      .Section("Front", FrontTable(experiment))
      .Section("Trials", TrialTable(trials, now))
      .Section("Specification", recipe_yaml);
  return page.text();
}

std::string DescribeText(const v1::Trial& trial, const std::string& recipe_yaml, absl::Time now) {
  Page page;
  page.Line("Trial", ShortName(trial.name()))
      .Line("State", StateText(trial.state()))
      .Line("Reason", trial.reason())
      .Line("Parameters", ParametersText(trial))
      .Line("Progress", StepsAndEpochsText(trial.progress()))
      .Line("Stage", StageText(trial.progress()))
      .Line("ETA", EtaText(trial.progress()))
      .Line("Objective", trial.has_objective() ? MetricText(trial.objective()) : "")
      .Line("Last, best", ObjectivesText(trial))
      .Line("Age", AgeText(trial.create_time(), now))
      .Line("Started", TimeText(trial.start_time()))
      .Line("Ended", TimeText(trial.end_time()))
      .Line("Priority", absl::StrCat(trial.priority()))
      .Line("Slots", absl::StrCat(trial.slots()))
      .Line("Seed", absl::StrCat(trial.seed()))
      .Line("Recipe digest", trial.recipe_digest())
      .Line("Dataset digest", trial.dataset_digest())
      .Line("Program version", trial.program_version())
      .Line("Plan version", absl::StrCat(trial.plan_version()))
      .Section("Attempts", AttemptTable(trial))
      .Section("Stages", StageTable(trial.stages()))
      .Section("Last evaluation", LastEvaluationText(trial))
      .Section("Classes in it", ConfusionText(trial))
      .Section("Recipe", recipe_yaml);
  return page.text();
}

std::string DescribeText(const v1::Worker& worker, absl::Time now) {
  Table slots({"SLOT", "KIND", "DEVICE", "THREADS", "MEM", "ATTEMPT"});
  for (const v1::Slot& slot : worker.slots()) {
    slots.AddRow({absl::StrCat(slot.index()), slot.kind() == v1::Slot::KIND_GPU ? "gpu" : "cpu",
                  slot.device(), absl::StrCat(slot.threads()),
                  FormatBytes(static_cast<uint64_t>(slot.memory_bytes())),
                  ShortName(slot.attempt())});
  }
  Page page;
  page.Line("Worker", ShortName(worker.name()))
      .Line("State", StateText(worker.state()))
      .Line("Host", worker.hostname())
      .Line("Cordoned", worker.cordoned()
                            ? worker.cordon_reason().empty() ? "yes" : worker.cordon_reason()
                            : "")
      .Line("Registered", TimeText(worker.register_time()))
      .Line("Last heartbeat", absl::StrCat(AgeText(worker.renew_time(), now), " ago"))
      .Line("Shard cache",
            absl::StrCat(FormatBytes(static_cast<uint64_t>(worker.cache_bytes())), " of ",
                         FormatBytes(static_cast<uint64_t>(worker.cache_bytes_max()))))
      .Line("Version", worker.program_version())
      .Line("Build", worker.build_id())
      .Section("Slots", slots);
  return page.text();
}

std::string DescribeText(const v1::Checkpoint& checkpoint, absl::Time now) {
  Page page;
  const bool imported = checkpoint.trial().empty();
  page.Line("Checkpoint", checkpoint.name())
      .Line("Label", checkpoint.label())
      .Line("Trial", ShortName(checkpoint.trial()))
      .Line("Attempt", ShortName(checkpoint.attempt()))
      .Line("Step", imported ? "" : absl::StrCat(checkpoint.step()))
      .Line("Epoch", imported ? "" : absl::StrCat(checkpoint.epoch()))
      .Line("Stage", imported ? "" : absl::StrCat(checkpoint.stage() + 1))
      .Line("Size", FormatBytes(static_cast<uint64_t>(checkpoint.size_bytes())))
      .Line("Digest", checkpoint.digest())
      .Line("Objective", checkpoint.has_objective() ? MetricText(checkpoint.objective()) : "")
      .Line("Damaged", checkpoint.damaged() ? "a worker found its bytes to be wrong" : "")
      .Line("Kept as", absl::StrJoin(checkpoint.kept_as(), ", "))
      .Line("Age", AgeText(checkpoint.create_time(), now));
  return page.text();
}

std::string DescribeText(const v1::DatasetVersion& version, absl::Time now) {
  std::vector<std::string> headers = {"CLASS"};
  for (const v1::Split& split : version.splits())
    headers.push_back(absl::AsciiStrToUpper(split.name()));
  Table classes(headers);
  for (int i = 0; i < version.classes_size(); ++i) {
    std::vector<std::string> row = {version.classes(i)};
    for (const v1::Split& split : version.splits()) {
      row.push_back(i < split.class_images_size() ? absl::StrCat(split.class_images(i)) : "");
    }
    classes.AddRow(row);
  }
  Table skipped({"CAUSE", "FILES"});
  for (const auto& [cause, count] : version.skipped()) skipped.AddRow({cause, absl::StrCat(count)});

  Page page;
  page.Line("Dataset", ShortName(version.name()))
      .Line("Digest", version.digest())
      .Line("Media", MediaText(version.media()))
      .Line("Format", version.format())
      .Line("Samples", absl::StrCat(SamplesOf(version)))
      .Line("Boxes", version.boxes() > 0 ? absl::StrCat(version.boxes()) : "")
      .Line("Masks", version.masks() > 0 ? absl::StrCat(version.masks()) : "")
      .Line("Size", FormatBytes(static_cast<uint64_t>(version.size_bytes())))
      .Line("Shards", absl::StrCat(version.shards_size()))
      .Line("Rungs",
            absl::StrJoin(version.rungs(), ", ",
                          [](std::string* out, int rung) { absl::StrAppend(out, rung, "px"); }))
      .Line("Age", AgeText(version.create_time(), now))
      .Section(version.boxes() > 0 ? "Samples by the class of their largest box"
                                   : "Samples of each class",
               classes)
      .Section("Short sides", ShortSideTable(version))
      .Section("Rungs", RungTable(version))
      .Section("Skipped", skipped);
  return page.text();
}

}  // namespace cvtrain::client
