#ifndef CVTRAIN_PLAN_NETWORK_FAMILY_H_
#define CVTRAIN_PLAN_NETWORK_FAMILY_H_

#include <string>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/graph_builder.h"
#include "plan/rules/default_macro.h"
#include "plan/rules/rules.h"

namespace cvtrain::plan {

// A member of v1::Model: one file in this folder, which defines it, and one line in the list below.
// Internal to the folder.
//
// Each function gets a model that has this member. Pure functions; thread-safe.
struct Family {
  v1::Model::FamilyCase member;
  // Writes what the recipe leaves out.
  void (*write_defaults)(v1::Model& model);
  // Of a model whose defaults may be missing; `path` is that of the member:
  // `recipe.model.resnet`.
  void (*check)(const v1::Model& model, const std::string& path, Rules& rules);
  // Appends the layers of a model with its defaults, in which nothing is wrong.
  void (*describe)(const v1::Model& model, GraphBuilder& graph);
};

// Where a probability lies: of 1 nothing would be left.
inline Interval ProbabilityInterval() { return Below(0, 1); }

// All families.
#define CVT_FAMILIES(FAMILY) \
  FAMILY(kAlexNet)           \
  FAMILY(kConvMixer)         \
  FAMILY(kEfficientNet)      \
  FAMILY(kMobileNetV1)       \
  FAMILY(kMobileNetV2)       \
  FAMILY(kMobileNetV3)       \
  FAMILY(kPreResNet)         \
  FAMILY(kResNet)            \
  FAMILY(kSmallResNet)       \
  FAMILY(kSwinTransformer)   \
  FAMILY(kVgg)               \
  FAMILY(kVisionTransformer)

#define CVT_DECLARE(name) extern const Family name;
CVT_FAMILIES(CVT_DECLARE)
#undef CVT_DECLARE

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_FAMILY_H_
