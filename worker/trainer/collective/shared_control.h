#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_SHARED_CONTROL_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_SHARED_CONTROL_H_

// Private to this folder: it brings in c10d's headers.

#include <c10/util/intrusive_ptr.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/memfd.h"
#include "common/peer_process.h"

namespace cvtrain::trainer {

// What the ranks of one machine tell each other in memory that all of them map: how far each has
// come, a small area for the numbers of each, and that somebody waits.
//
//   Progress     of each rank, written by it alone
//   areas        two for each rank, of kAreaBytes, used in turn
//
// Memory is a memfd of rank 0 that the others open through /proc, so nothing of it outlives the
// processes. Waiting looks at the memory for a while, then sleeps on a futex and looks after the
// peers. Thread-compatible; one per rank.
class SharedControl {
 public:
  static constexpr int64_t kAreaBytes = int64_t{256} << 10;

  // Counters that only grow; each of its own cache line, so that who waits for one is not disturbed
  // by another.
  struct Progress {
    // Operations on areas that the rank has put its numbers in for.
    alignas(64) std::atomic<uint64_t> area;
    // Sums of buckets whose bucket is ready, and those whose share of the rank is summed.
    alignas(64) std::atomic<uint64_t> ready;
    alignas(64) std::atomic<uint64_t> summed;
    // The rank has left in good order, or because of an error of its own.
    alignas(64) std::atomic<uint32_t> left;
  };

  // All ranks call it. A status on all of them if it does not work on one: UNAVAILABLE (PEER_GONE).
  // Throws c10::Error if the store fails.
  static absl::StatusOr<std::unique_ptr<SharedControl>> Create(
      int32_t rank, int32_t world_size, c10::intrusive_ptr<c10d::Store> store);
  ~SharedControl();

  int32_t rank() const { return rank_; }
  int32_t world_size() const { return world_size_; }

  Progress& own() { return progress(rank_); }
  Progress& progress(int32_t rank);
  // Area `which` (0 or 1) of a rank.
  char* area(int32_t rank, uint64_t which);

  // To be called after a change of own().
  void Notify();
  // Returns when `is_reached` says so of every rank's progress. Throws c10::DistBackendError if a
  // rank is gone before.
  void AwaitAll(absl::FunctionRef<bool(const Progress&)> is_reached);

  // Memory of `size_bytes` that all ranks map: that of rank r is element r, which is ours for r =
  // rank(). All ranks call it, with the same size. Throws c10::Error if it cannot be had.
  std::vector<SharedMemory> ShareMemory(const std::string& name, size_t size_bytes);

 private:
  struct Header;

  SharedControl(int32_t rank, int32_t world_size, c10::intrusive_ptr<c10d::Store> store)
      : rank_(rank), world_size_(world_size), store_(std::move(store)) {}

  static size_t BytesFor(int32_t world_size);
  Header& header();
  // What this rank offers under `key` and what all have offered, by rank.
  std::vector<std::string> Exchange(const std::string& key, const std::string& own);
  absl::Status Meet();
  absl::Status OpenPeers(const std::vector<std::string>& offers);
  void ThrowIfGone(absl::FunctionRef<bool(const Progress&)> is_reached);

  const int32_t rank_;
  const int32_t world_size_;
  const c10::intrusive_ptr<c10d::Store> store_;
  int exchanges_ = 0;
  int spins_ = 0;
  SharedMemory memory_;
  std::vector<PeerProcess> peers_;  // by rank, our own too
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_SHARED_CONTROL_H_
