#include "common/peer_process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "absl/time/clock.h"
#include "common/futex.h"
#include "common/memfd.h"
#include "common/process.h"
#include "common/thread.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::StatusIs;

TEST(PeerProcessTest, NoticesTheEndOfAProcessThatNobodyHasReaped) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  CVT_ASSERT_OK_AND_ASSIGN(const PeerProcess peer, PeerProcess::Open(child));
  EXPECT_EQ(peer.pid(), child);
  EXPECT_FALSE(peer.HasEnded());
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  for (int i = 0; i < 1'000 && !peer.HasEnded(); ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(peer.HasEnded());
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(PeerProcess::Open(child), StatusIs(absl::StatusCode::kNotFound));
}

TEST(PeerProcessTest, OpensTheMemoryOfAnother) {
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory memory, SharedMemory::Create("peer-test", 4096));
  memory.mutable_bytes()[7] = 'x';
  CVT_ASSERT_OK_AND_ASSIGN(const PeerProcess peer, PeerProcess::Open(PeerProcess::Self()));
  CVT_ASSERT_OK_AND_ASSIGN(UniqueFd file, peer.OpenFile(memory.fd()));
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory again, SharedMemory::MapReadWrite(std::move(file), 4096));
  EXPECT_EQ(again.bytes()[7], 'x');
  again.mutable_bytes()[8] = 'y';
  EXPECT_EQ(memory.bytes()[8], 'y');
  EXPECT_FALSE(peer.OpenFile(1'000'000).ok());
}

TEST(PeerProcessTest, ThePlaceOfAProcessNamesMachineNamespaceAndUser) {
  const std::string place = PeerProcess::Place();
  EXPECT_NE(place.find("pid:["), std::string::npos) << place;
  EXPECT_NE(place.find("uid:"), std::string::npos) << place;
  EXPECT_EQ(place, PeerProcess::Place());
}

TEST(FutexTest, WakesWhoWaits) {
  std::atomic<uint32_t> word{0}, woken{0};
  {
    const Thread waiter("waiter", [&](StopToken) {
      while (word.load() == 0) FutexWait(word, 0, absl::Seconds(60));
      woken = 1;
    });
    absl::SleepFor(absl::Milliseconds(20));
    EXPECT_EQ(woken.load(), 0u);
    word = 1;
    FutexWakeAll(word);
  }
  EXPECT_EQ(woken.load(), 1u);
  // What is not as expected is no reason to wait, and neither is a time-out.
  FutexWait(word, 0, absl::Hours(1));
  FutexWait(word, 1, absl::Milliseconds(1));
}

}  // namespace
}  // namespace cvtrain
