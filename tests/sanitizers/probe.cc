// Makes one mistake on purpose, to prove that the sanitizer of this build catches it, or does the
// same without the mistake, to prove that it stays silent.
//
//   sanitizer_probe race | lock | overflow | undefined | none

#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"

namespace {

// Written by two threads at once.
int CountWithoutLock() {
  int count = 0;
  std::thread one([&] { ++count; });
  std::thread two([&] { ++count; });
  one.join();
  two.join();
  return count;
}

// The same under a lock, and handed over with a condition: what code here does.
int CountWithLock() {
  absl::Mutex mu;
  int count = 0;
  bool done = false;
  std::thread one([&] {
    absl::MutexLock lock(&mu);
    ++count;
    done = true;
  });
  std::thread two([&] {
    absl::MutexLock lock(&mu, absl::Condition(&done));
    ++count;
  });
  one.join();
  two.join();
  return count;
}

int ReadPastTheEnd(int size) {
  const auto values = std::make_unique<int[]>(static_cast<size_t>(size));
  volatile int index = size;
  return values[static_cast<size_t>(index)];
}

int OverflowASignedNumber() {
  volatile int largest = std::numeric_limits<int>::max();
  return largest + 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 2 ? argv[1] : "";
  int result = 0;
  if (what == "race") {
    result = CountWithoutLock();
  } else if (what == "lock") {
    result = CountWithLock();
  } else if (what == "overflow") {
    result = ReadPastTheEnd(4);
  } else if (what == "undefined") {
    result = OverflowASignedNumber();
  } else if (what != "none") {
    std::fprintf(stderr, "usage: sanitizer_probe race|lock|overflow|undefined|none\n");
    return 2;
  }
  std::printf("survived %s %d\n", what.c_str(), result);
  return 0;
}
