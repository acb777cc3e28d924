#include "coordinator/scheduler/policies.h"
#include "coordinator/scheduler/policy.h"

namespace cvtrain::coordinator {
namespace {

constexpr PolicyInfo kPolicies[] = {
    {"cvtrain", "short jobs first, but no tail and nobody below an equal share", MakeCvtrain},
    {"fifo", "first come, first served, strictly", MakeFifo},
    {"backfill", "first come, first served; whoever fits may pass", MakeBackfill},
    {"shortest", "least time left first; whoever fits may pass", MakeShortest},
    {"max_min", "equal shares by time slices, as Gavel makes them", MakeMaxMin},
};

}  // namespace

absl::Span<const PolicyInfo> Policies() { return kPolicies; }

std::unique_ptr<Policy> MakePolicy(absl::string_view name) {
  for (const PolicyInfo& policy : kPolicies) {
    if (policy.name == name) return policy.make();
  }
  return nullptr;
}

}  // namespace cvtrain::coordinator
