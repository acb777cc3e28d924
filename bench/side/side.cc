#include "bench/side/side.h"

#include <ctime>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::bench {
namespace {

double SecondsOf(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

double WallSeconds() { return SecondsOf(CLOCK_MONOTONIC); }

absl::Status Serve(const Runner& runner) {
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    absl::string_view argument = line;
    if (!absl::ConsumePrefix(&argument, "run ")) {
      return InvalidArgument(Reason::kUsage, absl::StrCat("no such command: ", line));
    }
    const double wall = WallSeconds();
    const double cpu = SecondsOf(CLOCK_PROCESS_CPUTIME_ID);
    CVT_ASSIGN_OR_RETURN(const Pass pass, runner(argument));
    std::string json =
        absl::StrFormat(R"({"images": %d, "bytes": %d, "seconds": %.9f, "cpu_seconds": %.9f)",
                        pass.images, pass.bytes, pass.seconds.value_or(WallSeconds() - wall),
                        SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    for (const auto& [name, value] : pass.numbers) {
      absl::StrAppendFormat(&json, R"(, "%s": %.17g)", name, value);
    }
    std::cout << json << "}" << std::endl;
  }
  return absl::OkStatus();
}

int ExitWith(absl::string_view program, const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << program << ": " << status.message() << '\n';
  return 1;
}

}  // namespace cvtrain::bench
