#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_BACKENDS_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_BACKENDS_H_

// Private to this folder: the kinds of process groups, each in a file of its own. It brings in
// c10d's headers.

#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "worker/trainer/collective/process_group.h"

namespace cvtrain::trainer {

// gloo_ranks.cc. TCP between any machines.
std::unique_ptr<ProcessGroup> NewGlooRanks(const ProcessGroup::Options& options,
                                           c10::intrusive_ptr<c10d::Store> store);

// shared_ranks.cc. Memory that all ranks map; at most kSharedRanksMax of them, on one machine. If
// it cannot be had on some rank, all return null, and `why` says why.
inline constexpr int32_t kSharedRanksMax = 64;
std::unique_ptr<ProcessGroup> NewSharedRanks(const ProcessGroup::Options& options,
                                             c10::intrusive_ptr<c10d::Store> store,
                                             std::string* why);

// cuda/nccl_ranks.cc, in the module for GPUs: `options.place` is one. CudaModule::new_nccl_ranks
// has this type. The caller owns the result.
using NewNcclRanks = ProcessGroup* (*)(const ProcessGroup::Options* options, c10d::Store* store);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_BACKENDS_H_
