#ifndef CVTRAIN_WORKER_AGENT_GPUS_GPUS_H_
#define CVTRAIN_WORKER_AGENT_GPUS_GPUS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cvtrain::worker {

// A GPU of this machine, as its driver knows it.
struct Gpu {
  // What CUDA_VISIBLE_DEVICES may name it by: "GPU-5c89852c-...". Stays the same over restarts.
  std::string uuid;
  std::string model;         // "NVIDIA H100 80GB HBM3"
  int64_t memory_bytes = 0;  // all of it, whoever uses it
};

// All of them, in the driver's order; none without a driver. Asks NVIDIA's management library,
// which comes with the driver and is loaded for the call: the agent itself knows nothing of CUDA.
// `why` says why there are none. Thread-safe.
std::vector<Gpu> FindGpus(std::string* why);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_GPUS_GPUS_H_
