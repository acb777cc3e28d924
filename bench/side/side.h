#ifndef CVTRAIN_BENCH_SIDE_SIDE_H_
#define CVTRAIN_BENCH_SIDE_SIDE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::bench {

// What one pass did; the program prints it as a line of JSON, with the time that it took.
struct Pass {
  int64_t images = 0;
  int64_t bytes = 0;
  // By the clock, if only the pass knows what counts.
  std::optional<double> seconds = std::nullopt;
  // Anything else, by name.
  std::vector<std::pair<std::string, double>> numbers = {};
};

// One side of a comparison: set up once, then run as often as the harness asks, in turn with its
// peer. `argument` is what the harness wrote behind the word `run`.
using Runner = std::function<absl::StatusOr<Pass>(absl::string_view argument)>;

// Says `ready`, and then reads lines: `run ARGUMENT` makes a pass and answers with a line of JSON,
// so that the harness can take turns with a peer. Ends with its input.
absl::Status Serve(const Runner& runner);

// By the clock, from some moment on.
double WallSeconds();

// The exit code of a program whose work ended with `status`, which it tells.
int ExitWith(absl::string_view program, const absl::Status& status);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_SIDE_SIDE_H_
