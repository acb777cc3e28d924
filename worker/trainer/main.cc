// cvtrain-trainer: one rank of one attempt at a time, for the agent that started it. Not a program
// that people start.

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/build_info.h"
#include "common/clock.h"
#include "common/flags.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/unix_socket.h"
#include "worker/trainer/data/shard_batch_source.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/link/agent_link.h"
#include "worker/trainer/train/attempt.h"
#include "worker/trainer/train/guard.h"
#include "worker/trainer/train/memory_limit.h"

namespace cvtrain::trainer {
namespace {

struct Options {
  // The socket to the agent, inherited. Required.
  int agent_fd = -1;
  // Compute threads until an attempt says otherwise; 0: OMP_NUM_THREADS, or all cores.
  int threads = 0;
  // Computes on the first GPU that this process sees.
  bool gpu = false;
  bool version = false;
};

// Sets what must be set before LibTorch computes anything. Its threads inherit the mode of the
// floating point unit from this one.
void ConfigureLibTorch(const Options& options) {
  InstallMemoryLimit();
  at::globalContext().setFlushDenormal(true);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::set_num_interop_threads(1);
  if (options.threads > 0) at::set_num_threads(options.threads);
}

// Makes LibTorch load and set up what the first step would wait for.
absl::Status WarmUp(const Device& device) {
  return Guard("warming up", [&] {
    const auto numbers = [&](at::IntArrayRef sizes) { return at::rand(sizes).to(device.place()); };
    const at::Tensor images = numbers({2, 3, 32, 32});
    const at::Tensor weight = numbers({8, 3, 3, 3}).requires_grad_();
    const at::Tensor scale = numbers({8}).requires_grad_();
    const at::Tensor x = at::relu(
        at::batch_norm(at::conv2d(images, weight), scale, scale, {}, {}, true, 0.1, 1e-5, true));
    const at::Tensor logits =
        at::linear(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1), numbers({4, 8}));
    at::cross_entropy_loss(logits, at::zeros({2}, at::kLong).to(device.place())).backward();
    return absl::OkStatus();
  });
}

[[noreturn]] void EndWithoutAgent(const absl::Status& status) {
  // Nobody is left to report to, and threads that compute may take long to notice.
  CVT_LOG(kError, "the agent is gone").Field("error", status);
  std::_Exit(EXIT_FAILURE);
}

v1::Hello MakeHello() {
  v1::Hello hello;
  hello.set_build_id(GetBuildInfo().build_id);
  hello.set_pid(::getpid());
  hello.set_torch_version(TORCH_VERSION);
  hello.set_instruction_set(at::get_cpu_capability());
  return hello;
}

// What may come for later stages while one trains: a few shards of a large data set, and all of
// most others. The worker's cache has a bound of its own.
constexpr int64_t kFetchAheadBytes = int64_t{2} << 30;

// What decoded pictures may take beside the tensors, which the slot's limit counts: a share of the
// slot, or, where a slot has no limit, a fixed amount.
int64_t PictureCacheBytes(int64_t slot_bytes) {
  constexpr int64_t kShareOfSlot = 8;
  constexpr int64_t kUnlimitedSlot = int64_t{256} << 20;
  constexpr int64_t kMax = int64_t{4} << 30;
  return slot_bytes == 0 ? kUnlimitedSlot : std::min(slot_bytes / kShareOfSlot, kMax);
}

absl::Status Serve(AgentLink& link, Device& device) {
  ShardBatchSourceOptions source_options;
  source_options.fetch_ahead_bytes = kFetchAheadBytes;
  const BatchSourceFactory batch_sources = [&](const BatchSourceContext& context) {
    return NewShardBatchSource(context, link, source_options);
  };
  const AttemptServices services = {.host = link,
                                    .checkpoints = link,
                                    .store = link,
                                    .batch_sources = batch_sources,
                                    .clock = RealClock(),
                                    .device = device};
  for (int i = 0; i < limits::kAttemptsPerTrainerMax; ++i) {
    const auto next = link.WaitForStart();
    if (!next.has_value()) return absl::OkStatus();
    source_options.picture_cache_bytes = PictureCacheBytes(next->start.memory_bytes());
    const AttemptResult result = RunAttempt(next->start, next->checkpoint, services);
    v1::Exit exit;
    exit.set_cause(result.cause);
    exit.set_message(result.message);
    exit.set_end_step(result.end_step);
    exit.set_suspect(result.suspect);
    if (next->start.rank() == 0) exit.set_sample_digest(result.sample_digest);
    CVT_RETURN_IF_ERROR(link.SendExit(exit));
    if (!IsReusableAfter(result.cause)) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  ConfigureLibTorch(options);
  Device* device = &Device::Cpu();
  if (options.gpu) {
    CVT_ASSIGN_OR_RETURN(device, Device::Gpu());
  }
  CVT_RETURN_IF_ERROR(WarmUp(*device));
  AgentLink link(std::make_unique<UnixConnection>(UniqueFd(options.agent_fd)), RealClock(),
                 EndWithoutAgent);
  CVT_RETURN_IF_ERROR(link.SendHello(MakeHello()));
  return Serve(link, *device);
}

int Main(int argc, char** argv) {
  Options options;
  FlagSet flags("cvtrain-trainer --agent-fd=N",
                "Trains, for the cvtrain-worker that starts it. Set OMP_WAIT_POLICY=passive: "
                "waiting threads must leave the cores to their neighbours.");
  flags.Int("agent-fd", 0, &options.agent_fd, 0, 1 << 20, "inherited socket to the worker");
  flags.Int("threads", 0, &options.threads, 0, 1024, "compute threads; 0: OMP_NUM_THREADS");
  flags.Bool("gpu", 0, &options.gpu, "compute on the first GPU that CUDA_VISIBLE_DEVICES names");
  flags.Bool("version", 0, &options.version, "print the version and exit");
  const auto parsed = flags.Parse(argc, argv);
  if (!parsed.ok()) {
    std::fprintf(stderr, "cvtrain-trainer: %s\n", std::string(parsed.status().message()).c_str());
    return 2;
  }
  if (parsed->help || options.version) {
    std::printf("%s\n", parsed->help ? flags.Help().c_str() : VersionLine().c_str());
    return 0;
  }
  if (!flags.WasGiven("agent-fd")) {
    std::fprintf(stderr, "cvtrain-trainer: --agent-fd is required; cvtrain-worker gives it\n");
    return 2;
  }
  const absl::Status status = Run(options);
  if (!status.ok()) {
    CVT_LOG(kError, "the trainer ends").Field("error", status);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace cvtrain::trainer

int main(int argc, char** argv) { return cvtrain::trainer::Main(argc, argv); }
