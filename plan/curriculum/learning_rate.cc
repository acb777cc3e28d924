#include "plan/curriculum/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

// From `from` to `to` as `share` goes from 0 to 1, along half a period of the cosine.
double AlongCosine(double from, double to, double share) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * share));
}

double AlongLine(double from, double to, double share) { return from + (to - from) * share; }

// How many milestones have come by `epoch`.
int64_t CountMilestones(const v1::StepRate& rate, int32_t epoch) {
  if (rate.every_epochs() > 0) return epoch / rate.every_epochs();
  return std::upper_bound(rate.milestones().begin(), rate.milestones().end(), epoch) -
         rate.milestones().begin();
}

double OneCycleAt(const v1::OneCycleRate& rate, int64_t steps, int64_t step) {
  const auto along = rate.anneal() == v1::OneCycleRate::ANNEAL_LINEAR ? AlongLine : AlongCosine;
  const double start = rate.max() / rate.div_factor();
  // As torch counts: both ends of both parts are steps.
  const double peak = rate.pct_start() * static_cast<double>(steps) - 1;
  const double last = static_cast<double>(steps) - 1;
  const double now = static_cast<double>(step);
  if (peak > 0 && now <= peak) return along(start, rate.max(), now / peak);
  if (last <= peak) return rate.max();
  return along(rate.max(), start / rate.final_div_factor(), (now - peak) / (last - peak));
}

}  // namespace

template <typename Rate>
LearningRateSchedule::WarmUp LearningRateSchedule::WarmUpOf(const Rate& rate, double to,
                                                            const TrialPlan& plan) {
  return {.steps = rate.warmup_epochs() > 0
                       ? plan.FirstStepOf(std::min(rate.warmup_epochs(), plan.epochs()))
                       : rate.warmup_steps(),
          .from = rate.warmup_init(),
          .to = to};
}

absl::StatusOr<LearningRateSchedule> LearningRateSchedule::Create(const v1::Recipe& recipe,
                                                                  const TrialPlan& plan) {
  const int64_t steps = plan.step_total();
  switch (recipe.learning_rate().kind_case()) {
    case v1::LearningRate::kCosine: {
      const v1::CosineRate rate = recipe.learning_rate().cosine();
      return LearningRateSchedule(
          WarmUpOf(rate, rate.max(), plan), [rate, epochs = plan.epochs()](int32_t epoch, int64_t) {
            return AlongCosine(rate.max(), rate.min(), static_cast<double>(epoch) / epochs);
          });
    }
    case v1::LearningRate::kConstant: {
      const v1::ConstantRate rate = recipe.learning_rate().constant();
      return LearningRateSchedule(WarmUpOf(rate, rate.value(), plan),
                                  [rate](int32_t, int64_t) { return rate.value(); });
    }
    case v1::LearningRate::kStep: {
      const v1::StepRate rate = recipe.learning_rate().step();
      return LearningRateSchedule(WarmUpOf(rate, rate.max(), plan), [rate](int32_t epoch, int64_t) {
        return rate.max() *
               std::pow(rate.gamma(), static_cast<double>(CountMilestones(rate, epoch)));
      });
    }
    case v1::LearningRate::kPolynomial: {
      const v1::PolynomialRate rate = recipe.learning_rate().polynomial();
      const WarmUp warmup = WarmUpOf(rate, rate.max(), plan);
      const auto span = static_cast<double>(std::max<int64_t>(steps - warmup.steps, 1));
      return LearningRateSchedule(warmup, [rate, warmup, span](int32_t, int64_t step) {
        const double share = static_cast<double>(step - warmup.steps) / span;
        return rate.min() + (rate.max() - rate.min()) * std::pow(1 - share, rate.power());
      });
    }
    case v1::LearningRate::kOneCycle: {
      const v1::OneCycleRate rate = recipe.learning_rate().one_cycle();
      return LearningRateSchedule(
          {}, [rate, steps](int32_t, int64_t step) { return OneCycleAt(rate, steps, step); });
    }
    case v1::LearningRate::KIND_NOT_SET:
      break;
  }
  return InvalidArgument(
      Reason::kRecipeInvalid,
      "recipe.learning_rate: needs one of cosine, constant, step, polynomial, one_cycle");
}

double LearningRateSchedule::At(int32_t epoch, int64_t global_step) const {
  if (global_step < warmup_.steps) {
    return AlongLine(warmup_.from, warmup_.to,
                     static_cast<double>(global_step) / static_cast<double>(warmup_.steps));
  }
  return curve_(epoch, global_step);
}

}  // namespace cvtrain::plan
