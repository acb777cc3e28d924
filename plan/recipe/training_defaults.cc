#include <algorithm>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/defaults.h"
#include "plan/rules/default_macro.h"

namespace cvtrain::plan {
namespace {

void WriteSgd(v1::Sgd& sgd) {
  CVT_DEFAULT(sgd, momentum, 0.9);
  CVT_DEFAULT(sgd, weight_decay, 0);
  CVT_DEFAULT(sgd, nesterov, false);
  CVT_DEFAULT(sgd, decay_one_dimensional, false);
}

void WriteAdamW(v1::AdamW& adamw) {
  CVT_DEFAULT(adamw, beta1, 0.9);
  CVT_DEFAULT(adamw, beta2, 0.999);
  CVT_DEFAULT(adamw, epsilon, 1e-8);
  CVT_DEFAULT(adamw, weight_decay, 0.01);
  CVT_DEFAULT(adamw, decay_one_dimensional, false);
}

template <typename Rate>
void WriteWarmUp(Rate& rate) {
  CVT_DEFAULT(rate, warmup_steps, 0);
  CVT_DEFAULT(rate, warmup_epochs, 0);
  CVT_DEFAULT(rate, warmup_init, 0);
}

void WriteOneCycle(v1::OneCycleRate& rate) {
  CVT_DEFAULT(rate, div_factor, 25);
  CVT_DEFAULT(rate, final_div_factor, 1e4);
  CVT_DEFAULT(rate, pct_start, 0.3);
  if (rate.anneal() == v1::OneCycleRate::ANNEAL_UNSPECIFIED) {
    rate.set_anneal(v1::OneCycleRate::ANNEAL_COSINE);
  }
}

void WriteLearningRate(v1::LearningRate& rates) {
  switch (rates.kind_case()) {
    case v1::LearningRate::kCosine:
      CVT_DEFAULT(*rates.mutable_cosine(), min, 0);
      WriteWarmUp(*rates.mutable_cosine());
      return;
    case v1::LearningRate::kConstant:
      WriteWarmUp(*rates.mutable_constant());
      return;
    case v1::LearningRate::kStep:
      CVT_DEFAULT(*rates.mutable_step(), gamma, 0.1);
      WriteWarmUp(*rates.mutable_step());
      return;
    case v1::LearningRate::kPolynomial:
      CVT_DEFAULT(*rates.mutable_polynomial(), min, 0);
      CVT_DEFAULT(*rates.mutable_polynomial(), power, 1);
      WriteWarmUp(*rates.mutable_polynomial());
      return;
    case v1::LearningRate::kOneCycle:
      WriteOneCycle(*rates.mutable_one_cycle());
      return;
    case v1::LearningRate::KIND_NOT_SET:
      return;  // not valid
  }
}

}  // namespace

void WriteTrainingDefaults(v1::Recipe& recipe) {
  v1::Optimizer& optimizer = *recipe.mutable_optimizer();
  if (optimizer.has_adamw()) {
    WriteAdamW(*optimizer.mutable_adamw());
  } else {
    WriteSgd(*optimizer.mutable_sgd());
  }
  WriteLearningRate(*recipe.mutable_learning_rate());
  if (recipe.has_ema()) {
    CVT_DEFAULT(*recipe.mutable_ema(), decay, 0.9999);
    CVT_DEFAULT(*recipe.mutable_ema(), every_steps, 1);
    CVT_DEFAULT(*recipe.mutable_ema(), warmup, true);
  }
  CVT_DEFAULT(recipe, micro_batches, 1);
  if (recipe.precision() == v1::Recipe::PRECISION_UNSPECIFIED) {
    recipe.set_precision(v1::Recipe::PRECISION_FP32);
  }
}

double WeightDecayOf(const v1::Optimizer& optimizer) {
  return optimizer.has_adamw() ? optimizer.adamw().weight_decay() : optimizer.sgd().weight_decay();
}

}  // namespace cvtrain::plan
