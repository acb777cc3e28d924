#include "worker/trainer/data/shard_batch_source.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/thread.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/ladder/picture_cache.h"
#include "formats/ladder/picture_reader.h"
#include "formats/picture/picture_editor.h"
#include "plan/augment/picture_draw.h"
#include "plan/curriculum/sample_order.h"
#include "worker/trainer/data/ahead_fetcher.h"
#include "worker/trainer/data/batch_job.h"
#include "worker/trainer/data/section_forecast.h"
#include "worker/trainer/data/split_reader.h"

namespace cvtrain::trainer {
namespace {

// Pictures that a thread takes at a time: few, so that the end of a batch does
// not wait for one thread.
constexpr size_t kPicturesPerTurn = 4;
// Evaluation batches on their way.
constexpr size_t kEvaluationAhead = 2;

// The batches of this process, in order: a walk over the plan.
class TrainingWalk {
 public:
  explicit TrainingWalk(const BatchSourceContext& context)
      : plan_(context.plan), share_(context.share), order_(context.plan, 0) {}

  void Seek(int64_t step) {
    position_ = plan_.PositionOf(step);
    rank_ = 0;
    if (!AtEnd()) LoadEpoch();
  }

  bool AtEnd() const { return position_.epoch >= plan_.epochs(); }
  int32_t epoch() const { return position_.epoch; }

  // Fills in what the next batch is made of, and moves on.
  void Next(BatchJob& job) {
    const plan::PlannedStep& step = steps_[static_cast<size_t>(position_.step_in_epoch)];
    const int32_t logical_rank = share_.first + rank_;
    job.height = step.scale.height;
    job.width = step.scale.width;
    job.resize = 0;
    const plan::RankStepKey key = {.seed = plan_.seed(),
                                   .epoch = position_.epoch,
                                   .step_in_epoch = position_.step_in_epoch,
                                   .logical_rank = logical_rank};
    const std::vector<int64_t> samples = order_.Batch(step, logical_rank);
    for (size_t i = 0; i < samples.size(); ++i) {
      job.items.push_back(
          {.sample = samples[i], .key = {.step = key, .position = static_cast<int32_t>(i)}});
    }
    Advance();
  }

 private:
  void Advance() {
    if (++rank_ < share_.count) return;
    rank_ = 0;
    if (++position_.step_in_epoch < static_cast<int64_t>(steps_.size())) return;
    position_ = {.epoch = position_.epoch + 1, .step_in_epoch = 0};
    if (!AtEnd()) LoadEpoch();
  }

  void LoadEpoch() {
    steps_ = plan_.EpochSteps(position_.epoch);
    order_ = plan::SampleOrder(plan_, position_.epoch);
  }

  const plan::TrialPlan& plan_;
  const LogicalShare share_;
  plan::StepPosition position_;
  int32_t rank_ = 0;  // within the share
  std::vector<plan::PlannedStep> steps_;
  plan::SampleOrder order_;
};

// Pictures that cannot be decoded: how many there may be, and which have been seen.
class BadPictures {
 public:
  // At least one may be bad, but not all: another one must take its place.
  explicit BadPictures(int64_t images)
      : allowed_(std::min(
            images - 1,
            std::max<int64_t>(1, static_cast<int64_t>(std::floor(limits::kBadSampleShareMax *
                                                                 static_cast<double>(images)))))) {}

  // Returns DATA_LOSS (DATA_BAD) once there are too many.
  absl::Status Add(int64_t sample, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    seen_.insert(sample);
    if (static_cast<int64_t>(seen_.size()) <= allowed_) return absl::OkStatus();
    return DataLoss(Reason::kDataBad,
                    absl::StrCat(seen_.size(), " pictures cannot be decoded, at most ", allowed_,
                                 " may be bad; the last one: ", why.message()));
  }

  std::vector<int64_t> seen() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return {seen_.begin(), seen_.end()};
  }
  void Note(absl::Span<const int64_t> samples) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    seen_.insert(samples.begin(), samples.end());
  }

 private:
  const int64_t allowed_;
  mutable absl::Mutex mu_;
  std::set<int64_t> seen_ ABSL_GUARDED_BY(mu_);
};

class ShardBatchSource : public BatchSource {
 public:
  ShardBatchSource(const BatchSourceContext& context, const ShardBatchSourceOptions& options,
                   ShardProvider& shards, std::unique_ptr<SplitReader> train,
                   std::unique_ptr<SplitReader> validation)
      : context_(context),
        options_(options),
        shards_(shards),
        train_(std::move(train)),
        validation_(std::move(validation)),
        bad_train_(train_->images()),
        bad_validation_(validation_->images()),
        pictures_(options.picture_cache_bytes),
        pool_(std::make_shared<JobPool>()),
        forecast_(context.dataset),
        walk_(context) {
    for (int i = 0; i < options_.decode_threads; ++i) {
      times_.push_back(std::make_unique<WorkTimes>(options_.clock));
    }
    for (int i = 0; i < options_.decode_threads; ++i) {
      WorkTimes& times = *times_[static_cast<size_t>(i)];
      threads_.push_back(std::make_unique<Thread>(
          absl::StrCat("decode-", i),
          [this, &times](const StopToken& stop) { Decode(stop, times); }, options_.nice));
    }
  }

  ~ShardBatchSource() override {
    Cancel();
    shards_.CancelWaits();
    ahead_.reset();
    threads_.clear();
  }

  absl::Status StartTraining(int64_t step) override {
    walk_.Seek(step);
    const std::vector<plan::Stage>& stages = context_.plan.curriculum().stages();
    stage_sections_.clear();
    for (const plan::Stage& stage : stages) {
      stage_sections_.push_back(forecast_.OfTraining(context_.recipe.augmentation(), stage.scales));
    }
    stage_ = StageOf(walk_.epoch());
    train_->Expect(stage_sections_[stage_]);
    if (options_.fetch_ahead_bytes > 0) {
      ahead_ = std::make_unique<AheadFetcher>(
          *train_, *validation_,
          AheadFetcher::Options{.stages = stage_sections_,
                                .stage = stage_,
                                .evaluation = EvaluationSections(),
                                .budget_bytes = options_.fetch_ahead_bytes,
                                .rank = context_.rank,
                                .world_size = context_.world_size});
    }
    // All shards of the first batches at once; decoding threads would ask for one at a time.
    train_->Prefetch(QueueTraining());
    return absl::OkStatus();
  }

  bool WaitForTraining(int batches, absl::Duration timeout) override {
    stall_.Begin();
    const auto ready = [this, batches]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      const size_t wanted = std::min(training_.size(), static_cast<size_t>(batches));
      return !failure_.ok() ||
             std::all_of(training_.begin(), training_.begin() + static_cast<int64_t>(wanted),
                         [](const auto& job) { return job->finished == job->items.size(); });
    };
    absl::MutexLock lock(&mu_);
    const bool is_ready = mu_.AwaitWithTimeout(absl::Condition(&ready), timeout);
    stall_.End();
    return is_ready;
  }

  absl::StatusOr<Batch> NextTraining() override {
    stall_.Begin();
    absl::StatusOr<std::unique_ptr<BatchJob>> job = Await(&ShardBatchSource::training_);
    stall_.End();
    CVT_RETURN_IF_ERROR(job.status());
    if (*job == nullptr) return absl::OutOfRangeError("the plan has ended");
    QueueTraining();
    return MakeBatch(*std::move(job), pool_);
  }

  absl::Status StartEvaluation(const EvaluationView& view) override {
    DropEvaluation();
    view_ = view;
    validation_->Expect(forecast_.OfEvaluation(view.resize, view.crop));
    next_evaluated_ = context_.rank;
    QueueEvaluation();
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<Batch>> NextEvaluation() override {
    CVT_ASSIGN_OR_RETURN(std::unique_ptr<BatchJob> job, Await(&ShardBatchSource::evaluation_));
    if (job == nullptr) return std::nullopt;
    QueueEvaluation();
    return MakeBatch(std::move(job), pool_);
  }

  InputStall training_stall() const override { return stall_.stall(); }

  int64_t replaced_samples() const override {
    absl::MutexLock lock(&mu_);
    return replaced_;
  }

  std::vector<int64_t> bad_samples() const override { return bad_train_.seen(); }
  void NoteBadSamples(absl::Span<const int64_t> samples) override { bad_train_.Note(samples); }

  void Cancel() override {
    absl::MutexLock lock(&mu_);
    if (failure_.ok()) {
      failure_ = cvtrain::Cancelled(Reason::kStopping, "the attempt has been ended");
    }
    changed_.SignalAll();
  }

 private:
  using Queue = std::deque<std::unique_ptr<BatchJob>>;
  // One of the queues, by name: what it names may be used with the lock only.
  using QueueMember = Queue ShardBatchSource::*;

  // --- The training loop's thread ---------------------------------------------

  // Returns the pictures that were queued.
  std::vector<int64_t> QueueTraining() {
    std::vector<int64_t> samples;
    while (SizeOf(&ShardBatchSource::training_) < static_cast<size_t>(options_.batches_ahead) &&
           !walk_.AtEnd()) {
      std::unique_ptr<BatchJob> job = pool_->Take();
      const int32_t epoch = walk_.epoch();
      walk_.Next(*job);
      if (walk_.epoch() != epoch && !walk_.AtEnd()) BeginEpoch();
      for (const BatchItem& item : job->items) samples.push_back(item.sample);
      Push(&ShardBatchSource::training_, std::move(job));
    }
    return samples;
  }

  void BeginEpoch() {
    pictures_.BeginEpoch();
    const size_t stage = StageOf(walk_.epoch());
    if (stage == stage_) return;
    stage_ = stage;
    train_->Expect(stage_sections_[stage]);
    if (ahead_ != nullptr) ahead_->BeginStage(stage);
  }

  size_t StageOf(int32_t epoch) const {
    return static_cast<size_t>(context_.plan.curriculum().StageOf(epoch).index);
  }

  // What the evaluations of the recipe will read.
  SectionSet EvaluationSections() const {
    SectionSet sections;
    for (const cvtrain::v1::EvaluationSize& size : context_.recipe.evaluation().sizes()) {
      sections |= forecast_.OfEvaluation(size.resize(), size.crop());
    }
    return sections;
  }

  void QueueEvaluation() {
    while (SizeOf(&ShardBatchSource::evaluation_) < kEvaluationAhead &&
           next_evaluated_ < validation_->images()) {
      std::unique_ptr<BatchJob> job = pool_->Take();
      job->height = view_.crop;
      job->width = view_.crop;
      job->resize = view_.resize;
      while (job->items.size() < static_cast<size_t>(view_.batch_size) &&
             next_evaluated_ < validation_->images()) {
        job->items.push_back({.sample = next_evaluated_, .key = {}});
        next_evaluated_ += context_.world_size;
      }
      Push(&ShardBatchSource::evaluation_, std::move(job));
    }
  }

  // Ends a pass: what threads work on is finished first.
  void DropEvaluation() {
    next_evaluated_ = validation_->images();
    absl::MutexLock lock(&mu_);
    for (const auto& job : evaluation_) job->items.resize(job->handed_out);
    while (failure_.ok() &&
           std::any_of(evaluation_.begin(), evaluation_.end(),
                       [](const auto& job) { return job->finished < job->handed_out; })) {
      changed_.Wait(&mu_);
    }
    evaluation_.clear();
  }

  void Push(QueueMember queue, std::unique_ptr<BatchJob> job) ABSL_LOCKS_EXCLUDED(mu_) {
    const size_t bytes = job->items.size() * job->picture_bytes();
    if (job->pixels.size() < bytes) job->pixels.resize(bytes);
    job->labels.resize(job->items.size());
    job->samples.resize(job->items.size());
    for (size_t i = 0; i < job->items.size(); ++i) job->samples[i] = job->items[i].sample;
    absl::MutexLock lock(&mu_);
    (this->*queue).push_back(std::move(job));
    changed_.SignalAll();
  }

  size_t SizeOf(QueueMember queue) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return (this->*queue).size();
  }

  // The first job of `queue` once it is finished; null if there is none.
  absl::StatusOr<std::unique_ptr<BatchJob>> Await(QueueMember member) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    Queue& queue = this->*member;
    while (failure_.ok() && !queue.empty() &&
           queue.front()->finished < queue.front()->items.size()) {
      changed_.Wait(&mu_);
    }
    CVT_RETURN_IF_ERROR(failure_);
    if (queue.empty()) return nullptr;
    std::unique_ptr<BatchJob> job = std::move(queue.front());
    queue.pop_front();
    return job;
  }

  // --- Decoding threads ----------------------------------------------------------

  struct Turn {
    BatchJob* job = nullptr;
    size_t begin = 0;
    size_t end = 0;
  };

  // What a decoding thread works with.
  struct Tools {
    WorkTimes& times;
    formats::PictureReader training;
    // Evaluation shows a picture once in a while, and always alike: caching it only takes room.
    formats::PictureReader evaluation;
    formats::PictureEditor editor = {};
  };

  void Decode(const StopToken& stop, WorkTimes& times) {
    Tools tools = {
        .times = times, .training = formats::PictureReader(&pictures_), .evaluation = {}};
    while (!stop.stop_requested()) {
      times.Enter(WorkTimes::kIdle);
      const Turn turn = TakeTurn();
      times.Enter(WorkTimes::kDecode);
      if (turn.job == nullptr) return;
      int64_t replaced = 0;
      absl::Status status;
      for (size_t i = turn.begin; i < turn.end && status.ok(); ++i) {
        status = FillOne(tools, *turn.job, i, replaced);
      }
      FinishTurn(turn, status, replaced);
    }
  }

  // Waits for work; a turn without a job means the end.
  Turn TakeTurn() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    while (failure_.ok()) {
      // Who evaluates waits for it; training batches are ahead.
      for (const Queue* queue : {&evaluation_, &training_}) {
        for (const auto& job : *queue) {
          if (job->handed_out == job->items.size()) continue;
          const size_t begin = job->handed_out;
          job->handed_out = std::min(job->items.size(), begin + kPicturesPerTurn);
          return {.job = job.get(), .begin = begin, .end = job->handed_out};
        }
      }
      changed_.Wait(&mu_);
    }
    return {};
  }

  void FinishTurn(const Turn& turn, const absl::Status& status, int64_t replaced)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    turn.job->finished += turn.end - turn.begin;
    replaced_ += replaced;
    if (!status.ok() && failure_.ok()) failure_ = status;
    changed_.SignalAll();
  }

  // Fills in picture `i`, or the next one in the split that can be decoded.
  absl::Status FillOne(Tools& tools, BatchJob& job, size_t i, int64_t& replaced) {
    const bool training = job.resize == 0;
    SplitReader& split = training ? *train_ : *validation_;
    formats::PictureReader& reader = training ? tools.training : tools.evaluation;
    BadPictures& bad = training ? bad_train_ : bad_validation_;
    const absl::Span<uint8_t> pixels =
        absl::MakeSpan(job.pixels).subspan(i * job.picture_bytes(), job.picture_bytes());
    for (int64_t sample = job.items[i].sample;; sample = (sample + 1) % split.images()) {
      tools.times.Enter(WorkTimes::kNetwork);
      CVT_ASSIGN_OR_RETURN(SplitReader::Picture picture, split.Find(sample));
      tools.times.Enter(WorkTimes::kDecode);
      const formats::ShardRecord facts = picture.shard->record(picture.record);
      const plan::PictureDraw draw = DrawOf(facts, job, i);
      const formats::PictureTarget target = {
          .crop = draw.crop, .width = job.width, .height = job.height, .flip = draw.flip};
      const int section =
          formats::PictureReader::SectionOf(facts, picture.shard->info().rungs, target);
      if (!split.IsHere(sample, section)) tools.times.Enter(WorkTimes::kNetwork);
      CVT_RETURN_IF_ERROR(split.Require(sample, section, &picture));
      tools.times.Enter(WorkTimes::kDisk);
      absl::Status status = reader.Find(*picture.shard, picture.record, target);
      tools.times.Enter(WorkTimes::kDecode);
      if (status.ok()) status = reader.Decode(pixels);
      if (status.ok()) {
        tools.editor.Apply(draw.steps, {pixels, job.width, job.height});
        job.labels[i] = facts.label;
        if (sample != job.items[i].sample) ++replaced;
        return absl::OkStatus();
      }
      if (absl::IsDataLoss(status) || absl::IsUnavailable(status)) return status;
      const absl::Status named =
          Annotate(status, "decoding picture", picture.shard->key(picture.record));
      CVT_RETURN_IF_ERROR(bad.Add(sample, named));
      CVT_LOG(kWarning, "a picture cannot be decoded; the next one takes its place")
          .Field("sample", sample)
          .Field("status", named.ToString());
    }
  }

  plan::PictureDraw DrawOf(const formats::ShardRecord& facts, const BatchJob& job, size_t i) const {
    const plan::PixelSize source = {.width = facts.source.width, .height = facts.source.height};
    if (job.resize > 0) {
      plan::PictureDraw evaluation;
      evaluation.crop = plan::CentreCrop(source.width, source.height, job.resize, job.width);
      return evaluation;
    }
    return plan::DrawPicture(context_.recipe.augmentation(), source,
                             {.width = job.width, .height = job.height}, job.items[i].key);
  }

  // Constant after construction.
  const BatchSourceContext context_;
  const ShardBatchSourceOptions options_;
  ShardProvider& shards_;
  const std::unique_ptr<SplitReader> train_;
  const std::unique_ptr<SplitReader> validation_;
  BadPictures bad_train_;
  BadPictures bad_validation_;
  formats::PictureCache pictures_;
  const std::shared_ptr<JobPool> pool_;
  std::vector<std::unique_ptr<WorkTimes>> times_;  // of each thread; constant once they run

  // Of the training loop's thread.
  SectionForecast forecast_;
  TrainingWalk walk_;
  size_t stage_ = 0;                        // that walk_ is in
  std::vector<SectionSet> stage_sections_;  // expected of each stage
  EvaluationView view_;
  int64_t next_evaluated_ = 0;
  StallMeter stall_{options_.clock, times_};

  // Jobs in the queues: their counters are guarded, their pictures belong to
  // the thread that took the turn.
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  Queue training_ ABSL_GUARDED_BY(mu_);
  Queue evaluation_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int64_t replaced_ ABSL_GUARDED_BY(mu_) = 0;

  // The last members: they use all others.
  std::unique_ptr<AheadFetcher> ahead_;  // null if nothing is fetched ahead
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BatchSource>> NewShardBatchSource(
    const BatchSourceContext& context, ShardProvider& shards,
    const ShardBatchSourceOptions& options) {
  const cvtrain::v1::DatasetSource& source = context.recipe.dataset();
  if (!source.digest().empty() && source.digest() != context.dataset.digest()) {
    return InvalidArgument(
        Reason::kRecipeInvalid,
        absl::StrCat(context.dataset.name(), ": has digest ", context.dataset.digest(),
                     ", the recipe pins ", source.digest()));
  }
  CVT_ASSIGN_OR_RETURN(auto train,
                       SplitReader::Create(context.dataset, source.train_split(), shards));
  CVT_ASSIGN_OR_RETURN(auto validation,
                       SplitReader::Create(context.dataset, source.validation_split(), shards));
  if (train->images() != context.plan.images()) {
    return InvalidArgument(
        Reason::kRecipeInvalid,
        absl::StrCat(context.dataset.name(), ": split ", source.train_split(), " has ",
                     train->images(), " pictures, the plan is for ", context.plan.images()));
  }
  return std::make_unique<ShardBatchSource>(context, options, shards, std::move(train),
                                            std::move(validation));
}

}  // namespace cvtrain::trainer
