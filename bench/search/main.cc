// Our side of the benchmarks of searches; bench/side/side.h says how it is talked to.

#include <iostream>

#include "absl/status/status.h"
#include "bench/search/search_bench.h"
#include "bench/side/side.h"
#include "common/flags.h"
#include "common/status_macros.h"

namespace cvtrain::bench {
namespace {

absl::Status Main(int argc, char** argv) {
  FlagSet flags("cvtrain-bench-search",
                "Our side of the benchmarks of searches; bench/search_quality.py and "
                "bench/search_overhead.py run it.");
  CVT_ASSIGN_OR_RETURN(const FlagSet::Parsed parsed, flags.Parse(argc, argv));
  if (parsed.help) {
    std::cout << flags.Help();
    return absl::OkStatus();
  }
  return Serve(NewSearchBench());
}

}  // namespace
}  // namespace cvtrain::bench

int main(int argc, char** argv) {
  return cvtrain::bench::ExitWith("cvtrain-bench-search", cvtrain::bench::Main(argc, argv));
}
