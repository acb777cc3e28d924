#include "worker/agent/lease/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cvtrain::worker {
namespace {

constexpr absl::Duration kStart = absl::Seconds(500);
constexpr LeaseTimes kTimes = {.renew_interval = absl::Seconds(1),
                               .duration = absl::Seconds(10),
                               .orphan_limit = absl::Minutes(10)};

TEST(LeaseTest, AllowsNothingBeforeTheFirstWelcome) {
  const Lease lease;
  EXPECT_EQ(lease.StandingAt(kStart), LeaseStanding::kNone);
  EXPECT_FALSE(lease.RenewalDue(kStart));
  EXPECT_EQ(lease.NextChange(kStart), absl::InfiniteDuration());
}

TEST(LeaseTest, GoesFromCurrentToOrphanedWithoutAnswers) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  EXPECT_EQ(lease.StandingAt(kStart), LeaseStanding::kCurrent);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Milliseconds(2999)), LeaseStanding::kCurrent);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(3)), LeaseStanding::kSuspect);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(10)), LeaseStanding::kExpired);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(609)), LeaseStanding::kExpired);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(610)), LeaseStanding::kOrphaned);
}

TEST(LeaseTest, CountsFromTheSendingOfWhatWasAnswered) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  const int64_t first = lease.Renew(kStart + absl::Seconds(1));
  lease.Renew(kStart + absl::Seconds(2));
  // The answer to the first comes late; only what the coordinator saw then counts.
  EXPECT_TRUE(lease.Confirm(first));
  EXPECT_EQ(lease.AgeAt(kStart + absl::Seconds(9)), absl::Seconds(8));
  EXPECT_EQ(lease.StandingAt(kStart + absl::Milliseconds(10'999)), LeaseStanding::kSuspect);
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(11)), LeaseStanding::kExpired);
}

TEST(LeaseTest, IgnoresAnswersToNothing) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  const int64_t sequence = lease.Renew(kStart + absl::Seconds(1));
  EXPECT_FALSE(lease.Confirm(sequence + 1));
  EXPECT_EQ(lease.AgeAt(kStart + absl::Seconds(1)), absl::Seconds(1));
}

TEST(LeaseTest, ForgetsRenewalsOfABrokenSession) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  const int64_t sequence = lease.Renew(kStart + absl::Seconds(5));
  lease.Suspend();
  EXPECT_FALSE(lease.Confirm(sequence));
  EXPECT_FALSE(lease.RenewalDue(kStart + absl::Seconds(60)));
  EXPECT_EQ(lease.StandingAt(kStart + absl::Seconds(10)), LeaseStanding::kExpired);
}

TEST(LeaseTest, IsCurrentAgainAfterAnotherWelcome) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  lease.Suspend();
  lease.Begin(kTimes, kStart + absl::Minutes(5));
  EXPECT_EQ(lease.StandingAt(kStart + absl::Minutes(5)), LeaseStanding::kCurrent);
  EXPECT_TRUE(lease.RenewalDue(kStart + absl::Minutes(5)));
}

TEST(LeaseTest, SaysWhenItChangesNext) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  lease.Renew(kStart);
  EXPECT_EQ(lease.NextChange(kStart), kStart + absl::Seconds(1));
  lease.Suspend();
  EXPECT_EQ(lease.NextChange(kStart), kStart + absl::Seconds(3));
  EXPECT_EQ(lease.NextChange(kStart + absl::Seconds(3)), kStart + absl::Seconds(10));
  EXPECT_EQ(lease.NextChange(kStart + absl::Seconds(10)), kStart + absl::Seconds(610));
}

TEST(LeaseTest, RemembersABoundedNumberOfRenewals) {
  Lease lease;
  lease.Begin(kTimes, kStart);
  const int64_t first = lease.Renew(kStart);
  for (int i = 1; i <= 64; ++i) lease.Renew(kStart + i * absl::Seconds(1));
  EXPECT_FALSE(lease.Confirm(first));
  EXPECT_TRUE(lease.Confirm(first + 64));
}

}  // namespace
}  // namespace cvtrain::worker
