#include "worker/trainer/data/work_times.h"

#include <algorithm>

namespace cvtrain::trainer {

void WorkTimes::Enter(Work work) {
  const int64_t now = Now();
  done_[work_].fetch_add(now - since_, std::memory_order_relaxed);
  since_.store(now, std::memory_order_relaxed);
  work_.store(work, std::memory_order_relaxed);
}

WorkTimes::Sums WorkTimes::sums() const {
  Sums sums;
  for (size_t i = 0; i < kWorks; ++i) {
    sums[i] = absl::Nanoseconds(done_[i].load(std::memory_order_relaxed));
  }
  const int64_t under_way = Now() - since_.load(std::memory_order_relaxed);
  sums[work_.load(std::memory_order_relaxed)] += absl::Nanoseconds(std::max<int64_t>(0, under_way));
  return sums;
}

void StallMeter::Begin() {
  begin_ = clock_.SteadyNow();
  at_begin_ = SumOfThreads();
}

void StallMeter::End() {
  const absl::Duration waited = clock_.SteadyNow() - begin_;
  const WorkTimes::Sums at_end = SumOfThreads();
  std::array<double, WorkTimes::kWorks> worked = {};
  double all = 0;
  for (const size_t work : {WorkTimes::kNetwork, WorkTimes::kDisk, WorkTimes::kDecode}) {
    worked[work] = std::max(0.0, absl::ToDoubleSeconds(at_end[work] - at_begin_[work]));
    all += worked[work];
  }
  if (all <= 0) {
    stall_.decode += waited;
    return;
  }
  const absl::Duration network = waited * (worked[WorkTimes::kNetwork] / all);
  const absl::Duration disk = waited * (worked[WorkTimes::kDisk] / all);
  stall_ = stall_ + InputStall{network, disk, waited - network - disk};
}

WorkTimes::Sums StallMeter::SumOfThreads() const {
  WorkTimes::Sums sums;
  for (const auto& thread : threads_) {
    const WorkTimes::Sums one = thread->sums();
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += one[i];
  }
  return sums;
}

}  // namespace cvtrain::trainer
