#ifndef CVTRAIN_WORKER_AGENT_OPTIONS_H_
#define CVTRAIN_WORKER_AGENT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/flags.h"
#include "common/limits.h"
#include "common/rpc/channel.h"

namespace cvtrain::worker {

// What a worker can be told.
struct Options {
  // unix:/path of a coordinator on this machine, or host:port with the TLS files below.
  std::string coordinator;
  TlsFiles tls;

  // Everything that this worker keeps; made with mode 0700. One worker at a time.
  std::string state_dir;

  // Its label: 1 to 63 of a-z 0-9 . _ -. Empty: made of the host's name.
  std::string name;

  // GPUs that become slots, the first ones; -1: all.
  int gpus = -1;
  // Slots on the CPU, 1 to 1,024. 0: one for each core, or none where GPUs are slots.
  int slots = 0;
  // Compute threads of a rank, 1 to 256. More than cores / slots makes all of them slower.
  int threads_per_slot = 1;
  // Memory of a slot on the CPU, bytes; 0: what the machine has without a reserve, shared evenly.
  uint64_t slot_memory = 0;

  // Bound of the cache of shards and checkpoints. See ContentCacheOptions.
  uint64_t cache_bytes = uint64_t{10} << 30;
  // Where shards are looked for before the coordinator is asked: see ShardOrigin.
  std::vector<std::string> shards_from;
  // Bound of the metrics and logs that wait for the coordinator; at most two checkpoints of each
  // trial come on top. See SpoolOptions.
  uint64_t spool_bytes = limits::kSpoolSizeBytesMax;

  // The program cvtrain-trainer. Empty: beside this one.
  std::string trainer;
  // A rank without progress for so long, evaluations included, is killed; 0: never.
  absl::Duration hang_timeout = absl::Minutes(10);
  // From SIGTERM to SIGKILL of ranks that have not written a checkpoint.
  absl::Duration grace = absl::Seconds(10);

  // Where /metrics is served, host:port; port 0 takes a free one, which is written to
  // `metrics_port` in the state directory. Empty: nowhere. Loopback by default: it has no
  // authentication.
  std::string metrics_address = "127.0.0.1:0";
  // Address that collectives bind; loopback unless ranks of one trial run on several
  // machines.
  std::string collective_address = "127.0.0.1";

  std::string log_level = "info";
};

// Adds the flags of cvtrain-worker, which fill `options`.
void AddFlags(Options& options, FlagSet& flags);

// INVALID_ARGUMENT (FIELD_INVALID), with every problem at once.
absl::Status Validate(const Options& options);

// A label made of a host's name: other characters become '-', upper case lower case.
std::string LabelFromHostname(const std::string& hostname);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_OPTIONS_H_
