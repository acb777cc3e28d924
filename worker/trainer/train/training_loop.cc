#include "worker/trainer/train/training_loop.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "plan/curriculum/forecast.h"
#include "plan/network/cost.h"
#include "plan/network/named_layers.h"
#include "plan/recipe/resolve.h"
#include "worker/trainer/snapshot/restore.h"
#include "worker/trainer/train/guard.h"
#include "worker/trainer/train/manifest.h"

namespace cvtrain::trainer {
namespace {

// Names of states in checkpoints: positions of pictures; stage, steps, images, nanoseconds; parts
// of a batch.
constexpr char kBadPicturesState[] = "bad_pictures";
constexpr char kStageState[] = "stage";
constexpr char kMicroBatchesState[] = "micro_batches";
// What fits into the room that a manifest has for such things.
constexpr size_t kBadPicturesMax = 1'000;

// How often who waits for data looks for a stop request.
constexpr absl::Duration kStopPollInterval = absl::Milliseconds(100);

// Pictures of a split; 0 if the data set has no such split.
int64_t ImagesOf(const cvtrain::v1::DatasetVersion& dataset, const std::string& split) {
  for (const cvtrain::v1::Split& one : dataset.splits()) {
    if (one.name() == split) return one.images();
  }
  return 0;
}

double Median(std::vector<float> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double Mean(const std::vector<float>& values) {
  double sum = 0;
  for (float value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace

TrainingLoop::TrainingLoop(const v1::Start& start, const AttemptServices& services)
    : start_(start), recipe_(start.recipe()), services_(services), reports_(start.rank() == 0) {}

TrainingLoop::~TrainingLoop() = default;

absl::Status TrainingLoop::Run(const UniqueFd& checkpoint) {
  CVT_RETURN_IF_ERROR(
      Guard("preparing the attempt", start_.world_size(), [&] { return Prepare(checkpoint); }));
  return Guard("training", start_.world_size(), [&] { return Train(); });
}

absl::Status TrainingLoop::Prepare(const UniqueFd& checkpoint) {
  if (start_.plan_version() != plan::kPlanVersion) {
    return FailedPrecondition(
        Reason::kPlanVersionMismatch,
        absl::StrCat("the trial began under plan version ", start_.plan_version(),
                     ", this program has ", plan::kPlanVersion));
  }
  CVT_ASSIGN_OR_RETURN(
      plan_, plan::PlanTrial(recipe_,
                             {.images = ImagesOf(start_.dataset(), recipe_.dataset().train_split()),
                              .logical_ranks = start_.logical_ranks()}));
  CVT_ASSIGN_OR_RETURN(rates_, plan::LearningRateSchedule::Create(recipe_, *plan_));
  if (recipe_.augmentation().has_range_augment()) {
    CVT_ASSIGN_OR_RETURN(targets_, plan::PsnrTargetTable::Create(recipe_));
  }
  share_ = LogicalShareOf(start_.rank(), start_.world_size(), start_.logical_ranks());
  // Decoding begins while the network is made.
  CVT_ASSIGN_OR_RETURN(source_, services_.batch_sources({.recipe = recipe_,
                                                         .dataset = start_.dataset(),
                                                         .plan = *plan_,
                                                         .share = share_,
                                                         .rank = start_.rank(),
                                                         .world_size = start_.world_size()}));
  CVT_RETURN_IF_ERROR(source_->StartTraining(start_.has_resume() ? start_.resume().step() : 0));

  ProcessGroup::Options group = {.rank = start_.rank(), .world_size = start_.world_size()};
  if (!start_.collective_address().empty()) group.address = start_.collective_address();
  group.place = services_.device.place();
  group_ = ProcessGroup::Create(group, services_.store);
  CVT_ASSIGN_OR_RETURN(learner_, Learner::Create(recipe_, start_.logical_ranks(), *group_,
                                                 start_.has_resume() ? Learner::Begin::kRestored
                                                                     : Learner::Begin::kDrawn,
                                                 services_.device));

  evaluator_.emplace(recipe_.evaluation(), *learner_, *group_, services_.host);
  const std::vector<SnapshotTensor> states = learner_->States();
  ProgressMeter::Axes axes;
  if (start_.has_resume()) {
    CVT_ASSIGN_OR_RETURN(
        const storage::v1::CheckpointManifest manifest,
        Restore(checkpoint, start_.resume().size_bytes(), ExpectationOf(start_), states));
    step_ = manifest.step();
    CVT_ASSIGN_OR_RETURN(digest_, plan::SampleDigest::FromHex(manifest.sample_digest()));
    axes = {.samples = manifest.samples(),
            .flops = manifest.flops(),
            .wall_time = absl::Seconds(manifest.wall_time_seconds())};
    saves_.BeginAt(step_);
    RestoreStates(manifest);
  } else if (start_.has_init()) {
    CVT_RETURN_IF_ERROR(LoadInitialWeights(checkpoint));
  }
  if (reports_) {
    CVT_ASSIGN_OR_RETURN(snapshotter_,
                         Snapshotter::Create(states, services_.checkpoints, services_.device));
  }
  meter_.emplace(axes);
  return absl::OkStatus();
}

absl::Status TrainingLoop::LoadInitialWeights(const UniqueFd& checkpoint) {
  const auto& except = recipe_.init_from().except();
  CVT_ASSIGN_OR_RETURN(
      const std::vector<bool> drawn,
      plan::NamedLayers(learner_->network().description(), "recipe.init_from.except",
                        {except.begin(), except.end()}));
  std::set<std::string> skipped;
  const std::vector<SnapshotTensor> weights = learner_->WeightsBut(drawn, &skipped);
  CVT_RETURN_IF_ERROR(LoadWeights(checkpoint, start_.init().size_bytes(),
                                  start_.init().checkpoint(), weights, skipped));
  learner_->RestartAverages();
  return absl::OkStatus();
}

// Without them a resumed attempt would allow as many bad pictures again, and its measurement of a
// stage would be of the rest of it only.
void TrainingLoop::RestoreStates(const storage::v1::CheckpointManifest& manifest) {
  source_->NoteBadSamples(NumbersOf(manifest, kBadPicturesState));
  const std::vector<int64_t> parts = NumbersOf(manifest, kMicroBatchesState);
  if (parts.size() == 1 && parts[0] >= 1) {
    learner_->set_micro_batches(static_cast<int32_t>(parts[0]));
  }
  const std::vector<int64_t> stage = NumbersOf(manifest, kStageState);
  if (stage.size() != 4) return;
  stage_ = {.stage = static_cast<int32_t>(stage[0]),
            .steps = stage[1],
            .images = stage[2],
            .duration = absl::Nanoseconds(stage[3])};
}

absl::Status TrainingLoop::Train() {
  while (step_ < plan_->step_total()) {
    CVT_RETURN_IF_ERROR(Step());
    if (EndsEpoch()) CVT_RETURN_IF_ERROR(FinishEpoch());
    if (stopped_with_ != cvtrain::v1::CAUSE_UNSPECIFIED && step_ < plan_->step_total()) {
      return StopHere();
    }
    CVT_RETURN_IF_ERROR(SaveIfDue());
  }
  ReportStarted();  // an attempt that goes on from the last step has none
  return Save(Snapshotter::WhenBusy::kWait);
}

void TrainingLoop::EnterEpoch(int32_t number) {
  epoch_.emplace(Epoch{.number = number,
                       .steps = plan_->EpochSteps(number),
                       .order = plan::SampleOrder(*plan_, number),
                       .target_mse = targets_.has_value() ? targets_->MseAt(number) : 0});
}

absl::Status TrainingLoop::Step() {
  if (services_.host.stop_request().mode == StopRequest::Mode::kNow) {
    stopped_with_ = services_.host.stop_request().cause;
    return Cancelled(Reason::kStopping, absl::StrCat("stopped at step ", step_));
  }
  const absl::Duration begin = services_.clock.SteadyNow();
  const plan::StepPosition position = plan_->PositionOf(step_);
  if (!epoch_.has_value() || epoch_->number != position.epoch) EnterEpoch(position.epoch);
  const plan::PlannedStep& planned = epoch_->steps[static_cast<size_t>(position.step_in_epoch)];

  const InputStall stall_before = source_->training_stall();
  CVT_RETURN_IF_ERROR(WaitForData());
  ReportStarted();
  CVT_ASSIGN_OR_RETURN(StepSums sums, AccumulateStep(position, planned.scale));
  sums.stall = source_->training_stall() - stall_before;
  // A checkpoint is copied while passes run; the update has to wait for that.
  if (snapshotter_ != nullptr) CVT_RETURN_IF_ERROR(snapshotter_->FinishCopy());
  const Learner::Update update = learner_->FinishStep(rates_->At(position.epoch, step_), step_);
  stopped_with_ = AgreeOnStep(*group_, services_.host.stop_request(), sums);
  digest_.Fold(*plan_, epoch_->order, position, planned);

  const double loss = sums.task_loss + sums.augment_loss;
  if (!std::isfinite(loss)) {
    return FailedPrecondition(Reason::kDiverged,
                              absl::StrCat("the loss of step ", step_, " (epoch ", position.epoch,
                                           ") is not a number; the last one was ", last_loss_,
                                           "; a lower learning rate or a longer warm-up may help"));
  }
  last_loss_ = loss;
  const absl::Duration duration = services_.clock.SteadyNow() - begin;
  ReportStep(position, planned, sums, update, duration);
  ++step_;
  ReportProgress(planned.scale);
  return absl::OkStatus();
}

// Data may be long in coming, and nobody who wants a checkpoint should wait for it. Ranks that
// have peers cannot stop before a step that others may be in already.
absl::Status TrainingLoop::WaitForData() {
  while (!source_->WaitForTraining(share_.count, kStopPollInterval)) {
    const StopRequest request = services_.host.stop_request();
    if (request.mode == StopRequest::Mode::kNow ||
        (request.mode == StopRequest::Mode::kCheckpoint && start_.world_size() == 1)) {
      stopped_with_ = request.cause;
      if (request.mode == StopRequest::Mode::kCheckpoint && step_ > 0) return StopHere();
      return Cancelled(Reason::kStopping, absl::StrCat("stopped at step ", step_));
    }
  }
  return absl::OkStatus();
}

// Between two steps.
absl::Status TrainingLoop::StopHere() {
  ReportStage();
  CVT_RETURN_IF_ERROR(Save(Snapshotter::WhenBusy::kWait));
  return Cancelled(Reason::kStopping, absl::StrCat("stopped after step ", step_));
}

absl::StatusOr<StepSums> TrainingLoop::AccumulateStep(const plan::StepPosition& position,
                                                      const plan::Scale& scale) {
  const int64_t replaced_before = source_->replaced_samples();
  const double weight = 1.0 / start_.logical_ranks();
  const bool is_new = fitting_.insert(scale).second;
  StepSums sums;
  std::vector<float> mse;
  learner_->BeginStep();
  for (int32_t i = 0; i < share_.count; ++i) {
    CVT_ASSIGN_OR_RETURN(const Batch batch, source_->NextTraining());
    const plan::RankStepKey key = {.seed = plan_->seed(),
                                   .epoch = position.epoch,
                                   .step_in_epoch = position.step_in_epoch,
                                   .logical_rank = share_.first + i};
    Learner::RankLoss loss;
    if (is_new && i == 0) {
      CVT_ASSIGN_OR_RETURN(loss, AccumulateCarefully(batch, key));
    } else {
      const bool is_last = !is_new && i + 1 == share_.count;
      loss = learner_->Accumulate(batch, key, epoch_->target_mse,
                                  is_last ? Learner::Reduction::kNow : Learner::Reduction::kLater);
    }
    sums.task_loss += weight * loss.task;
    sums.augment_loss += weight * loss.augment;
    sums.mse_mean += weight * Mean(loss.mse);
    mse.insert(mse.end(), loss.mse.begin(), loss.mse.end());
  }
  if (is_new) learner_->Reduce();
  sums.mse_median = Median(std::move(mse));
  sums.replaced_samples = static_cast<double>(source_->replaced_samples() - replaced_before);
  return sums;
}

// No gradients are averaged until all ranks have theirs: one that has too little memory must not
// leave the others waiting for its part.
absl::StatusOr<Learner::RankLoss> TrainingLoop::AccumulateCarefully(const Batch& batch,
                                                                    const plan::RankStepKey& key) {
  const std::vector<at::Tensor> buffers = learner_->CopyBuffers();
  while (true) {
    Learner::RankLoss loss;
    const absl::Status status = Guard("training", [&] {
      loss = learner_->Accumulate(batch, key, epoch_->target_mse, Learner::Reduction::kLater);
      return absl::OkStatus();
    });
    if (!status.ok() && ReasonOf(status) != Reason::kOutOfMemory) return status;
    at::Tensor somebody_lacks = at::full({}, status.ok() ? 0 : 1, at::kDouble);
    group_->MaxOverRanks(somebody_lacks);
    if (somebody_lacks.item<double>() == 0) return loss;
    // What can be divided no more needs a smaller network or size.
    const int64_t part = plan::MicroBatchSize(batch.count, learner_->micro_batches());
    if (part <= 1) {
      return status.ok() ? ResourceExhausted(Reason::kOutOfMemory, "another rank is out of memory")
                         : status;
    }
    learner_->set_micro_batches(static_cast<int32_t>((batch.count + part / 2 - 1) / (part / 2)));
    NoteMicroBatches(batch.count);
    learner_->RestoreBuffers(buffers);
    learner_->BeginStep();
  }
}

absl::Status TrainingLoop::FinishEpoch() {
  const int32_t epochs_done = epoch_->number + 1;
  last_scores_.clear();
  if (EvaluationIsDue(epochs_done)) CVT_RETURN_IF_ERROR(Evaluate());
  ReportRanges();
  LogEpoch();
  if (epochs_done == plan_->curriculum().StageOf(epoch_->number).to_epoch) {
    ReportStage();
    stage_ = StageTotals();
  }
  return absl::OkStatus();
}

absl::Status TrainingLoop::Evaluate() {
  const absl::Duration begin = services_.clock.SteadyNow();
  CVT_ASSIGN_OR_RETURN(const Evaluator::Result evaluation, evaluator_->Evaluate(*source_));
  meter_->AddOther(services_.clock.SteadyNow() - begin);
  for (const auto& [name, value] : evaluation.metrics) {
    if (!std::isfinite(value)) {
      return FailedPrecondition(Reason::kDiverged,
                                absl::StrCat(name, " after step ", step_,
                                             " is not a number; a lower "
                                             "learning rate or a longer warm-up may help"));
    }
  }
  ReportEvaluation(evaluation);
  return absl::OkStatus();
}

bool TrainingLoop::EndsEpoch() const { return step_ == plan_->FirstStepOf(epoch_->number + 1); }

bool TrainingLoop::EvaluationIsDue(int32_t epochs_done) const {
  return epochs_done == plan_->epochs() ||
         epochs_done % std::max(recipe_.evaluation().every_epochs(), 1) == 0;
}

absl::Status TrainingLoop::SaveIfDue() {
  const cvtrain::v1::CheckpointInterval& every = recipe_.checkpoint().every();
  const int32_t epochs_done = epoch_->number + 1;
  const bool due = every.steps() > 0
                       ? step_ % every.steps() == 0
                       : EndsEpoch() && epochs_done % std::max(every.epochs(), 1) == 0;
  // One that found no buffer, or was lost, is made up for from newer state.
  if (snapshotter_ != nullptr) saves_.NoteLosses(*snapshotter_, step_);
  if (!due && !saves_.IsOverdue(step_)) return absl::OkStatus();
  return Save(Snapshotter::WhenBusy::kSkip);
}

absl::Status TrainingLoop::Save(Snapshotter::WhenBusy when_busy) {
  if (snapshotter_ == nullptr) return absl::OkStatus();
  // Whoever takes a checkpoint may lose it at once, also that of this step.
  CVT_RETURN_IF_ERROR(snapshotter_->FinishCopy());
  saves_.NoteLosses(*snapshotter_, step_);
  if (saves_.HasSaved(step_)) return absl::OkStatus();
  const absl::Duration begin = services_.clock.SteadyNow();
  const plan::StepPosition position = plan_->PositionOf(step_);
  storage::v1::CheckpointManifest manifest = ManifestOf(start_);
  manifest.set_step(step_);
  manifest.set_epoch(position.epoch);
  manifest.set_step_in_epoch(position.step_in_epoch);
  manifest.set_stage(plan_->curriculum().StageOf(position.epoch).index);
  manifest.set_samples(meter_->axes().samples);
  manifest.set_flops(meter_->axes().flops);
  manifest.set_wall_time_seconds(absl::ToDoubleSeconds(meter_->axes().wall_time));
  manifest.set_sample_digest(digest_.Hex());
  std::vector<int64_t> bad = source_->bad_samples();
  bad.resize(std::min(bad.size(), kBadPicturesMax));
  PutNumbers(kBadPicturesState, bad, manifest);
  PutNumbers(kMicroBatchesState, {learner_->micro_batches()}, manifest);
  PutNumbers(kStageState,
             {stage_.stage, stage_.steps, stage_.images, absl::ToInt64Nanoseconds(stage_.duration)},
             manifest);
  CVT_ASSIGN_OR_RETURN(const bool saved, snapshotter_->Save(manifest, when_busy, [this] {
    return services_.host.stop_request().mode == StopRequest::Mode::kNow;
  }));
  saves_.Note(step_, saved);
  meter_->AddOther(services_.clock.SteadyNow() - begin);
  return absl::OkStatus();
}

double TrainingLoop::FlopsOf(const plan::Scale& scale) {
  const auto [known, inserted] = image_flops_.try_emplace(scale, 0);
  if (inserted) {
    const auto forward = plan::ForwardFlops(learner_->network().description(),
                                            {.height = scale.height, .width = scale.width});
    known->second = plan::kTrainingFlopsFactor * forward.value_or(0);
  }
  return known->second * static_cast<double>(ImagesOfStep(scale));
}

}  // namespace cvtrain::trainer
