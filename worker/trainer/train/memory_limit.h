#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_MEMORY_LIMIT_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_MEMORY_LIMIT_H_

#include <cstdint>

namespace cvtrain::trainer {

// Makes tensors on the CPU count against a limit: an allocation beyond it throws
// c10::OutOfMemoryError, so that a trial which is too large for its slot ends with that cause
// instead of being killed by the kernel, together with its neighbours.
//
// Blocks that tensors give back are kept for the next ones of their size; a process that trains one
// thing after another (a warm trainer) drops them with DropFreedMemory().
//
// Counts the memory of tensors, which is what grows with a recipe; not code, stacks and what
// libraries keep for themselves. All functions are thread-safe.

// Wraps LibTorch's allocator; once per process, before the first tensor. Without a limit it only
// counts.
void InstallMemoryLimit();

// 0 means no limit. Takes effect at the next allocation.
void SetMemoryLimit(int64_t limit_bytes);

// Gives back to the system what no tensor holds.
void DropFreedMemory();

// Bytes that tensors hold now.
int64_t TensorMemoryBytes();

// The most that they held at a time since the last call, or since the beginning.
int64_t TakePeakTensorMemoryBytes();

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_MEMORY_LIMIT_H_
