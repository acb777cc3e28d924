#include "coordinator/scheduler/arrival_order.h"
#include "coordinator/scheduler/policies.h"

namespace cvtrain::coordinator {
namespace {

class Backfill : public Policy {
 public:
  std::unique_ptr<Policy> Clone() const override { return std::make_unique<Backfill>(*this); }

  Fill fill() const override { return Fill::kPass; }
  void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) override {
    RankByArrival(input, ranks);
  }
};

}  // namespace

std::unique_ptr<Policy> MakeBackfill() { return std::make_unique<Backfill>(); }

}  // namespace cvtrain::coordinator
