#include <google/protobuf/descriptor.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"
#include "plan/network/family.h"
#include "plan/network/model_rules.h"

namespace cvtrain::plan {

namespace {

const Family* FindFamily(const v1::Model& model) {
#define CVT_COMPARE(name) \
  if (name.member == model.family_case()) return &name;
  CVT_FAMILIES(CVT_COMPARE)
#undef CVT_COMPARE
  return nullptr;
}

// As in recipes: `resnet`.
const std::string& NameOf(v1::Model::FamilyCase member) {
  return v1::Model::descriptor()->FindFieldByNumber(member)->name();
}

}  // namespace

void WriteModelDefaults(v1::Model& model) {
  if (const Family* family = FindFamily(model)) family->write_defaults(model);
}

void CheckModelFamily(const v1::Model& model, Rules& rules) {
  if (const Family* family = FindFamily(model)) {
    family->check(model, absl::StrCat("recipe.model.", NameOf(family->member)), rules);
    return;
  }
  std::vector<std::string> names;
#define CVT_NAME(name) names.push_back(NameOf(name.member));
  CVT_FAMILIES(CVT_NAME)
#undef CVT_NAME
  rules.Add("recipe.model", absl::StrCat("is required: one of ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<NetworkDescription> DescribeNetwork(const v1::Model& model) {
  Rules rules;
  CheckModelFamily(model, rules);
  rules.InRange("recipe.model.num_classes", model.num_classes(), Closed(1, 1e9));
  CVT_RETURN_IF_ERROR(FieldViolations(rules.violations(), Reason::kRecipeInvalid));
  v1::Model complete = model;
  WriteModelDefaults(complete);
  const Family& family = *FindFamily(complete);
  GraphBuilder graph(NameOf(family.member), complete.num_classes());
  family.describe(complete, graph);
  return std::move(graph).Build();
}

}  // namespace cvtrain::plan
