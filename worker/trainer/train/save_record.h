#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_SAVE_RECORD_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_SAVE_RECORD_H_

#include <algorithm>
#include <cstdint>

#include "worker/trainer/snapshot/snapshotter.h"

namespace cvtrain::trainer {

// What a loop remembers of its checkpoints: the last one that it handed over, and whether it owes
// one, because there was no buffer for it or because it was lost. Thread-compatible.
class SaveRecord {
 public:
  // The attempt begins at a checkpoint.
  void BeginAt(int64_t step) { saved_step_ = step; }

  // Nothing was lost, and the state of this step has been handed over.
  bool HasSaved(int64_t step) const { return saved_step_ == step; }
  // A checkpoint is to be made up for at this step, whether one is due or not.
  bool IsOverdue(int64_t step) const { return overdue_ && step >= overdue_from_; }

  void Note(int64_t step, bool saved) {
    overdue_ = !saved;
    if (saved) saved_step_ = step;
  }

  // To be called before the questions above. Where nothing can be stored, copies are made more
  // and more seldom: each costs the time of a step or more.
  void NoteLosses(Snapshotter& snapshotter, int64_t step) {
    if (snapshotter.TakeDurable()) losses_ = 0;
    if (snapshotter.TakeLost() != saved_step_) return;  // none, or a newer one is on its way
    saved_step_ = -1;
    overdue_ = true;
    overdue_from_ = step + (int64_t{1} << std::min(losses_++, kDoublingsMax)) - 1;
  }

 private:
  static constexpr int kDoublingsMax = 10;

  int64_t saved_step_ = -1;
  bool overdue_ = false;
  int64_t overdue_from_ = 0;
  int losses_ = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_SAVE_RECORD_H_
