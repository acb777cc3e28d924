// How weights change: optimizer, learning rate, averages, precision, parts of a batch, what is
// frozen.

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/text.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/checks.h"

namespace cvtrain::plan {
namespace {

constexpr double kRateMax = 10;
constexpr double kWarmupStepsMax = 10'000'000;
constexpr int kMilestonesMax = 1'000;
constexpr int kLayersMax = 1'000;
constexpr char kRate[] = "recipe.learning_rate";

void CheckSgd(const v1::Sgd& sgd, Rules& rules) {
  const std::string path = "recipe.optimizer.sgd";
  rules.InRange(path + ".momentum", sgd.momentum(), Below(0, 1));
  rules.InRange(path + ".weight_decay", sgd.weight_decay(), Closed(0, 1));
  if (sgd.nesterov() && sgd.has_momentum() && sgd.momentum() == 0) {
    rules.Add(path + ".nesterov", "needs a momentum over 0");
  }
}

void CheckAdamW(const v1::AdamW& adamw, Rules& rules) {
  const std::string path = "recipe.optimizer.adamw";
  rules.InRange(path + ".beta1", adamw.beta1(), Below(0, 1));
  rules.InRange(path + ".beta2", adamw.beta2(), Below(0, 1));
  if (adamw.has_epsilon()) rules.InRange(path + ".epsilon", adamw.epsilon(), Above(0, 1));
  rules.InRange(path + ".weight_decay", adamw.weight_decay(), Closed(0, 1));
}

void CheckOptimizer(const v1::Optimizer& optimizer, Rules& rules) {
  switch (optimizer.kind_case()) {
    case v1::Optimizer::kSgd:
      CheckSgd(optimizer.sgd(), rules);
      break;
    case v1::Optimizer::kAdamw:
      CheckAdamW(optimizer.adamw(), rules);
      break;
    case v1::Optimizer::KIND_NOT_SET:
      rules.Add("recipe.optimizer", "must be one of sgd, adamw, or left out");
      break;
  }
  if (optimizer.has_clip_norm()) {
    rules.InRange("recipe.optimizer.clip_norm", optimizer.clip_norm(), Above(0, 1e6));
  }
}

// The highest rate, which the others are measured by.
void CheckHighest(const std::string& field, double rate, Rules& rules) {
  rules.Required(field, rate != 0, rate, Above(0, kRateMax));
}

template <typename Rate>
void CheckWarmUp(const std::string& path, const Rate& rate, double highest, int epochs,
                 Rules& rules) {
  if (highest > 0) {
    rules.InRange(path + ".warmup_init", rate.warmup_init(), Closed(0, highest));
  }
  rules.InRange(path + ".warmup_steps", static_cast<double>(rate.warmup_steps()),
                Closed(0, kWarmupStepsMax));
  rules.InRange(path + ".warmup_epochs", rate.warmup_epochs(),
                Closed(0, epochs > 0 ? epochs : kEpochsMax));
  if (rate.warmup_steps() > 0 && rate.warmup_epochs() > 0) {
    rules.Add(path + ".warmup_epochs", "cannot be given together with warmup_steps");
  }
}

void CheckMilestones(const std::string& path, const v1::StepRate& rate, int epochs, Rules& rules) {
  const int epochs_max = epochs > 0 ? epochs : kEpochsMax;
  if ((rate.milestones_size() > 0) == rate.has_every_epochs()) {
    rules.Add(path, "must have exactly one of milestones, every_epochs");
  }
  if (rate.has_every_epochs()) {
    rules.InRange(path + ".every_epochs", rate.every_epochs(), Closed(1, epochs_max));
  }
  if (rate.milestones_size() > kMilestonesMax) {
    rules.Add(path + ".milestones", absl::StrCat("must have at most ", kMilestonesMax, " entries"),
              absl::StrCat(rate.milestones_size()));
    return;
  }
  for (int i = 0; i < rate.milestones_size(); ++i) {
    const std::string entry = absl::StrCat(path, ".milestones.", i);
    rules.InRange(entry, rate.milestones(i), Closed(1, epochs_max));
    if (i > 0 && rate.milestones(i) <= rate.milestones(i - 1)) {
      rules.Add(entry, "must come after the milestone before it", absl::StrCat(rate.milestones(i)));
    }
  }
}

void CheckLearningRate(const v1::LearningRate& rates, int epochs, Rules& rules) {
  switch (rates.kind_case()) {
    case v1::LearningRate::kCosine: {
      const v1::CosineRate& rate = rates.cosine();
      const std::string path = absl::StrCat(kRate, ".cosine");
      CheckHighest(path + ".max", rate.max(), rules);
      if (rate.max() > 0) rules.InRange(path + ".min", rate.min(), Closed(0, rate.max()));
      CheckWarmUp(path, rate, rate.max(), epochs, rules);
      return;
    }
    case v1::LearningRate::kConstant: {
      const v1::ConstantRate& rate = rates.constant();
      const std::string path = absl::StrCat(kRate, ".constant");
      CheckHighest(path + ".value", rate.value(), rules);
      CheckWarmUp(path, rate, rate.value(), epochs, rules);
      return;
    }
    case v1::LearningRate::kStep: {
      const v1::StepRate& rate = rates.step();
      const std::string path = absl::StrCat(kRate, ".step");
      CheckHighest(path + ".max", rate.max(), rules);
      if (rate.has_gamma()) rules.InRange(path + ".gamma", rate.gamma(), Above(0, 1));
      CheckMilestones(path, rate, epochs, rules);
      CheckWarmUp(path, rate, rate.max(), epochs, rules);
      return;
    }
    case v1::LearningRate::kPolynomial: {
      const v1::PolynomialRate& rate = rates.polynomial();
      const std::string path = absl::StrCat(kRate, ".polynomial");
      CheckHighest(path + ".max", rate.max(), rules);
      if (rate.max() > 0) rules.InRange(path + ".min", rate.min(), Closed(0, rate.max()));
      if (rate.has_power()) rules.InRange(path + ".power", rate.power(), Above(0, 100));
      CheckWarmUp(path, rate, rate.max(), epochs, rules);
      return;
    }
    case v1::LearningRate::kOneCycle: {
      const v1::OneCycleRate& rate = rates.one_cycle();
      const std::string path = absl::StrCat(kRate, ".one_cycle");
      CheckHighest(path + ".max", rate.max(), rules);
      if (rate.has_div_factor()) {
        rules.InRange(path + ".div_factor", rate.div_factor(), Closed(1, 1e6));
      }
      if (rate.has_final_div_factor()) {
        rules.InRange(path + ".final_div_factor", rate.final_div_factor(), Closed(1, 1e9));
      }
      if (rate.has_pct_start()) {
        rules.InRange(path + ".pct_start", rate.pct_start(), Interval{0, 1, true, true});
      }
      return;
    }
    case v1::LearningRate::KIND_NOT_SET:
      rules.Add(kRate, "is required: one of cosine, constant, step, polynomial, one_cycle");
  }
}

void CheckEma(const v1::Ema& ema, Rules& rules) {
  rules.InRange("recipe.ema.decay", ema.decay(), Below(0, 1));
  if (ema.has_every_steps()) {
    rules.InRange("recipe.ema.every_steps", ema.every_steps(), Closed(1, 1'000'000));
  }
}

// Whether there are such layers shows when the network is known, in NamedLayers().
template <typename Names>
void CheckLayers(const std::string& path, const Names& names, Rules& rules) {
  if (names.size() > kLayersMax) {
    rules.Add(path, absl::StrCat("must have at most ", kLayersMax, " entries"),
              absl::StrCat(names.size()));
    return;
  }
  std::set<std::string> seen;
  for (int i = 0; i < names.size(); ++i) {
    if (!seen.insert(names[i]).second) {
      rules.Add(absl::StrCat(path, ".", i), "is given twice", SafeText(names[i], 64));
    }
  }
}

void CheckInitFrom(const v1::InitFrom& init, Rules& rules) {
  const std::string path = "recipe.init_from";
  if (init.checkpoint().empty()) {
    rules.Add(path + ".checkpoint", "is required: checkpoints/{uuid}");
  } else if (!CheckpointName::Parse(init.checkpoint()).ok()) {
    rules.Add(path + ".checkpoint", "must be a checkpoint: checkpoints/{uuid}",
              SafeText(init.checkpoint(), 64));
  }
  CheckLayers(path + ".except", init.except(), rules);
}

}  // namespace

void CheckTraining(const v1::Recipe& recipe, int epochs, Rules& rules) {
  if (recipe.has_optimizer()) CheckOptimizer(recipe.optimizer(), rules);
  CheckLearningRate(recipe.learning_rate(), epochs, rules);
  if (recipe.has_ema()) CheckEma(recipe.ema(), rules);
  if (recipe.has_micro_batches()) {
    rules.InRange("recipe.micro_batches", recipe.micro_batches(), Closed(1, 1024));
  }
  CheckLayers("recipe.frozen", recipe.frozen(), rules);
  if (recipe.has_init_from()) CheckInitFrom(recipe.init_from(), rules);
}

}  // namespace cvtrain::plan
