#include "client/dataset/in_order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace cvtrain::client {
namespace {

TEST(InOrderTest, GivesResultsInOrderWhateverTheThreadsDo) {
  for (const int threads : {1, 2, 7}) {
    for (const int64_t window : {1, 3, 50}) {
      const auto make_worker = [] {
        return [](int64_t item) {
          volatile int64_t work = 0;  // items of unequal length
          for (int64_t i = 0; i < (item * 7919) % 10'000; ++i) work = work + i;
          return std::to_string(item);
        };
      };
      InOrder<std::string> results(200, threads, window, make_worker);
      for (int i = 0; i < 200; ++i) ASSERT_EQ(results.Next(), std::to_string(i));
      EXPECT_EQ(results.Next(), std::nullopt);
      EXPECT_EQ(results.Next(), std::nullopt);
    }
  }
}

TEST(InOrderTest, BeginsNoMoreThanItsWindow) {
  std::atomic<int64_t> begun = 0;
  std::atomic<int64_t> taken = 0;
  std::atomic<int64_t> most = 0;
  const auto make_worker = [&] {
    return [&](int64_t item) {
      const int64_t ahead = ++begun - taken;
      int64_t seen = most;
      while (ahead > seen && !most.compare_exchange_weak(seen, ahead)) {
      }
      return item;
    };
  };
  InOrder<int64_t> results(500, 4, 5, make_worker);
  while (results.Next().has_value()) ++taken;
  EXPECT_EQ(begun, 500);
  EXPECT_LE(most, 6);  // the one that Next() has taken may not have been counted yet
}

TEST(InOrderTest, EndsEarly) {
  std::atomic<int> worked = 0;
  {
    const auto make_worker = [&] {
      return [&](int64_t item) {
        ++worked;
        return item;
      };
    };
    InOrder<int64_t> results(1'000'000, 3, 8, make_worker);
    EXPECT_EQ(results.Next(), 0);
  }
  EXPECT_LE(worked, 9);
}

TEST(InOrderTest, HasNothingToDo) {
  const auto make_worker = [] { return [](int64_t item) { return item; }; };
  InOrder<int64_t> results(0, 2, 4, make_worker);
  EXPECT_EQ(results.Next(), std::nullopt);
}

}  // namespace
}  // namespace cvtrain::client
