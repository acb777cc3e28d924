#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKES_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/memfd.h"
#include "common/unique_fd.h"
#include "worker/trainer/collective/store_transport.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/snapshot/snapshotter.h"
#include "worker/trainer/train/host.h"

// What surrounds an attempt, in memory.
namespace cvtrain::trainer {

// The key-value store of one attempt. Every waiting operation answers timed_out after a short
// while, so that callers have to ask again. Thread-safe.
class InMemoryStore : public StoreTransport {
 public:
  absl::StatusOr<session::v1::StoreResult> Call(
      const session::v1::StoreOperation& operation) override;

  // From now on every call fails.
  void Fail(const absl::Status& status);
  int64_t calls() const;
  std::vector<std::string> keys() const;

 private:
  bool HasAll(const session::v1::StoreOperation& operation) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int64_t calls_ ABSL_GUARDED_BY(mu_) = 0;
};

// Keeps what is reported, and stops the attempt where it is told to. Thread-safe.
class FakeHost : public TrainerHost {
 public:
  // Asks for a stop once `step` steps are done.
  void StopAfter(int64_t step, StopRequest request);
  // Calls `action` when `step` steps are done, before the loop looks at what is due.
  void CallAfter(int64_t step, std::function<void()> action);

  std::vector<std::pair<int64_t, double>> Points(const std::string& metric) const;
  std::vector<session::v1::Fact> facts() const;
  cvtrain::v1::Progress progress() const;
  int64_t activity() const;

  void ReportPoint(absl::string_view metric, int64_t step, double value) override;
  void ReportFact(session::v1::Fact fact) override;
  void ReportProgress(const cvtrain::v1::Progress& progress) override;
  void NoteActivity() override;
  void Log(cvtrain::v1::LogLevel level, absl::string_view text) override;
  StopRequest stop_request() const override;
  // Returns at once.
  void WaitFor(absl::Duration duration) const override;

 private:
  mutable absl::Mutex mu_;
  std::map<std::string, std::vector<std::pair<int64_t, double>>> points_ ABSL_GUARDED_BY(mu_);
  std::vector<session::v1::Fact> facts_ ABSL_GUARDED_BY(mu_);
  cvtrain::v1::Progress progress_ ABSL_GUARDED_BY(mu_);
  int64_t activity_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<std::pair<int64_t, StopRequest>> stop_after_ ABSL_GUARDED_BY(mu_);
  std::optional<std::pair<int64_t, std::function<void()>>> call_after_ ABSL_GUARDED_BY(mu_);
  StopRequest stop_ ABSL_GUARDED_BY(mu_);
};

// An agent that keeps every checkpoint it gets, completed with its trailer. Thread-safe.
class FakeSink : public CheckpointSink {
 public:
  struct Taken {
    Notice notice;
    std::string file;
  };

  // Whether buffers are released as soon as they are taken; default yes.
  void HoldBuffers(bool hold);
  // Releases what is held.
  void ReleaseAll();
  // Says that `buffer` with the checkpoint of `step` is free, true or not.
  void Release(int32_t buffer, int64_t step, bool durable = true);
  // The checkpoint of this step gets lost, the first time that it comes.
  void LoseOnce(int64_t step);

  std::vector<Taken> taken() const;

  absl::Status SendCheckpoint(const Notice& notice) override;
  void SetReleaseHandler(ReleaseHandler handler) override;

 private:
  mutable absl::Mutex mu_;
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  std::map<int32_t, SharedMemory> buffers_ ABSL_GUARDED_BY(mu_);
  std::vector<Notice> held_ ABSL_GUARDED_BY(mu_);
  std::vector<Taken> taken_ ABSL_GUARDED_BY(mu_);
  std::set<int64_t> lose_ ABSL_GUARDED_BY(mu_);
  ReleaseHandler handler_ ABSL_GUARDED_BY(mu_);
};

// A file in memory that holds `bytes`, as a resume point's descriptor.
UniqueFd FileOf(const std::string& bytes);

// Pictures that are a function of their position: noise over a pattern of their class, so that
// there is something to learn. `classes` labels in turn.
class PatternSource : public BatchSource {
 public:
  PatternSource(const BatchSourceContext& context, int classes);

  // Fails the training batch of this step with DATA_LOSS (DATA_BAD).
  void FailAt(int64_t step) { fail_at_ = step; }
  // The pictures of this step never come; `waiting` is called when they are waited for.
  void StallAt(int64_t step, std::function<void()> waiting) {
    stall_at_ = step;
    waiting_ = std::move(waiting);
  }

  absl::Status StartTraining(int64_t step) override;
  bool WaitForTraining(int batches, absl::Duration timeout) override;
  absl::StatusOr<Batch> NextTraining() override;
  absl::Status StartEvaluation(const EvaluationView& view) override;
  absl::StatusOr<std::optional<Batch>> NextEvaluation() override;
  InputStall training_stall() const override { return {}; }
  int64_t replaced_samples() const override { return 0; }
  std::vector<int64_t> bad_samples() const override { return bad_; }
  void NoteBadSamples(absl::Span<const int64_t> samples) override {
    bad_.assign(samples.begin(), samples.end());
  }
  void Cancel() override {}

 private:
  Batch Make(std::vector<int64_t> samples, int32_t height, int32_t width) const;

  const BatchSourceContext context_;
  const int classes_;
  int64_t step_ = 0;
  int32_t next_rank_ = 0;  // within the share
  int64_t fail_at_ = -1;
  int64_t stall_at_ = -1;
  std::vector<int64_t> bad_;
  std::function<void()> waiting_;
  EvaluationView view_;
  int64_t next_evaluation_ = 0;
  int64_t evaluation_images_ = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKES_H_
