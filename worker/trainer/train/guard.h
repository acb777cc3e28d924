#ifndef CVTRAIN_WORKER_TRAINER_TRAIN_GUARD_H_
#define CVTRAIN_WORKER_TRAINER_TRAIN_GUARD_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cvtrain::trainer {

// Runs `body` and turns what LibTorch throws into a status: the one place where exceptions end.
// `doing` names the work, for the message.
//
// RESOURCE_EXHAUSTED (OUT_OF_MEMORY)  the slot's memory limit, or the machine's, is reached
// UNAVAILABLE (PEER_GONE)             a collective or the rendezvous store failed, in a world of
//                                     more than one
// INTERNAL (INTERNAL)                 anything else
absl::Status Guard(absl::string_view doing, int world_size, absl::FunctionRef<absl::Status()> body);
inline absl::Status Guard(absl::string_view doing, absl::FunctionRef<absl::Status()> body) {
  return Guard(doing, 1, body);
}

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_TRAIN_GUARD_H_
