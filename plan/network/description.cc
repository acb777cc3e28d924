#include "plan/network/description.h"

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/families.h"

namespace cvtrain::plan {
namespace {

struct Family {
  v1::Model::FamilyCase member;
  absl::StatusOr<NetworkDescription> (*describe)(const v1::Model&);
};

// A new family is a member of v1::Model, a file, and a line here.
constexpr Family kFamilies[] = {
    {v1::Model::kResnet,
     [](const v1::Model& model) { return DescribeResNet(model.resnet(), model.num_classes()); }},
    {v1::Model::kSmallResnet,
     [](const v1::Model& model) {
       return DescribeSmallResNet(model.small_resnet(), model.num_classes());
     }},
};

}  // namespace

absl::StatusOr<NetworkDescription> DescribeNetwork(const v1::Model& model) {
  if (model.num_classes() < 1) {
    return InvalidArgument(
        Reason::kRecipeInvalid,
        absl::StrCat("recipe.model.num_classes: must be at least 1, got ", model.num_classes()));
  }
  for (const Family& family : kFamilies) {
    if (family.member == model.family_case()) return family.describe(model);
  }
  return InvalidArgument(Reason::kRecipeInvalid, "recipe.model: needs one of resnet, small_resnet");
}

}  // namespace cvtrain::plan
