#include "worker/trainer/link/reporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "worker/trainer/train/proto_time.h"

namespace cvtrain::trainer {
namespace {

// What one frame carries: far below the size of a frame, so that the agent never waits long for
// the end of one.
constexpr int64_t kPointsPerFrame = 20'000;
constexpr size_t kFactsPerFrame = 100;
constexpr size_t kLinesPerFrame = 200;

}  // namespace

Reporter::Reporter(const Clock& clock, Send send, absl::Duration interval)
    : clock_(clock),
      send_(std::move(send)),
      interval_(interval),
      thread_("cvt-report", [this](StopToken) { Run(); }) {}

Reporter::~Reporter() {
  absl::MutexLock lock(&mu_);
  ended_ = true;  // ends the thread, and lets go of those that wait in AddPoint()
}

void Reporter::AddPoint(absl::string_view metric, int64_t step, double value) {
  const auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return ended_ || unsent_.points < kPointsMax;
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&has_room));
  auto known = unsent_.series.find(metric);
  if (known == unsent_.series.end()) {
    known = unsent_.series.emplace(std::string(metric), Series()).first;
    unsent_.names.emplace_back(metric);
  }
  known->second.steps.push_back(step);
  known->second.values.push_back(value);
  ++unsent_.points;
}

void Reporter::AddFact(session::v1::Fact fact) {
  *fact.mutable_time() = ToProto(clock_.WallNow());
  absl::MutexLock lock(&mu_);
  unsent_.facts.push_back(std::move(fact));
}

void Reporter::SetProgress(const cvtrain::v1::Progress& progress) {
  absl::MutexLock lock(&mu_);
  progress_ = progress;
  *progress_->mutable_update_time() = ToProto(clock_.WallNow());
  unsent_.progress_changed = true;
  unsent_.active = true;
  ++activity_;
}

void Reporter::NoteActivity() {
  absl::MutexLock lock(&mu_);
  unsent_.active = true;
  ++activity_;
}

void Reporter::AddLine(cvtrain::v1::LogLevel level, absl::string_view text) {
  cvtrain::v1::LogLine line;
  *line.mutable_time() = ToProto(clock_.WallNow());
  line.set_level(level);
  line.set_text(std::string(text.substr(0, limits::kLogLineSizeBytesMax)));
  absl::MutexLock lock(&mu_);
  if (static_cast<int64_t>(unsent_.lines.size()) >= kLinesMax) {
    ++unsent_.lines_dropped;
    return;
  }
  unsent_.lines.push_back(std::move(line));
}

absl::Status Reporter::Flush() {
  absl::MutexLock sending(&send_mu_);
  return SendUnsent(/*progress_is_due=*/false);
}

void Reporter::Clear() {
  absl::MutexLock lock(&mu_);
  unsent_ = Unsent();
  progress_.reset();
  activity_ = 0;
}

bool Reporter::WaitForWork() {
  // Decisions rest on facts, and latencies are measured by them.
  const auto at_once = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return ended_ || !unsent_.facts.empty();
  };
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&at_once), interval_);
  return !ended_;
}

void Reporter::Run() {
  absl::Duration progress_due = clock_.SteadyNow();
  while (WaitForWork()) {
    const absl::Duration now = clock_.SteadyNow();
    const bool due = now >= progress_due;
    if (due) progress_due = now + kProgressInterval;
    absl::MutexLock sending(&send_mu_);
    // Who sends ends the connection after an error, and with it the process.
    SendUnsent(due).IgnoreError();
  }
}

absl::Status Reporter::SendUnsent(bool progress_is_due) {
  Unsent unsent;
  v1::Report last;
  {
    absl::MutexLock lock(&mu_);
    unsent = std::exchange(unsent_, Unsent());
    if ((progress_is_due || unsent.progress_changed) && progress_.has_value()) {
      *last.mutable_progress() = *progress_;
    }
    if (unsent.active) last.set_activity(activity_);
  }
  CVT_RETURN_IF_ERROR(SendLines(unsent));
  return SendReports(unsent, std::move(last));
}

absl::Status Reporter::SendLines(Unsent& unsent) {
  if (unsent.lines_dropped > 0) {
    cvtrain::v1::LogLine line;
    *line.mutable_time() = ToProto(clock_.WallNow());
    line.set_level(cvtrain::v1::LOG_LEVEL_WARNING);
    line.set_text(absl::StrCat(unsent.lines_dropped, " lines were dropped: too many at once"));
    unsent.lines.push_back(std::move(line));
  }
  for (size_t begin = 0; begin < unsent.lines.size(); begin += kLinesPerFrame) {
    v1::TrainerFrame frame;
    const size_t end = std::min(begin + kLinesPerFrame, unsent.lines.size());
    for (size_t i = begin; i < end; ++i) {
      *frame.mutable_log()->add_lines() = std::move(unsent.lines[i]);
    }
    CVT_RETURN_IF_ERROR(send_(frame));
  }
  return absl::OkStatus();
}

absl::Status Reporter::SendReports(Unsent& unsent, v1::Report last) {
  v1::TrainerFrame frame;
  int64_t points = 0;
  for (const std::string& name : unsent.names) {
    const Series& series = unsent.series[name];
    for (size_t begin = 0; begin < series.steps.size();) {
      const size_t count =
          std::min(series.steps.size() - begin, static_cast<size_t>(kPointsPerFrame - points));
      cvtrain::v1::MetricSeries& out = *frame.mutable_report()->add_series();
      out.set_metric(name);
      out.mutable_steps()->Add(series.steps.data() + begin, series.steps.data() + begin + count);
      out.mutable_values()->Add(series.values.data() + begin, series.values.data() + begin + count);
      begin += count;
      points += static_cast<int64_t>(count);
      if (points == kPointsPerFrame) {
        CVT_RETURN_IF_ERROR(send_(std::exchange(frame, v1::TrainerFrame())));
        points = 0;
      }
    }
  }
  for (size_t i = 0; i < unsent.facts.size(); ++i) {
    if (i > 0 && i % kFactsPerFrame == 0) {
      CVT_RETURN_IF_ERROR(send_(std::exchange(frame, v1::TrainerFrame())));
    }
    *frame.mutable_report()->add_facts() = std::move(unsent.facts[i]);
  }
  if (last.has_progress() || last.activity() > 0) frame.mutable_report()->MergeFrom(last);
  return frame.has_report() ? send_(frame) : absl::OkStatus();
}

}  // namespace cvtrain::trainer
