#include "coordinator/scheduler/arrival_order.h"
#include "coordinator/scheduler/policies.h"

namespace cvtrain::coordinator {
namespace {

class Fifo : public Policy {
 public:
  std::unique_ptr<Policy> Clone() const override { return std::make_unique<Fifo>(*this); }

  Fill fill() const override { return Fill::kStop; }
  void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) override {
    RankByArrival(input, ranks);
  }
};

}  // namespace

std::unique_ptr<Policy> MakeFifo() { return std::make_unique<Fifo>(); }

}  // namespace cvtrain::coordinator
