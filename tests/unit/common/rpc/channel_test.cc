#include "common/rpc/channel.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>
#include <gtest/gtest.h>

#include <chrono>

#include "common/errors.h"
#include "common/memory_file_system.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::testing::HasSubstr;

constexpr char kSocket[] = "unix:/run/cvtrain/coordinator.sock";
const TlsFiles kTls = {.ca = "/ca.pem", .cert = "/cert.pem", .key = "/key.pem"};

TEST(AddressTest, AcceptsASocketWithoutTlsAndAPortWithIt) {
  EXPECT_TRUE(ValidateAddress(kSocket, {}).ok());
  EXPECT_TRUE(ValidateAddress("gpu-a:7421", kTls).ok());
}

TEST(AddressTest, RefusesPlaintextOverANetwork) {
  const absl::Status status = ValidateAddress("127.0.0.1:7421", {});

  EXPECT_EQ(ReasonOf(status), Reason::kUsage);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--tls-ca"));
}

TEST(AddressTest, RefusesARelativeSocketAndTlsOnASocket) {
  EXPECT_EQ(ReasonOf(ValidateAddress("unix:coordinator.sock", {})), Reason::kUsage);
  EXPECT_EQ(ReasonOf(ValidateAddress(kSocket, kTls)), Reason::kUsage);
}

TEST(AddressTest, RefusesAHostWithoutAPort) {
  EXPECT_EQ(ReasonOf(ValidateAddress("gpu-a", kTls)), Reason::kUsage);
}

TEST(ChannelTest, NamesTheTlsFileThatIsMissing) {
  InMemoryFileSystem files;

  const auto channel = OpenChannel("gpu-a:7421", kTls, files);

  ASSERT_FALSE(channel.ok());
  EXPECT_THAT(std::string(channel.status().message()), HasSubstr("/ca.pem"));
}

TEST(ChannelTest, OpensALocalSocketBeforeAnybodyListens) {
  InMemoryFileSystem files;

  const auto channel = OpenChannel(kSocket, {}, files);

  ASSERT_TRUE(channel.ok()) << channel.status();
  EXPECT_NE(*channel, nullptr);
}

TEST(DeadlineAfterTest, LiesThatFarFromNow) {
  const auto before = std::chrono::system_clock::now();
  const auto deadline = DeadlineAfter(absl::Seconds(30));
  const auto after = std::chrono::system_clock::now();
  EXPECT_GE(deadline, before + std::chrono::seconds(30));
  EXPECT_LE(deadline, after + std::chrono::seconds(30));
}

}  // namespace
}  // namespace cvtrain
