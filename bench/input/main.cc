// Our side of the benchmarks of the input path, set up by its flags; bench/side/side.h says how it
// is talked to.

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/input/bench.h"
#include "bench/side/side.h"
#include "common/errors.h"
#include "common/flags.h"
#include "common/status_macros.h"

namespace cvtrain::bench {
namespace {

struct Options {
  DecodeOptions decode;
  CreateOptions create;
  LoadOptions load;
};

void Declare(FlagSet& flags, Options& options) {
  DecodeOptions& decode = options.decode;
  flags.String("list", 0, &decode.list, "FILE", "decode, ladder: paths or names of the pictures");
  flags.String("crops", 0, &decode.crops, "FILE", "decode, ladder: crops of each pass");
  flags.String("dump", 0, &decode.dump, "FILE", "decode, ladder: takes the pixels");
  flags.String("from", 0, &options.create.from, "DIR", "create: an image folder");
  flags.String("to", 0, &options.create.to, "DIR", "create: takes the shards");
  flags.String("rungs", 0, &options.create.rungs, "LIST", "create: short sides");
  flags.Int("source-side", 0, &options.create.source_side, 8, 16'384, "create: of the sources");
  flags.Int("quality", 0, &options.create.quality, 1, 100, "create: of the JPEG files");
  flags.String("data", 0, &options.load.data, "DIR", "load, ladder: what create has made");
  flags.Int("batch", 0, &options.load.batch, 1, 65'536, "load: pictures");
  flags.Int("cache-bytes", 0, &options.load.cache_bytes, 0, int64_t{1} << 40,
            "load: of decoded pictures");
  flags.Double("scale-min", 0, &options.load.scale_min, 0, 1, "load: least share of the area");
  flags.Int("size", 0, &decode.size, 8, 4'096,
            "decode, load, ladder: of the results; corrupt: of the pictures");
  flags.Int("threads", 0, &decode.threads, 1, 256, "that work");
}

absl::StatusOr<Runner> NewRunner(const std::string& kind, Options& options) {
  options.load.size = options.decode.size;
  options.load.threads = options.decode.threads;
  options.create.threads = options.decode.threads;
  if (kind == "decode") return NewDecodeBench(options.decode);
  if (kind == "create") return NewCreateBench(options.create);
  if (kind == "load") return NewLoadBench(options.load);
  if (kind == "corrupt") return NewCorruptBench(options.decode.size);
  if (kind == "ladder") {
    return NewLadderBench({.data = options.load.data,
                           .list = options.decode.list,
                           .crops = options.decode.crops,
                           .size = options.decode.size,
                           .dump = options.decode.dump});
  }
  return InvalidArgument(Reason::kUsage, absl::StrCat("no such benchmark: ", kind));
}

absl::Status Main(int argc, char** argv) {
  Options options;
  FlagSet flags("cvtrain-bench-input decode|create|load|ladder|corrupt [flags]",
                "Our side of the benchmarks of the input path; bench/*.py run it.");
  Declare(flags, options);
  CVT_ASSIGN_OR_RETURN(const FlagSet::Parsed parsed, flags.Parse(argc, argv));
  if (parsed.help) {
    std::cout << flags.Help();
    return absl::OkStatus();
  }
  if (parsed.positional.size() != 1) {
    return InvalidArgument(Reason::kUsage,
                           "name one benchmark: decode, create, load, ladder or corrupt");
  }
  CVT_ASSIGN_OR_RETURN(const Runner runner, NewRunner(parsed.positional[0], options));
  return Serve(runner);
}

}  // namespace
}  // namespace cvtrain::bench

int main(int argc, char** argv) {
  return cvtrain::bench::ExitWith("cvtrain-bench-input", cvtrain::bench::Main(argc, argv));
}
