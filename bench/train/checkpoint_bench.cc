#include <fcntl.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/train/bench.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/memfd.h"
#include "common/posix_error.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "worker/trainer/snapshot/restore.h"
#include "worker/trainer/snapshot/snapshotter.h"

namespace cvtrain::bench {
namespace {

using trainer::SnapshotTensor;
using trainer::Snapshotter;

// As many tensors as a ResNet-50 with momentum has.
constexpr int kTensors = 320;

// Of the matrices whose products stand for training.
constexpr int64_t kSide = 1024;

// Takes checkpoints and keeps the memory of the last one; buffers are free at once.
class Taker : public trainer::CheckpointSink {
 public:
  absl::Status SendCheckpoint(const Notice& notice) override {
    if (notice.fd >= 0) {
      UniqueFd copy(::fcntl(notice.fd, F_DUPFD_CLOEXEC, 0));
      CVT_ASSIGN_OR_RETURN(
          buffers_[static_cast<size_t>(notice.buffer)],
          SharedMemory::MapReadWrite(std::move(copy), static_cast<size_t>(notice.size_bytes)));
    }
    last_ = static_cast<size_t>(notice.buffer);
    if (handler_) handler_({.buffer = notice.buffer, .step = notice.step, .durable = true});
    return absl::OkStatus();
  }
  void SetReleaseHandler(ReleaseHandler handler) override { handler_ = std::move(handler); }

  absl::Span<char> last() { return buffers_[last_].mutable_bytes(); }

 private:
  std::array<SharedMemory, 2> buffers_;
  size_t last_ = 0;
  ReleaseHandler handler_;
};

class CheckpointBench {
 public:
  explicit CheckpointBench(const CheckpointOptions& options) : options_(options) {}

  absl::Status Prepare() {
    const int64_t elements = options_.bytes / kTensors / int64_t{sizeof(float)};
    for (int i = 0; i < kTensors; ++i) {
      tensors_.push_back({absl::StrCat("t", i), at::full({elements}, i, at::kFloat),
                          storage::v1::Tensor::ROLE_PARAMETER});
    }
    CVT_ASSIGN_OR_RETURN(snapshotter_, Snapshotter::Create(tensors_, taker_));
    manifest_.set_plan_version(1);
    // Both buffers are made, and mapped here.
    for (int i = 0; i < 2; ++i) {
      CVT_RETURN_IF_ERROR(BeginSave());
      CVT_RETURN_IF_ERROR(snapshotter_->FinishCopy());
    }
    CVT_RETURN_IF_ERROR(formats::FinishTrailer(taker_.last()).status());
    CVT_RETURN_IF_ERROR(
        WriteFileAtomic(PosixFileSystem(), options_.file,
                        absl::string_view(taker_.last().data(), taker_.last().size())));
    return absl::OkStatus();
  }

  // `train`: a step without a checkpoint. `save`: the same step right after one was taken; `stall`
  // is how long training stood still for it. `restore`: from the file into the tensors, with its
  // checks.
  absl::StatusOr<Pass> Run(absl::string_view what) {
    Pass pass = {.bytes = options_.bytes};
    double stall = 0;
    const double begin = WallSeconds();
    if (what == "train") {
      Train();
    } else if (what == "save") {
      CVT_RETURN_IF_ERROR(BeginSave());
      stall = WallSeconds() - begin;
      Train();
      const double trained = WallSeconds();
      CVT_RETURN_IF_ERROR(snapshotter_->FinishCopy());
      stall += WallSeconds() - trained;
    } else if (what == "restore") {
      CVT_RETURN_IF_ERROR(Restore());
    } else {
      return InvalidArgument(Reason::kUsage, "run train, save or restore");
    }
    pass.seconds = WallSeconds() - begin;
    pass.numbers = {{"check", tensors_.back().tensor[0].item<double>()}, {"stall", stall}};
    return pass;
  }

 private:
  // Stands for forward and backward passes: products of matrices, as in torch_checkpoint.py.
  void Train() {
    for (int i = 0; i < options_.products; ++i) at::mm_out(product_, factor_, factor_);
  }
  absl::Status BeginSave() {
    manifest_.set_step(manifest_.step() + 1);
    return snapshotter_->Save(manifest_, Snapshotter::WhenBusy::kSkip, [] { return false; })
        .status();
  }
  absl::Status Restore() {
    UniqueFd file(::open(options_.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return ErrnoToStatus(errno, "opening", options_.file);
    trainer::RestoreExpectation expected;
    expected.checkpoint = "c";
    expected.step = 2;
    expected.plan_version = 1;
    return trainer::Restore(file, snapshotter_->checkpoint_bytes(), expected, tensors_).status();
  }

  const CheckpointOptions options_;
  const at::Tensor factor_ = at::ones({kSide, kSide}, at::kFloat);
  at::Tensor product_ = at::empty({kSide, kSide}, at::kFloat);
  Taker taker_;
  std::vector<SnapshotTensor> tensors_;
  std::unique_ptr<Snapshotter> snapshotter_;
  storage::v1::CheckpointManifest manifest_;
};

}  // namespace

absl::StatusOr<Runner> NewCheckpointBench(const CheckpointOptions& options) {
  at::set_num_threads(options.threads);
  auto bench = std::make_shared<CheckpointBench>(options);
  CVT_RETURN_IF_ERROR(bench->Prepare());
  return Runner([bench](absl::string_view what) { return bench->Run(what); });
}

}  // namespace cvtrain::bench
