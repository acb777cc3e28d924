#include "tests/support/seed.h"

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/env.h"
#include "common/random.h"
#include "common/status_macros.h"

namespace cvtrain::testing {
namespace {

uint64_t ParseSeed(absl::string_view text) {
  uint64_t seed = 0;
  CVT_CHECK(absl::SimpleAtoi(text, &seed)) << "not a seed: " << text;
  return seed;
}

uint64_t ChooseSeed() {
  // Read from the system, so that tests need no main function of their own.
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  const std::string command_line = content.str();
  for (absl::string_view argument : absl::StrSplit(command_line, '\0')) {
    if (absl::ConsumePrefix(&argument, "--seed=")) return ParseSeed(argument);
  }
  if (const auto text = GetEnv("CVTRAIN_TEST_SEED")) return ParseSeed(*text);
  return SystemRandom().NextU64() >> 32;  // short enough to be typed
}

}  // namespace

uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const uint64_t chosen = ChooseSeed();
    std::printf("seed: %" PRIu64 " (repeat with --seed=%" PRIu64 ")\n", chosen, chosen);
    std::fflush(stdout);
    return chosen;
  }();
  return seed;
}

}  // namespace cvtrain::testing
