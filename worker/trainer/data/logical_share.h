#ifndef CVTRAIN_WORKER_TRAINER_DATA_LOGICAL_SHARE_H_
#define CVTRAIN_WORKER_TRAINER_DATA_LOGICAL_SHARE_H_

#include <cstdint>

namespace cvtrain::trainer {

// The logical ranks that one process runs: [first, first + count).
struct LogicalShare {
  int32_t first = 0;
  int32_t count = 0;

  friend bool operator==(const LogicalShare&, const LogicalShare&) = default;
};

// Deals `logical_ranks` to `world_size` processes in contiguous shares whose sizes differ by at
// most one. 0 <= `rank` < `world_size` <= `logical_ranks`.
constexpr LogicalShare LogicalShareOf(int32_t rank, int32_t world_size, int32_t logical_ranks) {
  const auto begin = [=](int64_t process) {
    return static_cast<int32_t>(process * logical_ranks / world_size);
  };
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_LOGICAL_SHARE_H_
