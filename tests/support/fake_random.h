#ifndef CVTRAIN_TESTS_SUPPORT_FAKE_RANDOM_H_
#define CVTRAIN_TESTS_SUPPORT_FAKE_RANDOM_H_

#include "common/random.h"

namespace cvtrain::testing {

// Chance that repeats: FakeRandom random(7);
using FakeRandom = SeededRandom;

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_FAKE_RANDOM_H_
