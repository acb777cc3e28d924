// Our side of the benchmarks of training, set up by its flags; bench/side/side.h says how it is
// talked to. One process for each rank.

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/side/side.h"
#include "bench/train/bench.h"
#include "common/errors.h"
#include "common/flags.h"
#include "common/status_macros.h"
#include "worker/trainer/train/memory_limit.h"

namespace cvtrain::bench {
namespace {

void Declare(FlagSet& flags, StepOptions& options) {
  flags.String("model", 0, &options.model, "MODEL", "step: a model as text, or mlp:WIDTH:DEPTH");
  flags.Int("classes", 0, &options.classes, 1, 100'000, "step: of the model");
  flags.String("data", 0, &options.data, "FILE", "step: a batch, pixels and labels");
  flags.String("weights", 0, &options.weights, "FILE", "step: takes the weights at the start");
  flags.Int("size", 0, &options.size, 8, 4'096, "step: of the pictures");
  flags.Int("batch", 0, &options.batch, 1, 65'536, "step: pictures of each rank");
  flags.Int("threads", 0, &options.threads, 1, 256, "step: of each rank");
  flags.Choice("device", 0, &options.device, {"cpu", "gpu"}, "step: where it computes");
  flags.Choice("format", 0, &options.format, {"best", "planes", "rows"},
               "step: channels apart or innermost; best: as trials have it");
  flags.Choice("precision", 0, &options.precision, {"fp32", "bf16"}, "step: of the passes");
  flags.Int("rank", 0, &options.ranks.rank, 0, 1'023, "of this process");
  flags.Int("world", 0, &options.ranks.world, 1, 1'024, "ranks");
  flags.String("store", 0, &options.ranks.store, "DIR", "where ranks meet");
  flags.Choice("backend", 0, &options.ranks.backend, {"shared", "gloo"}, "how ranks talk");
}

absl::Status Main(int argc, char** argv) {
  trainer::InstallMemoryLimit();
  StepOptions options;
  CheckpointOptions checkpoint;
  options.ranks.backend = "shared";
  FlagSet flags("cvtrain-bench-train step|all-reduce|checkpoint [flags]",
                "Our side of the benchmarks of training; bench/*.py run it.");
  Declare(flags, options);
  flags.String("file", 0, &checkpoint.file, "FILE", "checkpoint: takes one");
  flags.Int("bytes", 0, &checkpoint.bytes, 1 << 20, int64_t{1} << 34, "checkpoint: of the state");
  flags.Int("products", 0, &checkpoint.products, 0, 1'000'000, "checkpoint: work of a step");
  CVT_ASSIGN_OR_RETURN(const FlagSet::Parsed parsed, flags.Parse(argc, argv));
  if (parsed.help) {
    std::cout << flags.Help();
    return absl::OkStatus();
  }
  const std::string kind = parsed.positional.size() == 1 ? parsed.positional[0] : "";
  if (kind == "step") {
    CVT_ASSIGN_OR_RETURN(const Runner runner, NewStepBench(options));
    return Serve(runner);
  }
  if (kind == "all-reduce") {
    CVT_ASSIGN_OR_RETURN(const Runner runner, NewAllReduceBench(options.ranks));
    return Serve(runner);
  }
  if (kind == "checkpoint") {
    checkpoint.threads = options.threads;
    CVT_ASSIGN_OR_RETURN(const Runner runner, NewCheckpointBench(checkpoint));
    return Serve(runner);
  }
  return InvalidArgument(Reason::kUsage, "name one benchmark: step, all-reduce or checkpoint");
}

}  // namespace
}  // namespace cvtrain::bench

int main(int argc, char** argv) {
  return cvtrain::bench::ExitWith("cvtrain-bench-train", cvtrain::bench::Main(argc, argv));
}
