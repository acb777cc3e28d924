"""Proves that the flags of the `clang` preset catch a guarded member that is read without its lock.

The build with that preset checks the code itself; GCC ignores the annotations.
"""

import subprocess
import unittest

FLAGS = ["clang++", "-std=c++20", "-fsyntax-only", "-Wthread-safety", "-Werror=thread-safety",
         "-x", "c++", "-"]
SOURCE = """
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
class Counter {
 public:
  int Get() { %s return count_; }
 private:
  absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};
"""


def compile_with(lock):
    return subprocess.run(FLAGS, input=SOURCE % lock, text=True, capture_output=True, check=False)


class ThreadSafetyTest(unittest.TestCase):
    def test_a_read_under_the_lock_compiles(self):
        done = compile_with("absl::MutexLock lock(&mu_);")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_read_without_the_lock_is_an_error(self):
        done = compile_with("")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("requires holding mutex 'mu_'", done.stderr)


if __name__ == "__main__":
    unittest.main()
