#ifndef CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOTTER_H_
#define CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOTTER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/memfd.h"
#include "common/thread.h"
#include "formats/checkpoint/checkpoint.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/snapshot/snapshot_tensor.h"

namespace cvtrain::trainer {

// Who takes a checkpoint that stands in shared memory: the agent, in production. Thread-safe.
class CheckpointSink {
 public:
  virtual ~CheckpointSink() = default;

  struct Notice {
    int32_t buffer = 0;
    int64_t step = 0;
    int32_t epoch = 0;
    int32_t stage = 0;
    int64_t size_bytes = 0;
    // The buffer's memory, the first time that it is handed over; else -1. Stays the caller's.
    int fd = -1;
  };
  // What was reported before arrives before. UNAVAILABLE (PEER_GONE).
  virtual absl::Status SendCheckpoint(const Notice& notice) = 0;

  // A buffer is free again.
  struct Release {
    int32_t buffer = 0;
    int64_t step = 0;
    // False: the checkpoint is lost, and no other will be made of that moment.
    bool durable = true;
  };
  using ReleaseHandler = std::function<void(const Release&)>;
  // Who hears of releases, on a thread of the sink's. Replaces the one before, which is not
  // running any more when this returns. Empty: nobody.
  virtual void SetReleaseHandler(ReleaseHandler handler) = 0;
};

// Takes checkpoints without waiting for where they go, nor for most of the copy.
//
// Two buffers of shared memory, each as large as a checkpoint, are made and touched on a thread of
// this class when the attempt begins. The same thread copies:
//
//        Save()                 copied, CheckpointReady             Released()
//   free -------> being copied ------------------------> taken --------------> free
//
// Forward and backward passes change nothing of a checkpoint but buffers of the network, so those
// are copied before Save() returns, and all else while the next passes run. Who changes anything
// else calls FinishCopy() before. Both are called by one thread, the training loop's.
class Snapshotter {
 public:
  // `tensors`: what checkpoints hold; they are on `device` and stay the same for the attempt.
  // `sink` and `device` must outlive this. INVALID_ARGUMENT if they cannot be a checkpoint: see
  // formats::CheckpointLayout.
  static absl::StatusOr<std::unique_ptr<Snapshotter>> Create(std::vector<SnapshotTensor> tensors,
                                                             CheckpointSink& sink,
                                                             Device& device = Device::Cpu());

  // Waits for a copy that runs; not for the sink, which has its own descriptors.
  ~Snapshotter();

  enum class WhenBusy {
    kSkip,  // a periodic checkpoint: the caller tries again at a later step, with newer state
    kWait,  // the last one of the attempt: when Save() returns, it has been handed over
  };

  // Begins to copy the tensors, which are handed over with `manifest`; that has everything but
  // `tensors`. Returns false, and does nothing, if both buffers are taken and `when_busy` is kSkip.
  // While it waits, it asks `gives_up` ten times a second. Errors, also of the copy before:
  //
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED)  no shared memory for the buffers
  // DEADLINE_EXCEEDED (DEADLINE)         kWait, and no buffer was released in an hour
  // CANCELLED (STOPPING)                 `gives_up` said so
  // UNAVAILABLE (PEER_GONE)              the sink is gone
  absl::StatusOr<bool> Save(const formats::CheckpointManifest& manifest, WhenBusy when_busy,
                            absl::FunctionRef<bool()> gives_up);

  // Waits until the last copy is complete and handed over, if one runs. UNAVAILABLE (PEER_GONE).
  absl::Status FinishCopy() ABSL_LOCKS_EXCLUDED(mu_);

  // The step of the newest checkpoint that was lost, once; nothing if none was lost since the
  // last call.
  std::optional<int64_t> TakeLost() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether one has become durable since the last call.
  bool TakeDurable() ABSL_LOCKS_EXCLUDED(mu_);

  // Bytes of one checkpoint.
  int64_t checkpoint_bytes() const { return layout_.file_bytes(); }

 private:
  struct Buffer {
    SharedMemory memory;
    bool handed_over = false;  // the sink has its descriptor
    std::optional<int64_t> taken_by_step;
  };

  Snapshotter(formats::CheckpointLayout layout, std::vector<SnapshotTensor> tensors,
              CheckpointSink& sink, Device& device);

  // The thread's: makes the buffers, then copies until the destructor runs.
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void MakeBuffers() ABSL_LOCKS_EXCLUDED(mu_);
  void CopyAndHandOver(const CheckpointSink::Notice& notice) ABSL_LOCKS_EXCLUDED(mu_);
  // A release of what is not in the buffer, such as one of an earlier attempt, is ignored.
  void Released(const CheckpointSink::Release& release) ABSL_LOCKS_EXCLUDED(mu_);
  // The number of a free buffer; nothing if both are taken and `when_busy` is kSkip.
  absl::StatusOr<std::optional<int32_t>> Acquire(WhenBusy when_busy,
                                                 absl::FunctionRef<bool()> gives_up)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Which tensors forward passes change.
  enum class Changed { kByForwardPasses, kByUpdates };
  void Copy(Changed changed, absl::Span<char> file) const;

  // Constant after construction.
  const formats::CheckpointLayout layout_;
  const std::vector<SnapshotTensor> tensors_;
  CheckpointSink& sink_;
  Device& device_;

  absl::Mutex mu_;
  // Set when the buffers are there, or why they are not.
  std::optional<absl::Status> made_ ABSL_GUARDED_BY(mu_);
  std::array<Buffer, 2> buffers_ ABSL_GUARDED_BY(mu_);
  std::optional<int64_t> lost_step_ ABSL_GUARDED_BY(mu_);
  bool durable_ ABSL_GUARDED_BY(mu_) = false;
  // What is being copied.
  std::optional<CheckpointSink::Notice> copying_ ABSL_GUARDED_BY(mu_);
  absl::Status handed_over_ ABSL_GUARDED_BY(mu_);
  bool ending_ ABSL_GUARDED_BY(mu_) = false;

  Thread copier_;  // last: it uses the members above
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_SNAPSHOT_SNAPSHOTTER_H_
