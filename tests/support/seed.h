#ifndef CVTRAIN_TESTS_SUPPORT_SEED_H_
#define CVTRAIN_TESTS_SUPPORT_SEED_H_

#include <cstdint>

namespace cvtrain::testing {

// The seed of a randomized test: that of `--seed=N` on the test's command line, else of
// the environment variable CVTRAIN_TEST_SEED, else a new one for each run of the program.
// Prints "seed: N (repeat with --seed=N)" the first time, so a failure can be repeated.
uint64_t TestSeed();

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_SEED_H_
