#include "coordinator/scheduler/policies.h"

namespace cvtrain::coordinator {
namespace {

class Shortest : public Policy {
 public:
  std::unique_ptr<Policy> Clone() const override { return std::make_unique<Shortest>(*this); }

  Fill fill() const override { return Fill::kPass; }
  void RankJobs(const PlanInput& input, absl::Span<Rank> ranks) override {
    for (size_t i = 0; i < ranks.size(); ++i) {
      ranks[i] = {.key = absl::ToDoubleSeconds(input.jobs[i].left()), .rule = RankRule::kShortest};
    }
  }
};

}  // namespace

std::unique_ptr<Policy> MakeShortest() { return std::make_unique<Shortest>(); }

}  // namespace cvtrain::coordinator
