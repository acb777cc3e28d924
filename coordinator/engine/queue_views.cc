#include "coordinator/engine/queue_views.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/engine/page.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::coordinator {
namespace {

constexpr size_t kAheadShownMax = 20;
constexpr size_t kPredictedShownMax = 1'000;
constexpr int32_t kWorkersSupposedMax = 10'000;
constexpr int32_t kSlotsPerWorkerSupposedMax = 1'024;

v1::QueueEntry ToProto(const QueueLine& line) {
  const storage::v1::TrialRecord& record = line.trial->record;
  const v1::ExperimentSpec& spec = line.experiment->record.spec();
  v1::QueueEntry entry;
  entry.set_trial(line.trial->name.ToString());
  entry.set_label(spec.name());
  entry.set_project(spec.project());
  entry.set_creator(line.experiment->record.creator());
  entry.set_priority(spec.priority());
  entry.set_slots(spec.resources().slots());
  entry.set_state(record.state());
  *entry.mutable_create_time() = record.create_time();
  entry.set_attempt_count(record.attempts_size());
  entry.set_reason(line.reason);
  entry.set_message(line.text);
  entry.set_rule(line.rule);
  if (line.behind.number() != 0) entry.set_behind(line.behind.ToString());
  const bool waits = line.reason != v1::WAIT_REASON_UNSPECIFIED;
  if (waits && line.start != absl::InfiniteFuture()) {
    *entry.mutable_predicted_start() = ToTimestamp(line.start);
  }
  if (line.end != absl::InfiniteFuture()) {
    *entry.mutable_predicted_end() = ToTimestamp(line.end);
  }
  *entry.mutable_left() = ToDuration(line.left);
  entry.set_forecast_basis(line.basis);
  return entry;
}

const QueueLine* FindLine(const std::vector<QueueLine>& lines, const TrialName& trial) {
  const auto found = std::find_if(lines.begin(), lines.end(),
                                  [&](const QueueLine& line) { return line.trial->name == trial; });
  return found == lines.end() ? nullptr : &*found;
}

// The workers that take work, by slots of a kind, as the scheduler sees them.
PlanWorker LargestOpenWorker(const View& view) {
  PlanWorker largest{.kind = v1::Slot::KIND_CPU, .slots = 1};
  for (const auto& [name, worker] : view.state().workers()) {
    if (!TakesWork(worker, view.live())) continue;
    for (const v1::Slot& slot : worker.record.slots()) {
      if (slot.kind() > largest.kind) largest = {.kind = slot.kind(), .slots = 1};
      if (slot.kind() < largest.kind) continue;
      largest.memory_bytes = std::max(largest.memory_bytes, slot.memory_bytes());
      largest.slots = std::max(largest.slots, worker.record.slots_size());
    }
  }
  return largest;
}

std::string SlotText(int32_t slots) { return absl::StrCat(slots, slots == 1 ? " slot" : " slots"); }

// What would make a trial that waits start sooner: more slots, the first place, no limit.
class WhatIfs {
 public:
  WhatIfs(const View& view, const QueueLine& line) : view_(view), line_(line) {}

  std::vector<v1::WhatIf> Run() {
    const v1::ExperimentSpec& spec = line_.experiment->record.spec();
    switch (line_.reason) {
      case v1::WAIT_REASON_ORDER:
      case v1::WAIT_REASON_SLOTS:
      case v1::WAIT_REASON_RESERVATION:
      case v1::WAIT_REASON_TOO_LARGE: {
        QueueChange more;
        PlanWorker worker = LargestOpenWorker(view_);
        worker.slots = std::max(spec.resources().slots(), 1);
        const int64_t memory = line_.experiment->rank_memory_bytes.value_or(0);
        worker.memory_bytes = std::max(worker.memory_bytes, memory);
        more.more.push_back(worker);
        Try(absl::StrCat("with one more worker of ", SlotText(worker.slots)), more);
        QueueChange first;
        first.first = line_.trial->name;
        Try("with the highest priority", first);
        break;
      }
      case v1::WAIT_REASON_GROUP_LIMIT: {
        QueueChange unlimited;
        unlimited.unlimited = line_.experiment->name;
        Try("without the limit of its experiment (search.max_parallel_trials)", unlimited);
        break;
      }
      default:
        break;
    }
    return std::move(what_ifs_);
  }

 private:
  void Try(const std::string& change, const QueueChange& supposed) {
    const QueueReport report = ReportQueue(view_, supposed);
    absl::Time start = absl::InfiniteFuture();
    if (const QueueLine* line = FindLine(report.waiting, line_.trial->name)) {
      start = line->start;
    } else if (FindLine(report.running, line_.trial->name) != nullptr) {
      start = view_.now().wall;
    }
    v1::WhatIf& what_if = what_ifs_.emplace_back();
    what_if.set_change(change);
    if (start != absl::InfiniteFuture()) {
      *what_if.mutable_predicted_start() = ToTimestamp(start);
    }
  }

  const View& view_;
  const QueueLine& line_;
  std::vector<v1::WhatIf> what_ifs_;
};

// Why the ranks of an attempt are where they are, in a sentence.
std::string PlacementReason(const storage::v1::AttemptRecord& attempt) {
  const auto workers = attempt.parts_size();
  if (workers == 1) {
    return attempt.ranks_size() == 1
               ? "a free slot of the fullest worker that had one: big holes stay whole"
               : "the fullest worker that had all of its slots free: its ranks are neighbours";
  }
  return absl::StrCat("no worker had all of its slots free: the fewest that had, ", workers);
}

void AddPrediction(const View& view, const TrialName& name, v1::ExplainTrialResponse& response) {
  if (view.live().scheduling == nullptr) return;
  const auto first = view.live().scheduling->FirstPrediction(name);
  if (!first.has_value()) return;
  v1::Prediction& prediction = *response.mutable_first_prediction();
  *prediction.mutable_time() = ToTimestamp(first->at);
  if (first->start != absl::InfinitePast()) {
    *prediction.mutable_start() = ToTimestamp(first->start);
  }
  *prediction.mutable_end() = ToTimestamp(first->end);
}

void ExplainWaiting(const View& view, const QueueReport& report, const QueueLine& line,
                    v1::ExplainTrialResponse& response) {
  const auto place = static_cast<size_t>(&line - report.waiting.data());
  response.set_ahead_total(static_cast<int32_t>(report.running.size() + place));
  size_t left = kAheadShownMax;
  for (size_t i = place; i > 0 && left > 0; --i, --left) {
    *response.add_ahead() = ToProto(report.waiting[i - 1]);
  }
  for (auto runs = report.running.rbegin(); runs != report.running.rend() && left > 0;
       ++runs, --left) {
    *response.add_ahead() = ToProto(*runs);
  }
  for (v1::WhatIf& what_if : WhatIfs(view, line).Run()) {
    *response.add_what_if() = std::move(what_if);
  }
}

void ExplainRunning(const ClusterState::Trial& trial, const QueueLine* line,
                    v1::ExplainTrialResponse& response) {
  const storage::v1::AttemptRecord* attempt = OpenAttempt(trial.record);
  if (attempt == nullptr) return;
  for (const storage::v1::RankPlacement& rank : attempt->ranks()) {
    v1::Placement& placement = *response.add_placements();
    placement.set_worker(rank.worker());
    placement.set_slot(rank.slot());
  }
  response.set_placement_reason(PlacementReason(*attempt));
  if (attempt->has_stop()) {
    response.mutable_entry()->set_message(
        absl::StrCat("stopping: ", attempt->stop().now() ? "at once" : "after a checkpoint"));
  }
  if (line == nullptr) return;
  *response.mutable_preemption_cost() = ToDuration(line->restart_cost);
  if (line->preemptible_at != absl::InfiniteFuture()) {
    *response.mutable_preemptible_time() = ToTimestamp(line->preemptible_at);
  }
}

// When the last one ends; nullopt if nobody can say of one of them.
std::optional<absl::Time> EndOf(const QueueReport& report) {
  absl::Time end = absl::InfinitePast();
  for (const auto* lines : {&report.running, &report.waiting}) {
    for (const QueueLine& line : *lines) end = std::max(end, line.end);
  }
  if (end == absl::InfinitePast() || end == absl::InfiniteFuture()) return std::nullopt;
  return end;
}

template <typename Entries>
void AddEntries(const QueueReport& report, Entries& entries) {
  for (const auto* lines : {&report.running, &report.waiting}) {
    for (const QueueLine& line : *lines) {
      if (static_cast<size_t>(entries.size()) >= kPredictedShownMax) return;
      *entries.Add() = ToProto(line);
    }
  }
}

absl::StatusOr<QueueChange> ChangeOf(const View& view, const v1::PredictQueueRequest& request) {
  if (request.workers() < 0 || request.workers() > kWorkersSupposedMax) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("workers: must be 0 to ", kWorkersSupposedMax, ", not ", request.workers()));
  }
  QueueChange change;
  PlanWorker worker = LargestOpenWorker(view);
  if (request.has_slots_each()) {
    if (request.slots_each() < 1 || request.slots_each() > kSlotsPerWorkerSupposedMax) {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("slots_each: must be 1 to ", kSlotsPerWorkerSupposedMax,
                                          ", not ", request.slots_each()));
    }
    worker.slots = request.slots_each();
  }
  change.more.assign(static_cast<size_t>(request.workers()), worker);
  for (const std::string& text : request.without_workers()) {
    CVT_ASSIGN_OR_RETURN(const WorkerName name, WorkerName::Parse(text));
    CVT_RETURN_IF_ERROR(view.state().FindWorker(name).status());
    change.without.insert(name);
  }
  return change;
}

}  // namespace

QueueReport ReportQueue(const View& view, const QueueChange& change) {
  if (view.live().scheduling != nullptr) {
    return view.live().scheduling->Report(view.state(), view.live(), view.now(), change);
  }
  return Scheduling().Report(view.state(), view.live(), view.now(), change);
}

absl::StatusOr<v1::ListQueueResponse> ListQueue(const View& view, const PageTokens& tokens,
                                                absl::string_view caller,
                                                const v1::ListQueueRequest& request) {
  CVT_ASSIGN_OR_RETURN(Page page, Page::Open(tokens, caller, request));
  const QueueReport report = ReportQueue(view);
  std::vector<const QueueLine*> lines;
  if (request.running()) {
    for (const QueueLine& line : report.running) lines.push_back(&line);
  }
  for (const QueueLine& line : report.waiting) lines.push_back(&line);
  v1::ListQueueResponse response;
  response.set_waiting_total(static_cast<int32_t>(report.waiting.size()));
  // Places count from 1, so that 0 is before the first one.
  for (size_t i = static_cast<size_t>(page.AfterNumbers(1)[0]); i < lines.size(); ++i) {
    v1::QueueEntry entry = ToProto(*lines[i]);
    if (!page.Take(absl::StrCat(i + 1), entry.ByteSizeLong())) break;
    *response.add_entries() = std::move(entry);
  }
  response.set_next_page_token(page.next_token());
  return response;
}

absl::StatusOr<v1::ExplainTrialResponse> ExplainTrial(const View& view,
                                                      const v1::ExplainTrialRequest& request) {
  CVT_ASSIGN_OR_RETURN(const TrialName name, TrialName::Parse(request.name()));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Trial* trial, view.state().FindTrial(name));
  CVT_ASSIGN_OR_RETURN(const ClusterState::Experiment* experiment,
                       view.state().FindExperiment(name.experiment()));
  v1::ExplainTrialResponse response;
  if (HasEnded(trial->record.state())) {
    QueueLine line;
    line.experiment = experiment;
    line.trial = trial;
    line.text = trial->record.reason();
    *response.mutable_entry() = ToProto(line);
    return response;
  }
  const QueueReport report = ReportQueue(view);
  const QueueLine* runs = FindLine(report.running, name);
  const QueueLine* waits = FindLine(report.waiting, name);
  QueueLine unknown;  // one that is stopping
  unknown.experiment = experiment;
  unknown.trial = trial;
  *response.mutable_entry() = ToProto(waits != nullptr  ? *waits
                                      : runs != nullptr ? *runs
                                                        : unknown);
  AddPrediction(view, name, response);
  if (waits != nullptr) {
    ExplainWaiting(view, report, *waits, response);
  } else {
    ExplainRunning(*trial, runs, response);
  }
  return response;
}

absl::StatusOr<v1::PredictQueueResponse> PredictQueue(const View& view,
                                                      const v1::PredictQueueRequest& request) {
  CVT_ASSIGN_OR_RETURN(const QueueChange change, ChangeOf(view, request));
  const QueueReport now = ReportQueue(view);
  const QueueReport then = ReportQueue(view, change);
  v1::PredictQueueResponse response;
  AddEntries(now, *response.mutable_now());
  AddEntries(then, *response.mutable_then());
  if (const auto end = EndOf(now)) *response.mutable_end_now() = ToTimestamp(*end);
  if (const auto end = EndOf(then)) *response.mutable_end_then() = ToTimestamp(*end);
  return response;
}

}  // namespace cvtrain::coordinator
