// What rank 0 says about its training: points of series, facts, progress.

#include <sys/resource.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plan/curriculum/forecast.h"
#include "plan/network/parameters.h"
#include "worker/trainer/train/proto_time.h"
#include "worker/trainer/train/training_loop.h"

namespace cvtrain::trainer {
namespace {

// A step that waits longer for its pictures, as a share of its time, says what held them up.
constexpr double kStallReportedShare = 0.01;

// Of this process since it began; a process that has served larger trials shows theirs.
int64_t PeakResidentBytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// Of the whole trial, as planned; 0 if that cannot be said.
double TotalFlops(const plan::TrialPlan& plan, const plan::NetworkDescription& network) {
  double flops = 0;
  const auto stages = plan::ForecastStages(plan, network);
  if (!stages.ok()) return 0;
  for (const cvtrain::v1::PlannedStage& stage : *stages) flops += stage.flops();
  return flops;
}

}  // namespace

// Points carry the number of the step that they tell about, counting from 0, so those of an
// attempt that goes on from step s begin at s, where those of the attempt before end to count.
void TrainingLoop::Point(absl::string_view metric, double value) {
  if (reports_) services_.host.ReportPoint(metric, step_, value);
}

int64_t TrainingLoop::ImagesOfStep(const plan::Scale& scale) const {
  return int64_t{scale.batch_size} * start_.logical_ranks();
}

void TrainingLoop::ReportStarted() {
  if (!reports_ || std::exchange(started_, true)) return;
  session::v1::Fact fact;
  fact.mutable_started()->set_start_step(step_);
  services_.host.ReportFact(std::move(fact));
  LogStart();
}

void TrainingLoop::ReportStep(const plan::StepPosition& position, const plan::PlannedStep& planned,
                              const StepSums& sums, const Learner::Update& update,
                              absl::Duration duration) {
  const plan::Scale& scale = planned.scale;
  const int64_t images = ImagesOfStep(scale);
  meter_->AddStep(images, FlopsOf(scale), duration);
  stage_.stage = plan_->curriculum().StageOf(position.epoch).index;
  ++stage_.steps;
  stage_.images += images;
  stage_.duration += duration;
  if (!reports_) return;

  const double seconds = absl::ToDoubleSeconds(duration);
  if (update.gradient_norm.has_value()) Point("gradient_norm", *update.gradient_norm);
  if (learner_->loss_scaler() != nullptr) {
    Point("loss_scale", learner_->loss_scaler()->scale());
    if (update.skipped) Point("skipped_steps", 1);
  }
  Point("loss", sums.task_loss + sums.augment_loss);
  Point("loss/task", sums.task_loss);
  if (targets_.has_value()) {
    Point("loss/augment", sums.augment_loss);
    Point("target_mse", epoch_->target_mse);
    Point("target_psnr", plan::PsnrFromMse(epoch_->target_mse));
    Point("mse/mean", sums.mse_mean);
    Point("mse/median", sums.mse_median);
  }
  Point("learning_rate", rates_->At(position.epoch, step_));
  Point("step_seconds", seconds);
  if (seconds > 0) Point("images_per_second", static_cast<double>(images) / seconds);
  const double stall_seconds = absl::ToDoubleSeconds(sums.stall.total());
  Point("input_stall_seconds", stall_seconds);
  if (stall_seconds > kStallReportedShare * seconds) {
    Point("input_stall_seconds/network", absl::ToDoubleSeconds(sums.stall.network));
    Point("input_stall_seconds/disk", absl::ToDoubleSeconds(sums.stall.disk));
    Point("input_stall_seconds/decode", absl::ToDoubleSeconds(sums.stall.decode));
  }
  if (sums.replaced_samples > 0) Point("replaced_samples", sums.replaced_samples);
  Point("height", scale.height);
  Point("width", scale.width);
  Point("batch_size", static_cast<double>(images));
  // The axes: what has been spent when the step is done.
  Point("epoch", position.epoch + static_cast<double>(position.step_in_epoch + 1) /
                                      static_cast<double>(epoch_->steps.size()));
  Point("samples", static_cast<double>(meter_->axes().samples));
  Point("flops", meter_->axes().flops);
  Point("wall_time", absl::ToDoubleSeconds(meter_->axes().wall_time));
}

void TrainingLoop::ReportProgress(const plan::Scale& scale) {
  const plan::StepPosition position = plan_->PositionOf(step_);
  cvtrain::v1::Progress progress;
  progress.set_step(step_);
  progress.set_step_total(plan_->step_total());
  progress.set_epoch(position.epoch);
  progress.set_epoch_total(plan_->epochs());
  progress.set_stage(plan_->curriculum().StageOf(epoch_->number).index);
  progress.set_stage_total(static_cast<int32_t>(plan_->curriculum().stages().size()));
  progress.set_height(scale.height);
  progress.set_width(scale.width);
  progress.set_images_per_second(meter_->images_per_second());
  progress.set_loss(last_loss_);
  progress.set_flops(meter_->axes().flops);
  // Not before the first step: it takes a while for a long curriculum.
  if (!meter_->has_total()) meter_->SetTotal(TotalFlops(*plan_, learner_->network().description()));
  *progress.mutable_eta() = ToProto(meter_->eta());
  services_.host.ReportProgress(progress);
}

void TrainingLoop::LogStart() const {
  const plan::NetworkDescription& network = learner_->network().description();
  services_.host.Log(
      cvtrain::v1::LOG_LEVEL_INFO,
      absl::StrCat(step_ == 0 ? "training " : absl::StrCat("going on at step ", step_, " with "),
                   network.family, ", ", plan::ParameterCount(network), " parameters, ",
                   plan_->step_total(), " steps in ", plan_->epochs(), " epochs, ",
                   start_.logical_ranks(), " logical ranks on ", start_.world_size(),
                   " processes of ", start_.threads(), " threads, seed ", plan_->seed()));
}

void TrainingLoop::NoteMicroBatches(int64_t batch_size) {
  fitting_.clear();
  if (!reports_) return;
  const int32_t parts = learner_->micro_batches();
  Point("micro_batches", parts);
  services_.host.Log(
      cvtrain::v1::LOG_LEVEL_WARNING,
      absl::StrCat(
          "out of memory at step ", step_, ": batches of ", batch_size,
          " images for a logical rank are run in ", parts, " micro-batches of at most ",
          plan::MicroBatchSize(batch_size, parts),
          " from here on, for the same update; batch norm sees that many images at a time"));
}

void TrainingLoop::LogEpoch() const {
  if (!reports_) return;
  services_.host.Log(
      cvtrain::v1::LOG_LEVEL_INFO,
      absl::StrFormat("epoch %d of %d is done at step %d: loss %.4f, %.0f images/s%s",
                      epoch_->number + 1, plan_->epochs(), step_, last_loss_,
                      meter_->images_per_second(), last_scores_));
}

// The step that is told about is the last one done, so that a checkpoint of this moment never
// makes the points count twice or not at all.
void TrainingLoop::ReportEvaluation(const Evaluator::Result& evaluation) {
  if (!reports_) return;
  session::v1::Fact fact;
  cvtrain::v1::EvaluationResult& result = *fact.mutable_evaluation();
  result.set_step(step_);
  result.set_epoch(epoch_->number + 1);
  result.set_stage(plan_->curriculum().StageOf(epoch_->number).index);
  *result.mutable_time() = ToProto(services_.clock.WallNow());
  result.set_sample_digest(digest_.Hex());
  if (!evaluation.confusion.empty()) {
    result.mutable_confusion()->set_classes(
        static_cast<int32_t>(learner_->network().description().num_classes));
    result.mutable_confusion()->mutable_counts()->Assign(evaluation.confusion.begin(),
                                                         evaluation.confusion.end());
  }
  for (const auto& [name, value] : evaluation.metrics) {
    (*result.mutable_metrics())[name] = value;
    if (name.ends_with("/top1")) absl::StrAppendFormat(&last_scores_, ", %s %.2f", name, value);
    services_.host.ReportPoint(name, step_ - 1, value);
  }
  services_.host.ReportFact(std::move(fact));
}

void TrainingLoop::ReportRanges() {
  if (!reports_ || learner_->augmenter() == nullptr) return;
  for (const RangeAugmenter::Bounds& bounds : learner_->augmenter()->EffectiveBounds()) {
    const std::string prefix = absl::StrCat("range_augment/", bounds.operation);
    services_.host.ReportPoint(prefix + "/low", step_ - 1, bounds.low);
    services_.host.ReportPoint(prefix + "/high", step_ - 1, bounds.high);
  }
}

void TrainingLoop::ReportStage() {
  if (!reports_ || stage_.steps == 0) return;
  session::v1::Fact fact;
  session::v1::StageMeasured& stage = *fact.mutable_stage();
  stage.set_stage(stage_.stage);
  stage.set_steps(stage_.steps);
  *stage.mutable_duration() = ToProto(stage_.duration);
  stage.set_images(stage_.images);
  stage.set_peak_memory_bytes(PeakResidentBytes());
  services_.host.ReportFact(std::move(fact));
}

}  // namespace cvtrain::trainer
