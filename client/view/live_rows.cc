#include "client/view/live_rows.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr size_t kBarCellsMax = 18;
constexpr size_t kBarCellsMin = 6;
// Brackets, and " 100%".
constexpr size_t kBarFrame = 7;
// Fewer columns than this say nothing about parameters.
constexpr size_t kParametersMin = 10;
// The head, the header, and the line below, where the cursor stands.
constexpr int kOtherLines = 3;

enum Column { kTrial, kState, kStage, kStep, kSpeed, kLoss, kBest, kProgress, kEta, kColumnCount };
constexpr std::array<const char*, kColumnCount> kHeaders = {
    "TRIAL", "STATE", "STAGE", "STEP", "IMG/S", "LOSS", "BEST", "PROGRESS", "ETA"};
// The first is missed least.
constexpr Column kDropOrder[] = {kState, kSpeed, kLoss, kStage, kBest, kStep};

struct Row {
  std::array<std::string, kColumnCount> cells;
  std::string note;  // instead of what follows the state
  std::string parameters;
  v1::Trial::State state = v1::Trial::STATE_UNSPECIFIED;
  double share = 0;
};

struct Layout {
  std::array<size_t, kColumnCount> widths = {};  // 0: left out
  size_t bar_cells = kBarCellsMax;
  size_t columns = 0;  // that a line may take

  // Of all columns, each with a space behind it.
  size_t Total() const {
    return std::accumulate(widths.begin(), widths.end(), size_t{0},
                           [](size_t sum, size_t width) { return sum + (width > 0) + width; });
  }
};

std::string OrDash(std::string text) { return text.empty() ? "-" : text; }

double ShareOf(const v1::Progress& progress) {
  if (progress.step_total() == 0) return 0;
  return std::clamp(
      static_cast<double>(progress.step()) / static_cast<double>(progress.step_total()), 0.0, 1.0);
}

std::string BarText(double share, size_t cells) {
  const auto full = static_cast<size_t>(share * static_cast<double>(cells));
  return absl::StrCat("[", std::string(full, '='), std::string(cells - full, ' '), "]",
                      absl::StrFormat("%4.0f%%", share * 100));
}

Row RowOf(const v1::Trial& trial) {
  const v1::Progress& progress = trial.progress();
  Row row;
  row.state = trial.state();
  row.share = ShareOf(progress);
  row.parameters = EscapeText(ParametersText(trial));
  row.cells[kTrial] = ShortName(trial.name());
  row.cells[kState] = StateText(trial.state());
  if (!ShowsWork(trial)) {
    row.note = EscapeText(trial.reason());
    return row;
  }
  row.cells[kStage] = OrDash(StageText(progress));
  row.cells[kStep] = StepText(progress);
  row.cells[kSpeed] = OrDash(SpeedText(trial));
  row.cells[kLoss] = OrDash(LossText(trial));
  row.cells[kBest] = OrDash(BestObjectiveText(trial));
  row.cells[kEta] = trial.state() == v1::Trial::STATE_RUNNING ? OrDash(EtaText(progress)) : "-";
  return row;
}

Layout LayoutFor(const std::vector<Row>& rows, int columns) {
  Layout layout;
  layout.columns = static_cast<size_t>(std::max(20, columns - 1));
  for (size_t i = 0; i < kColumnCount; ++i) {
    layout.widths[i] = DisplayWidth(kHeaders[i]);
    for (const Row& row : rows)
      layout.widths[i] = std::max(layout.widths[i], DisplayWidth(row.cells[i]));
  }
  layout.widths[kProgress] = layout.bar_cells + kBarFrame;
  // The space behind the last column is never printed.
  while (layout.Total() > layout.columns + 1 && layout.bar_cells > kBarCellsMin) {
    --layout.bar_cells;
    --layout.widths[kProgress];
  }
  for (const Column column : kDropOrder) {
    if (layout.Total() <= layout.columns + 1) break;
    layout.widths[column] = 0;
  }
  return layout;
}

std::string Padded(const std::string& cell, size_t width) {
  const size_t taken = DisplayWidth(cell);
  return cell + std::string(taken < width ? width - taken : 0, ' ');
}

std::string HeaderText(const Layout& layout) {
  std::string line;
  for (size_t i = 0; i < kColumnCount; ++i) {
    if (layout.widths[i] > 0) absl::StrAppend(&line, Padded(kHeaders[i], layout.widths[i]), " ");
  }
  return TruncateText(absl::StripTrailingAsciiWhitespace(line), layout.columns);
}

const char* StateColor(v1::Trial::State state) {
  switch (state) {
    case v1::Trial::STATE_RUNNING:
      return "\x1b[36m";
    case v1::Trial::STATE_SUCCEEDED:
      return "\x1b[32m";
    case v1::Trial::STATE_FAILED:
      return "\x1b[31m";
    default:
      return "\x1b[2m";
  }
}

// What follows the name and the state: columns, or words.
std::string RestText(const Row& row, const Layout& layout) {
  if (!row.note.empty() || row.cells[kStep].empty()) {
    const std::string state = layout.widths[kState] > 0 ? "" : row.cells[kState] + " ";
    return absl::StrCat(state, row.note, row.note.empty() ? "" : "  ", row.parameters);
  }
  std::string text;
  for (size_t i = kStage; i < kColumnCount; ++i) {
    if (layout.widths[i] == 0) continue;
    const std::string cell = i == kProgress ? BarText(row.share, layout.bar_cells) : row.cells[i];
    absl::StrAppend(&text, Padded(cell, layout.widths[i]), " ");
  }
  const size_t total = layout.Total();
  if (total + kParametersMin <= layout.columns) absl::StrAppend(&text, row.parameters);
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

std::string RowText(const Row& row, const Layout& layout, bool color) {
  std::string name = Padded(row.cells[kTrial], layout.widths[kTrial]) + " ";
  std::string state;
  if (layout.widths[kState] > 0) state = Padded(row.cells[kState], layout.widths[kState]) + " ";
  const size_t taken = DisplayWidth(name) + DisplayWidth(state);
  const std::string rest =
      TruncateText(RestText(row, layout), layout.columns > taken ? layout.columns - taken : 0);
  if (!color) return absl::StrCat(name, state, rest);
  std::string& painted = state.empty() ? name : state;
  painted = absl::StrCat(StateColor(row.state), painted, "\x1b[0m");
  return absl::StrCat(name, state, rest);
}

std::string CountsText(const v1::TrialCounts& counts) {
  std::string text = absl::StrCat(counts.running(), " running, ", counts.queued(), " queued, ",
                                  counts.succeeded(), " done");
  if (counts.failed() > 0) absl::StrAppend(&text, ", ", counts.failed(), " failed");
  if (counts.cancelled() > 0) absl::StrAppend(&text, ", ", counts.cancelled(), " cancelled");
  return text;
}

std::string HeadText(const v1::Experiment& experiment, absl::Time now) {
  std::string head =
      absl::StrCat(ShortName(experiment.name()), "  ", EscapeText(experiment.spec().name()), "  ",
                   StateText(experiment.state()), "  ", CountsText(experiment.trials()), "  ",
                   AgeText(experiment.create_time(), now));
  if (experiment.has_best_value()) {
    absl::StrAppend(&head, "  best ", MetricText(experiment.best_value()), " ",
                    ShortName(experiment.best_trial()));
  }
  return head;
}

// Places of at most `room` trials, in order: those that run, then the others.
std::vector<size_t> Selection(const std::vector<v1::Trial>& trials, size_t room) {
  std::vector<size_t> places(trials.size());
  std::iota(places.begin(), places.end(), size_t{0});
  if (places.size() <= room) return places;
  std::stable_partition(places.begin(), places.end(), [&trials](size_t i) {
    return trials[i].state() == v1::Trial::STATE_RUNNING;
  });
  places.resize(room);
  std::sort(places.begin(), places.end());
  return places;
}

}  // namespace

bool ShowsWork(const v1::Trial& trial) {
  return trial.progress().step_total() > 0 && trial.state() != v1::Trial::STATE_QUEUED;
}

std::vector<std::string> LiveRows(const v1::Experiment& experiment,
                                  const std::vector<v1::Trial>& trials, absl::Time now,
                                  const TerminalSize& size, bool color) {
  size_t room = static_cast<size_t>(std::max(1, size.rows - kOtherLines));
  if (trials.size() > room && room > 1) --room;  // for the line that counts the others
  std::vector<Row> rows;
  for (const size_t i : Selection(trials, room)) rows.push_back(RowOf(trials[i]));
  const Layout layout = LayoutFor(rows, size.columns);

  std::vector<std::string> lines = {TruncateText(HeadText(experiment, now), layout.columns),
                                    HeaderText(layout)};
  for (const Row& row : rows) lines.push_back(RowText(row, layout, color));
  if (trials.size() > rows.size())
    lines.push_back(absl::StrCat("... ", trials.size() - rows.size(), " more"));
  return lines;
}

}  // namespace cvtrain::client
