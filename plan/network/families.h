#ifndef CVTRAIN_PLAN_NETWORK_FAMILIES_H_
#define CVTRAIN_PLAN_NETWORK_FAMILIES_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "plan/network/description.h"

namespace cvtrain::v1 {
class ResNet;
class SmallResNet;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// One function and one file per member of v1::Model, and one line in the table
// of description.cc. Errors as DescribeNetwork; `num_classes` is positive.

absl::StatusOr<NetworkDescription> DescribeResNet(const v1::ResNet& model, int64_t num_classes);

absl::StatusOr<NetworkDescription> DescribeSmallResNet(const v1::SmallResNet& model,
                                                       int64_t num_classes);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_FAMILIES_H_
