#include "common/unix_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "common/limits.h"
#include "common/memfd.h"
#include "common/thread.h"
#include "common/wake_fd.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ReasonIs = ::cvtrain::testing::Reason;

class UnixConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CVT_ASSERT_OK_AND_ASSIGN(auto pair, UnixConnection::Pair());
    a_ = std::move(pair.first);
    b_ = std::move(pair.second);
  }

  // Bytes as another program would send them.
  void SendRaw(absl::string_view bytes) {
    ASSERT_EQ(::send(a_->fd(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

  std::unique_ptr<UnixConnection> a_;
  std::unique_ptr<UnixConnection> b_;
};

TEST_F(UnixConnectionTest, FramesKeepTheirBorders) {
  CVT_ASSERT_OK(a_->Send("one"));
  CVT_ASSERT_OK(a_->Send(""));
  CVT_ASSERT_OK(a_->Send(std::string("t\0o", 3)));
  for (const std::string& expected : {std::string("one"), std::string(), std::string("t\0o", 3)}) {
    CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, b_->Receive(absl::Seconds(10)));
    EXPECT_EQ(frame.bytes, expected);
  }
}

TEST_F(UnixConnectionTest, TheWireIsALengthAndBytes) {
  CVT_ASSERT_OK(a_->Send("hello"));
  char raw[16] = {};
  ASSERT_EQ(::recv(b_->fd(), raw, sizeof(raw), 0), 9);
  EXPECT_EQ(std::string(raw, 9), std::string("\x05\0\0\0hello", 9));
}

TEST_F(UnixConnectionTest, LargeFramesPassWhileTheOtherSideReads) {
  const std::string large(limits::kMessageSizeBytesMax, 'x');
  Thread sender("sender", [&](StopToken) { EXPECT_THAT(a_->Send(large), IsOk()); });
  CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, b_->Receive(absl::Seconds(30)));
  EXPECT_EQ(frame.bytes, large);
}

TEST_F(UnixConnectionTest, FramesOfManySendersNeverMix) {
  constexpr int kFrames = 200;
  const auto send = [&](char letter) {
    return [this, letter](StopToken) {
      for (int i = 1; i <= kFrames; ++i) {
        EXPECT_THAT(a_->Send(std::string(static_cast<size_t>(i * 37), letter)), IsOk());
      }
    };
  };
  Thread x("x", send('x'));
  Thread y("y", send('y'));
  for (int i = 0; i < 2 * kFrames; ++i) {
    CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, b_->Receive(absl::Seconds(30)));
    ASSERT_EQ(frame.bytes, std::string(frame.bytes.size(), frame.bytes[0]));
  }
}

TEST_F(UnixConnectionTest, DescriptorsArriveWithTheirOwnFrame) {
  TempDir dir;
  const UniqueFd file(::open((dir / "a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  CVT_ASSERT_OK(a_->Send("before"));
  CVT_ASSERT_OK(a_->Send("with", {file.get(), file.get()}));
  CVT_ASSERT_OK(a_->Send("after"));
  CVT_ASSERT_OK_AND_ASSIGN(const Frame before, b_->Receive(absl::Seconds(10)));
  CVT_ASSERT_OK_AND_ASSIGN(const Frame with, b_->Receive(absl::Seconds(10)));
  CVT_ASSERT_OK_AND_ASSIGN(const Frame after, b_->Receive(absl::Seconds(10)));
  EXPECT_THAT(before.descriptors, SizeIs(0));
  ASSERT_THAT(with.descriptors, SizeIs(2));
  EXPECT_THAT(after.descriptors, SizeIs(0));
  EXPECT_NE(::fcntl(with.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(::write(with.descriptors[0].get(), "x", 1), 1);
  struct stat info = {};
  ASSERT_EQ(::fstat(file.get(), &info), 0);
  EXPECT_EQ(info.st_size, 1);
}

TEST_F(UnixConnectionTest, RefusesFramesAboveTheLimits) {
  EXPECT_THAT(a_->Send(std::string(limits::kMessageSizeBytesMax + 1, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("LIMIT_EXCEEDED")));
  const std::vector<int> many(limits::kDescriptorsPerFrameMax + 1, a_->fd());
  EXPECT_THAT(a_->Send("x", many),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("LIMIT_EXCEEDED")));
  const std::vector<int> most(limits::kDescriptorsPerFrameMax, a_->fd());
  CVT_ASSERT_OK(a_->Send("x", most));
  CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, b_->Receive(absl::Seconds(10)));
  EXPECT_THAT(frame.descriptors, SizeIs(limits::kDescriptorsPerFrameMax));
}

TEST_F(UnixConnectionTest, AnnouncedGiantsAreNotAllocated) {
  SendRaw("\xff\xff\xff\xff");
  EXPECT_THAT(b_->Receive(absl::Seconds(10)),
              StatusIs(absl::StatusCode::kDataLoss, ReasonIs("FRAME_BAD")));
  EXPECT_THAT(a_->Send("x"), StatusIs(absl::StatusCode::kUnavailable, ReasonIs("PEER_GONE")));
}

TEST_F(UnixConnectionTest, AnEndBetweenFramesIsGoneAndInsideIsBad) {
  CVT_ASSERT_OK(a_->Send("last"));
  SendRaw(absl::string_view("\x05\0\0\0he", 6));
  a_.reset();
  EXPECT_THAT(b_->Receive(absl::Seconds(10)), IsOk());
  EXPECT_THAT(b_->Receive(absl::Seconds(10)),
              StatusIs(absl::StatusCode::kDataLoss, ReasonIs("FRAME_BAD")));

  CVT_ASSERT_OK_AND_ASSIGN(auto pair, UnixConnection::Pair());
  pair.first.reset();
  EXPECT_THAT(pair.second->Receive(absl::Seconds(10)),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("PEER_GONE")));
  EXPECT_THAT(pair.second->Send("x"),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("PEER_GONE")));
}

TEST_F(UnixConnectionTest, PiecesAreKeptUntilTheFrameIsWhole) {
  const absl::string_view wire("\x05\0\0\0hello", 9);
  for (size_t i = 0; i + 1 < wire.size(); ++i) {
    SendRaw(wire.substr(i, 1));
    CVT_ASSERT_OK_AND_ASSIGN(const auto frame, b_->TryReceive());
    EXPECT_FALSE(frame.has_value());
  }
  EXPECT_THAT(b_->Receive(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ReasonIs("DEADLINE")));
  SendRaw(wire.substr(8));
  CVT_ASSERT_OK_AND_ASSIGN(const auto frame, b_->TryReceive());
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->bytes, "hello");
}

TEST_F(UnixConnectionTest, ASlowReaderMakesSendGiveUp) {
  const std::string large(1 << 20, 'x');
  absl::Status last;
  for (int i = 0; i < 100 && last.ok(); ++i) last = a_->Send(large, {}, absl::Milliseconds(1));
  EXPECT_THAT(last, StatusIs(absl::StatusCode::kDeadlineExceeded, ReasonIs("DEADLINE")));
  // Half a frame is out: the connection is over for both.
  EXPECT_THAT(a_->Send("x"), StatusIs(absl::StatusCode::kUnavailable, ReasonIs("PEER_GONE")));
}

TEST_F(UnixConnectionTest, ShutdownWakesAReceiver) {
  Thread receiver("receiver", [&](StopToken) {
    EXPECT_THAT(b_->Receive(), StatusIs(absl::StatusCode::kUnavailable, ReasonIs("PEER_GONE")));
  });
  b_->Shutdown();
}

TEST_F(UnixConnectionTest, KnowsItsPeer) {
  CVT_ASSERT_OK_AND_ASSIGN(const PeerCredentials peer, a_->Peer());
  EXPECT_EQ(peer.pid, ::getpid());
  EXPECT_EQ(peer.uid, ::getuid());
}

TEST(UnixListenerTest, AcceptsOnAPathThatOnlyItsOwnerCanUse) {
  TempDir dir;
  CVT_ASSERT_OK_AND_ASSIGN(const auto listener, UnixListener::Bind(dir / "s"));
  struct stat info = {};
  ASSERT_EQ(::stat((dir / "s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  CVT_ASSERT_OK_AND_ASSIGN(const auto client, UnixConnection::Connect(dir / "s"));
  CVT_ASSERT_OK_AND_ASSIGN(const auto server, listener->Accept(absl::Seconds(10)));
  CVT_ASSERT_OK(client->Send("hi"));
  CVT_ASSERT_OK_AND_ASSIGN(const Frame frame, server->Receive(absl::Seconds(10)));
  EXPECT_EQ(frame.bytes, "hi");
}

TEST(UnixListenerTest, AcceptGivesUpInTime) {
  TempDir dir;
  CVT_ASSERT_OK_AND_ASSIGN(const auto listener, UnixListener::Bind(dir / "s"));
  EXPECT_THAT(listener->Accept(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ReasonIs("DEADLINE")));
}

TEST(UnixListenerTest, ABusyPathNamesTheProcess) {
  TempDir dir;
  CVT_ASSERT_OK_AND_ASSIGN(const auto listener, UnixListener::Bind(dir / "s"));
  EXPECT_THAT(UnixListener::Bind(dir / "s"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("SOCKET_BUSY"),
                       Message(HasSubstr("process " + std::to_string(::getpid())))));
  EXPECT_THAT(UnixConnection::Connect(dir / "s"), IsOk());
}

TEST(UnixListenerTest, ReplacesWhatADeadProcessLeft) {
  TempDir dir;
  {
    CVT_ASSERT_OK_AND_ASSIGN(const auto listener, UnixListener::Bind(dir / "s"));
    ASSERT_EQ(::rename((dir / "s").c_str(), (dir / "t").c_str()), 0);
  }
  EXPECT_THAT(UnixConnection::Connect(dir / "t"),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("SERVER_UNREACHABLE")));
  EXPECT_THAT(UnixListener::Bind(dir / "t"), IsOk());
}

TEST(UnixListenerTest, RefusesWhatIsNoSocketAndBadPaths) {
  TempDir dir;
  const UniqueFd file(::open((dir / "a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_THAT(UnixListener::Bind(dir / "a"),
              StatusIs(absl::StatusCode::kAlreadyExists, ReasonIs("FILE_EXISTS")));
  EXPECT_THAT(UnixListener::Bind(dir / "missing/s"),
              StatusIs(absl::StatusCode::kNotFound, ReasonIs("FILE_NOT_FOUND")));
  EXPECT_THAT(UnixListener::Bind(dir / std::string(200, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("FIELD_INVALID")));
  EXPECT_THAT(UnixConnection::Connect(dir / "nobody"),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("SERVER_UNREACHABLE")));
}

TEST(SharedMemoryTest, AnotherMappingSeesTheBytes) {
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory memory, SharedMemory::Create("test", 10'000));
  ASSERT_EQ(memory.size(), 10'000u);
  EXPECT_EQ(memory.bytes()[9'999], '\0');
  std::memcpy(memory.mutable_bytes().data(), "weights", 7);
  UniqueFd copy(::fcntl(memory.fd(), F_DUPFD_CLOEXEC, 0));
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory view, SharedMemory::MapReadOnly(std::move(copy), 10'000));
  EXPECT_EQ(std::string(view.bytes().data(), 7), "weights");
  EXPECT_TRUE(view.mutable_bytes().empty());
  EXPECT_NE(::ftruncate(memory.fd(), 1), 0) << "a peer could make our reads fault";
  const SharedMemory moved = std::move(memory);
  EXPECT_EQ(std::string(moved.bytes().data(), 7), "weights");
}

TEST(SharedMemoryTest, RefusesForeignAndLargeDescriptors) {
  TempDir dir;
  UniqueFd file(::open((dir / "a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_THAT(SharedMemory::MapReadOnly(std::move(file), 100),
              StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("FIELD_INVALID")));
  UniqueFd unsealed(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_THAT(SharedMemory::MapReadOnly(std::move(unsealed), 100),
              StatusIs(absl::StatusCode::kInvalidArgument));
  CVT_ASSERT_OK_AND_ASSIGN(SharedMemory memory, SharedMemory::Create("test", 101));
  UniqueFd copy(::fcntl(memory.fd(), F_DUPFD_CLOEXEC, 0));
  EXPECT_THAT(SharedMemory::MapReadOnly(std::move(copy), 100),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SharedMemoryTest, MayBeEmpty) {
  CVT_ASSERT_OK_AND_ASSIGN(const SharedMemory memory, SharedMemory::Create("test", 0));
  EXPECT_TRUE(memory.bytes().empty());
}

TEST(WakeFdTest, IsReadableBetweenNotifyAndDrain) {
  CVT_ASSERT_OK_AND_ASSIGN(const WakeFd wake, WakeFd::Create());
  const auto readable = [&] {
    pollfd item = {.fd = wake.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&item, 1, 0) == 1;
  };
  EXPECT_FALSE(readable());
  wake.Notify();
  wake.Notify();
  EXPECT_TRUE(readable());
  wake.Drain();
  EXPECT_FALSE(readable());
  wake.Drain();  // does not block
}

}  // namespace
}  // namespace cvtrain
