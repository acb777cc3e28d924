#include "worker/trainer/snapshot/snapshotter.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "worker/trainer/snapshot/tensor_types.h"

namespace cvtrain::trainer {
namespace {

// A checkpoint that cannot be handed over for so long never will be: the agent keeps two on its
// disk while the coordinator is away.
constexpr absl::Duration kReleaseTimeout = absl::Hours(1);
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshotter>> Snapshotter::Create(
    std::vector<SnapshotTensor> tensors, CheckpointSink& sink, Device& device) {
  std::vector<formats::TensorSpec> specs;
  for (const SnapshotTensor& tensor : tensors) {
    CVT_ASSIGN_OR_RETURN(const auto type, DataTypeOf(tensor.tensor));
    specs.push_back({tensor.name, type, tensor.tensor.sizes().vec(), tensor.role});
  }
  CVT_ASSIGN_OR_RETURN(formats::CheckpointLayout layout,
                       formats::CheckpointLayout::Plan(std::move(specs)));
  return std::unique_ptr<Snapshotter>(
      new Snapshotter(std::move(layout), std::move(tensors), sink, device));
}

Snapshotter::Snapshotter(formats::CheckpointLayout layout, std::vector<SnapshotTensor> tensors,
                         CheckpointSink& sink, Device& device)
    : layout_(std::move(layout)),
      tensors_(std::move(tensors)),
      sink_(sink),
      device_(device),
      copier_("cvt-snapshot", [this](StopToken) { Run(); }) {
  sink_.SetReleaseHandler([this](const CheckpointSink::Release& release) { Released(release); });
}

Snapshotter::~Snapshotter() {
  {
    absl::MutexLock lock(&mu_);
    ending_ = true;
  }
  copier_.Join();
  {
    absl::MutexLock lock(&mu_);
    for (Buffer& buffer : buffers_) device_.Unpin(buffer.memory.mutable_bytes());
  }
  sink_.SetReleaseHandler(nullptr);
}

void Snapshotter::Run() {
  MakeBuffers();
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return copying_ || ending_; };
  while (true) {
    std::optional<CheckpointSink::Notice> notice;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&has_work));
      notice = copying_;
    }
    if (!notice) return;
    CopyAndHandOver(*notice);
  }
}

void Snapshotter::MakeBuffers() {
  std::array<SharedMemory, 2> memories;
  absl::Status status;
  for (SharedMemory& memory : memories) {
    auto made =
        SharedMemory::Create("cvtrain-checkpoint", static_cast<size_t>(layout_.file_bytes()));
    if (!made.ok()) {
      status = made.status();
      break;
    }
    memory = *std::move(made);
    device_.Pin(memory.mutable_bytes());
  }
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < memories.size(); ++i) buffers_[i].memory = std::move(memories[i]);
  made_ = Annotate(status, "making checkpoint buffers");
}

absl::StatusOr<std::optional<int32_t>> Snapshotter::Acquire(WhenBusy when_busy,
                                                            absl::FunctionRef<bool()> gives_up) {
  const auto free_buffer = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) -> std::optional<int32_t> {
    for (int32_t i = 0; i < 2; ++i) {
      if (!buffers_[static_cast<size_t>(i)].taken_by_step.has_value()) return i;
    }
    return std::nullopt;
  };
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return made_.has_value() &&
           (!made_->ok() || when_busy == WhenBusy::kSkip || free_buffer().has_value());
  };
  for (absl::Duration waited; waited < kReleaseTimeout; waited += kPollInterval) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&ready), kPollInterval)) {
        CVT_RETURN_IF_ERROR(*made_);
        return free_buffer();
      }
    }
    if (gives_up()) return Cancelled(Reason::kStopping, "the attempt was stopped");
  }
  return DeadlineExceeded(Reason::kDeadline,
                          absl::StrCat("waiting for a checkpoint buffer: neither was released in ",
                                       absl::FormatDuration(kReleaseTimeout)));
}

absl::StatusOr<bool> Snapshotter::Save(const formats::CheckpointManifest& manifest,
                                       WhenBusy when_busy, absl::FunctionRef<bool()> gives_up) {
  CVT_RETURN_IF_ERROR(FinishCopy());
  CVT_ASSIGN_OR_RETURN(const std::optional<int32_t> number, Acquire(when_busy, gives_up));
  if (!number.has_value()) return false;

  // Only this thread takes buffers, so one that is free stays so without the lock.
  absl::Span<char> file;
  {
    absl::MutexLock lock(&mu_);
    file = buffers_[static_cast<size_t>(*number)].memory.mutable_bytes();
  }
  CVT_RETURN_IF_ERROR(layout_.WriteHeaderAndManifest(manifest, file));
  Copy(Changed::kByForwardPasses, file);
  device_.Mark();
  {
    absl::MutexLock lock(&mu_);
    copying_ = {.buffer = *number,
                .step = manifest.step(),
                .epoch = manifest.epoch(),
                .stage = manifest.stage(),
                .size_bytes = layout_.file_bytes()};
  }
  if (when_busy == WhenBusy::kWait) CVT_RETURN_IF_ERROR(FinishCopy());
  return true;
}

absl::Status Snapshotter::FinishCopy() {
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !copying_.has_value(); };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&done));
  return handed_over_;
}

void Snapshotter::CopyAndHandOver(const CheckpointSink::Notice& copied) {
  CheckpointSink::Notice notice = copied;
  absl::Span<char> file;
  {
    absl::MutexLock lock(&mu_);
    file = buffers_[static_cast<size_t>(notice.buffer)].memory.mutable_bytes();
  }
  device_.CopyFromMark([&] { Copy(Changed::kByUpdates, file); });
  {
    // Before the notice: the release may come before the call returns.
    absl::MutexLock lock(&mu_);
    Buffer& buffer = buffers_[static_cast<size_t>(notice.buffer)];
    if (!buffer.handed_over) notice.fd = buffer.memory.fd();
    buffer.taken_by_step = notice.step;
    buffer.handed_over = true;
  }
  const absl::Status sent = sink_.SendCheckpoint(notice);
  absl::MutexLock lock(&mu_);
  handed_over_ = sent;
  copying_.reset();
}

void Snapshotter::Copy(Changed changed, absl::Span<char> file) const {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const bool by_forward = tensors_[i].role == storage::v1::Tensor::ROLE_BUFFER;
    if (by_forward != (changed == Changed::kByForwardPasses)) continue;
    const at::Tensor& tensor = tensors_[i].tensor;
    const auto index = static_cast<int>(i);
    // A checkpoint's order of elements is the logical one, whatever the memory format. What runs
    // beside computing on a GPU is waited for in CopyFromMark().
    at::from_blob(file.data() + layout_.tensor_offset(index), tensor.sizes(),
                  tensor.options().device(at::kCPU))
        .copy_(tensor, /*non_blocking=*/changed == Changed::kByUpdates);
  }
}

void Snapshotter::Released(const CheckpointSink::Release& release) {
  absl::MutexLock lock(&mu_);
  if (release.buffer < 0 || release.buffer >= 2) return;
  std::optional<int64_t>& taken_by = buffers_[static_cast<size_t>(release.buffer)].taken_by_step;
  if (taken_by != release.step) return;
  taken_by.reset();
  if (release.durable) {
    durable_ = true;
  } else {
    lost_step_ = std::max(lost_step_.value_or(0), release.step);
  }
}

bool Snapshotter::TakeDurable() {
  absl::MutexLock lock(&mu_);
  return std::exchange(durable_, false);
}

std::optional<int64_t> Snapshotter::TakeLost() {
  absl::MutexLock lock(&mu_);
  return std::exchange(lost_step_, std::nullopt);
}

}  // namespace cvtrain::trainer
