// Ranks that each compute on a GPU of their own, over NCCL.
//
//   1. Rank 0 makes an id and puts it into the store; the others get it there.
//   2. All make their communicator with it, which connects them.
//   3. Sums run on a stream of their own, beside the backward pass: each begins when what made its
//      bucket is done, and whoever uses the bucket is made to wait for it, on the GPU.
// A rank that dies leaves the others waiting on their GPUs; what ends them is the agent, whose
// coordinator has heard of the dead one.

#include <c10/core/ScalarType.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstring>
#include <utility>
#include <vector>

#include "worker/trainer/collective/backends.h"
#include "worker/trainer/cuda/nccl.h"

namespace cvtrain::trainer {
namespace {

constexpr char kIdKey[] = "nccl/id";

Nccl::DataType TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kLong:
      return Nccl::kInt64;
    case at::kFloat:
      return Nccl::kFloat32;
    case at::kDouble:
      return Nccl::kFloat64;
    default:
      TORCH_CHECK(false, "ranks do not exchange tensors of ", tensor.scalar_type());
  }
}

class NcclSum : public PendingSum {
 public:
  NcclSum(c10::DeviceIndex device, const c10::cuda::CUDAStream& stream)
      : device_(device), done_(cudaEventDisableTiming) {
    done_.record(stream);
  }
  void Wait() override { done_.block(c10::cuda::getCurrentCUDAStream(device_)); }

 private:
  const c10::DeviceIndex device_;
  c10::cuda::CUDAEvent done_;
};

class NcclRanks : public ProcessGroup {
 public:
  NcclRanks(const Options& options, const c10::intrusive_ptr<c10d::Store>& store)
      : options_(options),
        device_(options.place.index()),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_)) {
    const c10::cuda::CUDAGuard guard(device_);
    Nccl::UniqueId id;
    if (options.rank == 0) {
      Check(nccl_.GetUniqueId(&id));
      store->set(kIdKey, std::vector<uint8_t>(id.bytes, id.bytes + sizeof(id.bytes)));
    } else {
      const std::vector<uint8_t> bytes = store->get(kIdKey);
      TORCH_CHECK_WITH(DistBackendError, bytes.size() == sizeof(id.bytes), "no id of NCCL");
      std::memcpy(id.bytes, bytes.data(), sizeof(id.bytes));
    }
    Check(nccl_.CommInitRank(&comm_, options.world_size, id, options.rank));
  }
  // Also while a collective hangs.
  ~NcclRanks() override { nccl_.CommAbort(comm_); }

  int32_t rank() const override { return options_.rank; }
  int32_t world_size() const override { return options_.world_size; }
  std::string backend_name() const override { return "NCCL"; }

  void SumOverRanks(at::Tensor& tensor) override { Reduce(tensor, Nccl::kSum); }
  void MaxOverRanks(at::Tensor& tensor) override { Reduce(tensor, Nccl::kMax); }

  void BroadcastFromFirst(const std::vector<at::Tensor>& tensors) override {
    for (const at::Tensor& tensor : tensors) {
      at::Tensor dense = OnGpu(tensor);
      Launch(dense, [&](cudaStream_t stream) {
        return nccl_.Broadcast(dense.data_ptr(), dense.data_ptr(),
                               static_cast<size_t>(dense.numel()), TypeOf(dense), 0, comm_, stream);
      })->Wait();
      if (!dense.is_same(tensor)) tensor.copy_(dense);
    }
  }

  std::vector<at::Tensor> NewBuckets(const std::vector<int64_t>& sizes) override {
    std::vector<at::Tensor> buckets;
    for (int64_t size : sizes) {
      buckets.push_back(at::zeros({size}, at::TensorOptions(at::kFloat).device(options_.place)));
    }
    return buckets;
  }

  std::unique_ptr<PendingSum> StartSum(const at::Tensor& bucket) override {
    return Launch(bucket,
                  [&](cudaStream_t stream) { return AllReduce(bucket, Nccl::kSum, stream); });
  }

 private:
  void Check(Nccl::Result result) const {
    TORCH_CHECK_WITH(DistBackendError, result == Nccl::kSuccess || result == Nccl::kInProgress,
                     "NCCL: ", nccl_.GetErrorString(result));
  }

  // Itself, or a dense copy on the GPU.
  at::Tensor OnGpu(const at::Tensor& tensor) const {
    return tensor.to(options_.place).contiguous();
  }

  Nccl::Result AllReduce(const at::Tensor& tensor, Nccl::Operation operation,
                         cudaStream_t stream) const {
    return nccl_.AllReduce(tensor.data_ptr(), tensor.data_ptr(),
                           static_cast<size_t>(tensor.numel()), TypeOf(tensor), operation, comm_,
                           stream);
  }

  template <typename Call>
  std::unique_ptr<PendingSum> Launch(const at::Tensor& tensor, Call call) {
    Nccl::Result error = Nccl::kSuccess;
    Check(nccl_.CommGetAsyncError(comm_, &error));
    Check(error);
    const c10::cuda::CUDAGuard guard(device_);
    c10::cuda::CUDAEvent made(cudaEventDisableTiming);
    made.record(c10::cuda::getCurrentCUDAStream(device_));
    made.block(stream_);
    Check(call(stream_.stream()));
    // Its memory is not given to others before this stream is done with it.
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    return std::make_unique<NcclSum>(device_, stream_);
  }

  void Reduce(at::Tensor& tensor, Nccl::Operation operation) {
    at::Tensor dense = OnGpu(tensor);
    Launch(dense, [&](cudaStream_t stream) { return AllReduce(dense, operation, stream); })->Wait();
    if (!dense.is_same(tensor)) tensor.copy_(dense);
  }

  const Options options_;
  const c10::DeviceIndex device_;
  const c10::cuda::CUDAStream stream_;
  const Nccl& nccl_ = Nccl::Get();
  Nccl::Comm comm_ = nullptr;
};

}  // namespace
}  // namespace cvtrain::trainer

extern "C" __attribute__((visibility("default"))) cvtrain::trainer::ProcessGroup*
cvtrain_new_nccl_ranks(const cvtrain::trainer::ProcessGroup::Options* options, c10d::Store* store) {
  return new cvtrain::trainer::NcclRanks(*options,
                                         c10::intrusive_ptr<c10d::Store>::reclaim_copy(store));
}
