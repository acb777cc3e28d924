#ifndef CVTRAIN_WORKER_TRAINER_DATA_BATCH_SOURCE_H_
#define CVTRAIN_WORKER_TRAINER_DATA_BATCH_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plan/curriculum/trial_plan.h"
#include "worker/trainer/data/logical_share.h"
#include "worker/trainer/data/work_times.h"

namespace cvtrain::v1 {
class DatasetVersion;
class Recipe;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// Decoded, cropped pictures with their labels. Movable, not copyable; the memory goes back to its
// source when the batch is destroyed.
struct Batch {
  int64_t count = 0;   // pictures
  int32_t height = 0;  // pixels of each
  int32_t width = 0;
  // count x height x width x 3 bytes: picture after picture, row after row from the top, R G B.
  absl::Span<const uint8_t> pixels;
  // `count` indices of classes.
  absl::Span<const int64_t> labels;
  // `count` positions within the split: keys for what is drawn per picture later. Where a bad
  // picture was replaced, the position of the one that was planned.
  absl::Span<const int64_t> samples;
  // Owns what the spans point to; destroying it gives the memory back to the source.
  std::unique_ptr<void, void (*)(void*)> memory{nullptr, [](void*) {}};
};

// How the pictures of the validation split are cut out.
struct EvaluationView {
  int32_t resize = 0;      // short side after resizing, pixels
  int32_t crop = 0;        // side of the centre crop, pixels
  int32_t batch_size = 0;  // pictures per batch; the last one of a pass may be smaller
};

// Where the training loop of one attempt gets its pictures: decodes ahead of it on threads of its
// own. Which pictures, of what size, is what plan::TrialPlan and plan::SampleOrder say of the
// trial; what is done to them is plan::DrawPicture(), keyed by (seed, epoch, step, logical rank,
// position). So a batch is the same whenever and wherever it is asked for. Knows nothing about
// tensors, networks or what is done to those.
//
// Errors of all functions, after which the source is of no more use:
//   DATA_LOSS (SHARD_BAD)           a shard is damaged
//   DATA_LOSS (DATA_BAD)            more than limits::kBadSampleShareMax of the pictures cannot be
//                                   decoded
//   UNAVAILABLE (SHARD_NOT_FOUND)   a shard is damaged or gone where it comes from
//   INTERNAL (INTERNAL)             the agent cannot get a shard
//   RESOURCE_EXHAUSTED (OUT_OF_MEMORY)
//   CANCELLED (STOPPING)            Cancel() was called
//
// All but Cancel() are called by one thread, the training loop's. At most two batches are held by
// the caller at a time.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // The batches that follow are those of `step` and on, in order: of each step, the logical ranks
  // of this process, ascending. Called before the first NextTraining(), and again never.
  virtual absl::Status StartTraining(int64_t step) = 0;

  // Waits until NextTraining() would return at once `batches` times in a row, as far as the source
  // decodes ahead; false if it would not after `timeout`.
  virtual bool WaitForTraining(int batches, absl::Duration timeout) = 0;

  // Waits for the next training batch. OUT_OF_RANGE after the plan's end. Training goes on after
  // an evaluation where it was: decoded batches are kept.
  virtual absl::StatusOr<Batch> NextTraining() = 0;

  // The evaluation batches that follow are one pass over this process's share of the validation
  // split: the pictures at positions that are equal to its rank modulo the number of processes,
  // ascending. Ends a pass that has not been read to its end.
  virtual absl::Status StartEvaluation(const EvaluationView& view) = 0;

  // Waits for the next batch of the pass; nothing after its last.
  virtual absl::StatusOr<std::optional<Batch>> NextEvaluation() = 0;

  // Time that NextTraining() and WaitForTraining() have waited for pictures so far, and why.
  virtual InputStall training_stall() const = 0;

  // Pictures that could not be decoded and were replaced by another one, so far.
  virtual int64_t replaced_samples() const = 0;

  // Training pictures that this process has found to be bad, ascending; and those that an attempt
  // before has found: they count towards the bound.
  virtual std::vector<int64_t> bad_samples() const = 0;
  virtual void NoteBadSamples(absl::Span<const int64_t> samples) = 0;

  // Makes waiting calls return, now and from now on. Thread-safe.
  virtual void Cancel() = 0;
};

// What a source is made for. The references outlive the source.
struct BatchSourceContext {
  const cvtrain::v1::Recipe& recipe;
  const cvtrain::v1::DatasetVersion& dataset;
  const plan::TrialPlan& plan;
  LogicalShare share;  // logical ranks of this process
  int32_t rank = 0;
  int32_t world_size = 1;
};

// INVALID_ARGUMENT (RECIPE_INVALID) if the data set has no such split, or is not what the recipe
// pins.
using BatchSourceFactory =
    std::function<absl::StatusOr<std::unique_ptr<BatchSource>>(const BatchSourceContext&)>;

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_BATCH_SOURCE_H_
