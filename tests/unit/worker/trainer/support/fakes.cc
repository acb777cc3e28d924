#include "tests/unit/worker/trainer/support/fakes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/checkpoint/checkpoint.h"
#include "plan/curriculum/sample_order.h"

namespace cvtrain::trainer {

using session::v1::StoreOperation;
using session::v1::StoreResult;

bool InMemoryStore::HasAll(const StoreOperation& operation) const {
  const auto has = [this](const std::string& key)
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return values_.contains(key); };
  return (operation.key().empty() || has(operation.key())) &&
         std::all_of(operation.keys().begin(), operation.keys().end(), has);
}

absl::StatusOr<StoreResult> InMemoryStore::Call(const StoreOperation& operation) {
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !failure_.ok() || HasAll(operation);
  };
  StoreResult result;
  absl::MutexLock lock(&mu_);
  ++calls_;
  if (operation.kind() == StoreOperation::KIND_GET ||
      operation.kind() == StoreOperation::KIND_WAIT) {
    result.set_timed_out(!mu_.AwaitWithTimeout(absl::Condition(&ready), absl::Milliseconds(5)));
  }
  CVT_RETURN_IF_ERROR(failure_);
  if (result.timed_out()) return result;
  switch (operation.kind()) {
    case StoreOperation::KIND_SET:
      values_[operation.key()] = operation.value();
      break;
    case StoreOperation::KIND_GET:
      result.set_value(values_[operation.key()]);
      break;
    case StoreOperation::KIND_ADD: {
      std::string& value = values_[operation.key()];
      int64_t sum = 0;
      if (!value.empty()) CVT_CHECK(absl::SimpleAtoi(value, &sum));
      sum += operation.amount();
      value = absl::StrCat(sum);
      result.set_amount(sum);
      break;
    }
    case StoreOperation::KIND_COMPARE_SET: {
      std::string& value = values_[operation.key()];
      if (value == operation.expected()) value = operation.value();
      result.set_value(value);
      break;
    }
    case StoreOperation::KIND_CHECK:
      result.set_amount(HasAll(operation));
      break;
    case StoreOperation::KIND_DELETE:
      result.set_amount(static_cast<int64_t>(values_.erase(operation.key())));
      break;
    case StoreOperation::KIND_COUNT:
      result.set_amount(static_cast<int64_t>(values_.size()));
      break;
    default:
      break;
  }
  return result;
}

void InMemoryStore::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  failure_ = status;
}

int64_t InMemoryStore::calls() const {
  absl::MutexLock lock(&mu_);
  return calls_;
}

std::vector<std::string> InMemoryStore::keys() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> keys;
  for (const auto& [key, value] : values_) keys.push_back(key);
  return keys;
}

void FakeHost::StopAfter(int64_t step, StopRequest request) {
  absl::MutexLock lock(&mu_);
  if (step <= 1) {
    stop_ = request;
  } else {
    stop_after_ = {step, request};
  }
}

void FakeHost::CallAfter(int64_t step, std::function<void()> action) {
  absl::MutexLock lock(&mu_);
  call_after_ = {step, std::move(action)};
}

std::vector<std::pair<int64_t, double>> FakeHost::Points(const std::string& metric) const {
  absl::MutexLock lock(&mu_);
  const auto found = points_.find(metric);
  return found == points_.end() ? std::vector<std::pair<int64_t, double>>() : found->second;
}

std::vector<session::v1::Fact> FakeHost::facts() const {
  absl::MutexLock lock(&mu_);
  return facts_;
}

cvtrain::v1::Progress FakeHost::progress() const {
  absl::MutexLock lock(&mu_);
  return progress_;
}

void FakeHost::ReportPoint(absl::string_view metric, int64_t step, double value) {
  absl::MutexLock lock(&mu_);
  points_[std::string(metric)].emplace_back(step, value);
}

void FakeHost::ReportFact(session::v1::Fact fact) {
  absl::MutexLock lock(&mu_);
  facts_.push_back(std::move(fact));
}

void FakeHost::ReportProgress(const cvtrain::v1::Progress& progress) {
  std::function<void()> action;
  {
    absl::MutexLock lock(&mu_);
    progress_ = progress;
    // The step before it is done: the loop looks for requests at the end of each step.
    if (stop_after_.has_value() && progress.step() + 1 >= stop_after_->first) {
      stop_ = stop_after_->second;
    }
    if (call_after_.has_value() && progress.step() == call_after_->first) {
      action = call_after_->second;
    }
  }
  if (action) action();
}

int64_t FakeHost::activity() const {
  absl::MutexLock lock(&mu_);
  return activity_;
}

void FakeHost::NoteActivity() {
  absl::MutexLock lock(&mu_);
  ++activity_;
}

void FakeHost::Log(cvtrain::v1::LogLevel, absl::string_view) {}

StopRequest FakeHost::stop_request() const {
  absl::MutexLock lock(&mu_);
  return stop_;
}

void FakeHost::WaitFor(absl::Duration) const {}

void FakeSink::HoldBuffers(bool hold) {
  absl::MutexLock lock(&mu_);
  hold_ = hold;
}

void FakeSink::ReleaseAll() {
  std::vector<Notice> held;
  {
    absl::MutexLock lock(&mu_);
    held.swap(held_);
  }
  for (const Notice& notice : held) {
    bool durable = true;
    {
      absl::MutexLock lock(&mu_);
      durable = lose_.erase(notice.step) == 0;
    }
    Release(notice.buffer, notice.step, durable);
  }
}

void FakeSink::Release(int32_t buffer, int64_t step, bool durable) {
  ReleaseHandler handler;
  {
    absl::MutexLock lock(&mu_);
    handler = handler_;
  }
  handler({.buffer = buffer, .step = step, .durable = durable});
}

void FakeSink::LoseOnce(int64_t step) {
  absl::MutexLock lock(&mu_);
  lose_.insert(step);
}

std::vector<FakeSink::Taken> FakeSink::taken() const {
  absl::MutexLock lock(&mu_);
  return taken_;
}

absl::Status FakeSink::SendCheckpoint(const Notice& notice) {
  {
    absl::MutexLock lock(&mu_);
    if (notice.fd >= 0) {
      CVT_ASSIGN_OR_RETURN(buffers_[notice.buffer],
                           SharedMemory::MapReadOnly(UniqueFd(::dup(notice.fd)), size_t{1} << 32));
    }
    const absl::Span<const char> bytes = buffers_[notice.buffer].bytes();
    Taken taken = {notice, std::string(bytes.data(), bytes.size())};
    CVT_RETURN_IF_ERROR(formats::FinishTrailer(absl::MakeSpan(taken.file)).status());
    taken_.push_back(std::move(taken));
    held_.push_back(notice);
    if (hold_) return absl::OkStatus();
  }
  ReleaseAll();
  return absl::OkStatus();
}

void FakeSink::SetReleaseHandler(ReleaseHandler handler) {
  absl::MutexLock lock(&mu_);
  handler_ = std::move(handler);
}

UniqueFd FileOf(const std::string& bytes) {
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  CVT_CHECK(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return file;
}

PatternSource::PatternSource(const BatchSourceContext& context, int classes)
    : context_(context), classes_(classes) {
  for (const cvtrain::v1::Split& split : context.dataset.splits()) {
    if (split.name() == context.recipe.dataset().validation_split()) {
      evaluation_images_ = split.images();
    }
  }
}

absl::Status PatternSource::StartTraining(int64_t step) {
  step_ = step;
  next_rank_ = 0;
  return absl::OkStatus();
}

bool PatternSource::WaitForTraining(int, absl::Duration) {
  if (step_ != stall_at_) return true;
  waiting_();
  return false;
}

absl::StatusOr<Batch> PatternSource::NextTraining() {
  if (step_ == fail_at_) return DataLoss(Reason::kDataBad, "too many pictures are bad");
  if (step_ >= context_.plan.step_total()) {
    return absl::OutOfRangeError("the plan has ended");
  }
  const plan::StepPosition position = context_.plan.PositionOf(step_);
  const plan::PlannedStep planned =
      context_.plan.EpochSteps(position.epoch)[static_cast<size_t>(position.step_in_epoch)];
  const plan::SampleOrder order(context_.plan, position.epoch);
  Batch batch = Make(order.Batch(planned, context_.share.first + next_rank_), planned.scale.height,
                     planned.scale.width);
  if (++next_rank_ == context_.share.count) {
    next_rank_ = 0;
    ++step_;
  }
  return batch;
}

absl::Status PatternSource::StartEvaluation(const EvaluationView& view) {
  view_ = view;
  next_evaluation_ = context_.rank;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Batch>> PatternSource::NextEvaluation() {
  std::vector<int64_t> samples;
  while (next_evaluation_ < evaluation_images_ &&
         static_cast<int32_t>(samples.size()) < view_.batch_size) {
    samples.push_back(next_evaluation_);
    next_evaluation_ += context_.world_size;
  }
  if (samples.empty()) return std::nullopt;
  return Make(std::move(samples), view_.crop, view_.crop);
}

Batch PatternSource::Make(std::vector<int64_t> samples, int32_t height, int32_t width) const {
  struct Memory {
    std::vector<int64_t> samples;
    std::vector<int64_t> labels;
    std::vector<uint8_t> pixels;
  };
  auto memory = std::make_unique<Memory>();
  memory->samples = std::move(samples);
  for (int64_t sample : memory->samples) {
    const int64_t label = sample % classes_;
    memory->labels.push_back(label);
    KeyedStream stream("test/pattern/v1", {static_cast<uint64_t>(sample)});
    for (int32_t y = 0; y < height; ++y) {
      for (int32_t x = 0; x < width; ++x) {
        for (int64_t channel = 0; channel < 3; ++channel) {
          const bool stripe = (label % 2 == 0 ? x : y) / (1 + label) % 2 == 0;
          const auto noise = static_cast<int>(stream.UniformInt(96));
          memory->pixels.push_back(static_cast<uint8_t>((stripe ? 140 : 20) + noise));
        }
      }
    }
  }
  Batch batch;
  batch.count = static_cast<int64_t>(memory->samples.size());
  batch.height = height;
  batch.width = width;
  batch.pixels = memory->pixels;
  batch.labels = memory->labels;
  batch.samples = memory->samples;
  batch.memory = {memory.release(), [](void* data) { delete static_cast<Memory*>(data); }};
  return batch;
}

}  // namespace cvtrain::trainer
