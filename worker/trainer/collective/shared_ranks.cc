#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "worker/trainer/collective/backends.h"
#include "worker/trainer/collective/combine.h"
#include "worker/trainer/collective/shared_control.h"

namespace cvtrain::trainer {
namespace {

using Progress = SharedControl::Progress;

constexpr int64_t kCacheLineFloats = 16;
constexpr int64_t kPageFloats = 1024;

int64_t RoundUp(int64_t number, int64_t to) { return (number + to - 1) / to * to; }

// Buckets that every rank has mapped.
struct BucketMemory {
  std::vector<SharedMemory> memories;  // by rank
  int64_t floats = 0;

  float* data(size_t rank) {
    return reinterpret_cast<float*>(memories[rank].mutable_bytes().data());
  }
};

// Two ways to sum:
//
//   small tensors   Each rank puts its numbers in its area, a piece at a time, and takes the sum of
//                   all areas. One wait for each piece. A rank may write into an area again once
//                   all have put in the piece after, since they had taken the one before by then.
//   buckets         lie in memory that all have mapped. Each rank sums an equal share of all of
//                   them, in the order of ranks, into all of them: nothing is copied. Whoever has
//                   nothing better to do looks whether an earlier bucket is ready everywhere.
class SharedRanks : public ProcessGroup {
 public:
  explicit SharedRanks(std::unique_ptr<SharedControl> control) : control_(std::move(control)) {}

  int32_t rank() const override { return control_->rank(); }
  int32_t world_size() const override { return control_->world_size(); }
  std::string backend_name() const override { return "shared memory"; }

  void SumOverRanks(at::Tensor& tensor) override { AllReduce(Combination::kSum, tensor); }
  void MaxOverRanks(at::Tensor& tensor) override { AllReduce(Combination::kMax, tensor); }
  void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) override;

  std::vector<at::Tensor> NewBuckets(const std::vector<int64_t>& sizes) override;
  std::unique_ptr<PendingSum> StartSum(const at::Tensor& bucket) override;

 private:
  struct Operation {
    uint64_t number = 0;
    BucketMemory* memory = nullptr;
    int64_t first = 0;  // floats
    int64_t count = 0;
  };
  class Sum : public PendingSum {
   public:
    // `number` 0 has been waited for.
    Sum(SharedRanks& ranks, uint64_t number) : ranks_(ranks), number_(number) {}
    void Wait() override { ranks_.FinishSum(number_); }

   private:
    SharedRanks& ranks_;
    const uint64_t number_;
  };

  void AllReduce(Combination combination, at::Tensor& tensor);
  // Begins an operation on areas: where this rank puts its numbers.
  char* BeginPiece();
  void PublishPiece() { Advance(control_->own().area, pieces_); }
  void Advance(std::atomic<uint64_t>& counter, uint64_t to);

  bool IsReadyEverywhere(uint64_t number);
  void SumShare(const Operation& operation);
  void FinishSum(uint64_t number);

  const std::unique_ptr<SharedControl> control_;
  uint64_t pieces_ = 0;   // operations on areas begun
  uint64_t started_ = 0;  // sums begun
  std::deque<Operation> unsummed_;
  std::vector<std::shared_ptr<BucketMemory>> buckets_;
};

void SharedRanks::Advance(std::atomic<uint64_t>& counter, uint64_t to) {
  counter.store(to, std::memory_order_release);
  control_->Notify();
}

char* SharedRanks::BeginPiece() {
  const uint64_t before = pieces_++;
  control_->AwaitAll([before](const Progress& progress) {
    return progress.area.load(std::memory_order_acquire) >= before;
  });
  return control_->area(rank(), before % 2);
}

void SharedRanks::AllReduce(Combination combination, at::Tensor& tensor) {
  at::Tensor dense = tensor.contiguous();
  auto* data = static_cast<char*>(dense.data_ptr());
  const auto element = static_cast<int64_t>(dense.element_size());
  const int64_t piece = SharedControl::kAreaBytes / element;
  for (int64_t first = 0; first < dense.numel(); first += piece) {
    const int64_t count = std::min(piece, dense.numel() - first);
    char* const own = data + first * element;
    std::memcpy(BeginPiece(), own, static_cast<size_t>(count * element));
    PublishPiece();
    control_->AwaitAll([this](const Progress& progress) {
      return progress.area.load(std::memory_order_acquire) >= pieces_;
    });
    std::vector<const char*> parts;
    for (int32_t rank = 0; rank < world_size(); ++rank) {
      parts.push_back(control_->area(rank, (pieces_ - 1) % 2));
    }
    Combine(combination, dense.scalar_type(), parts, count, own);
  }
  if (!dense.is_same(tensor)) tensor.copy_(dense);
}

void SharedRanks::BroadcastFromFirst(const std::vector<at::Tensor>& tensors) {
  // All of them as one row of bytes.
  std::vector<at::Tensor> dense;
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) {
    dense.push_back(tensor.contiguous());
    total += static_cast<int64_t>(dense.back().nbytes());
  }
  size_t index = 0;
  int64_t at = 0;  // within dense[index]
  for (int64_t first = 0; first < total; first += SharedControl::kAreaBytes) {
    int64_t left = std::min(SharedControl::kAreaBytes, total - first);
    char* piece = BeginPiece();
    if (rank() != 0) {
      control_->AwaitAll([this, &first_rank = control_->progress(0)](const Progress& progress) {
        return &progress != &first_rank || progress.area.load(std::memory_order_acquire) >= pieces_;
      });
      piece = control_->area(0, (pieces_ - 1) % 2);
    }
    while (left > 0) {
      const at::Tensor& tensor = dense[index];
      const int64_t bytes = std::min(left, static_cast<int64_t>(tensor.nbytes()) - at);
      char* const place = static_cast<char*>(tensor.data_ptr()) + at;
      if (rank() == 0) {
        std::memcpy(piece, place, static_cast<size_t>(bytes));
      } else {
        std::memcpy(place, piece, static_cast<size_t>(bytes));
      }
      piece += bytes;
      left -= bytes;
      at += bytes;
      if (at == static_cast<int64_t>(tensor.nbytes())) {
        ++index;
        at = 0;
      }
    }
    PublishPiece();
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor tensor = tensors[i];
    if (rank() != 0 && !dense[i].is_same(tensor)) tensor.copy_(dense[i]);
  }
}

std::vector<at::Tensor> SharedRanks::NewBuckets(const std::vector<int64_t>& sizes) {
  auto memory = std::make_shared<BucketMemory>();
  for (int64_t size : sizes) memory->floats += RoundUp(size, kPageFloats);
  memory->memories =
      control_->ShareMemory("cvtrain-buckets", static_cast<size_t>(memory->floats) * sizeof(float));
  float* data = memory->data(static_cast<size_t>(rank()));
  std::vector<at::Tensor> buckets;
  for (int64_t size : sizes) {
    buckets.push_back(at::from_blob(
        data, {size}, [memory](void*) {}, at::kFloat));
    data += RoundUp(size, kPageFloats);
  }
  buckets_.push_back(std::move(memory));
  return buckets;
}

std::unique_ptr<PendingSum> SharedRanks::StartSum(const at::Tensor& bucket) {
  const float* data = bucket.const_data_ptr<float>();
  for (const auto& memory : buckets_) {
    const float* begin = memory->data(static_cast<size_t>(rank()));
    if (data < begin || data >= begin + memory->floats) continue;
    unsummed_.push_back({.number = ++started_,
                         .memory = memory.get(),
                         .first = data - begin,
                         .count = bucket.numel()});
    Advance(control_->own().ready, started_);
    while (!unsummed_.empty() && IsReadyEverywhere(unsummed_.front().number)) {
      SumShare(unsummed_.front());
      unsummed_.pop_front();
    }
    return std::make_unique<Sum>(*this, started_);
  }
  at::Tensor elsewhere = bucket;  // the same memory
  SumOverRanks(elsewhere);
  return std::make_unique<Sum>(*this, 0);
}

bool SharedRanks::IsReadyEverywhere(uint64_t number) {
  for (int32_t rank = 0; rank < world_size(); ++rank) {
    if (control_->progress(rank).ready.load(std::memory_order_acquire) < number) return false;
  }
  return true;
}

void SharedRanks::SumShare(const Operation& operation) {
  // Shares begin at cache lines: no two ranks write into the same one.
  const auto boundary = [&](int64_t rank) {
    return std::min(operation.count,
                    RoundUp(operation.count * rank / world_size(), kCacheLineFloats));
  };
  const int64_t begin = boundary(rank());
  const int64_t end = boundary(rank() + 1);
  std::vector<float*> parts;
  for (size_t rank = 0; rank < static_cast<size_t>(world_size()); ++rank) {
    parts.push_back(operation.memory->data(rank) + operation.first + begin);
  }
  SumInPlace(parts, end - begin);
  Advance(control_->own().summed, operation.number);
}

void SharedRanks::FinishSum(uint64_t number) {
  while (!unsummed_.empty() && unsummed_.front().number <= number) {
    const Operation operation = unsummed_.front();
    control_->AwaitAll([&](const Progress& progress) {
      return progress.ready.load(std::memory_order_acquire) >= operation.number;
    });
    SumShare(operation);
    unsummed_.pop_front();
  }
  control_->AwaitAll([number](const Progress& progress) {
    return progress.summed.load(std::memory_order_acquire) >= number;
  });
}

}  // namespace

std::unique_ptr<ProcessGroup> NewSharedRanks(const ProcessGroup::Options& options,
                                             c10::intrusive_ptr<c10d::Store> store,
                                             std::string* why) {
  if (options.world_size > kSharedRanksMax) {
    *why = absl::StrCat(options.world_size, " ranks are more than ", kSharedRanksMax);
    return nullptr;
  }
  auto control = SharedControl::Create(options.rank, options.world_size, std::move(store));
  if (!control.ok()) {
    *why = std::string(control.status().message());
    return nullptr;
  }
  return std::make_unique<SharedRanks>(*std::move(control));
}

}  // namespace cvtrain::trainer
