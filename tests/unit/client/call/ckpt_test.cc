#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/call/verb.h"
#include "common/uuid.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kName[] = "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";

class CkptTest : public ::testing::Test {
 protected:
  absl::StatusOr<ExitCode> Ckpt(Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return RunCkpt(fake_.cli(), arguments);
  }

  FakeCoordinator coordinator_;
  FakeCli fake_;
};

TEST_F(CkptTest, VerifySaysWhatItRead) {
  coordinator_.checkpoints.OnVerifyCheckpoint = [](const auto& request, auto* response) {
    EXPECT_EQ(request.name(), kName);
    response->set_size_bytes(2048);
    response->set_tensors(3);
    response->set_digest("abc");
    return absl::OkStatus();
  };
  EXPECT_THAT(Ckpt({"verify", kName}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(fake_.out.str(), "ckpt/9f3c5d1e ok  2 KiB  3 tensors  digest abc\n");
}

TEST_F(CkptTest, VerifyIsCancelledByCtrlC) {
  // Shared with the handler, which may wake up after this test has ended.
  const auto answered = std::make_shared<absl::Notification>();
  coordinator_.checkpoints.OnVerifyCheckpoint = [this, answered](const auto&, auto*) {
    fake_.Press();
    answered->WaitForNotification();
    return absl::OkStatus();
  };
  const absl::Status status = Ckpt({"verify", kName}).status();
  answered->Notify();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(CkptTest, RefusesDigitsThatSeveralBeginWith) {
  coordinator_.checkpoints.OnListCheckpoints = [](const auto&, auto* response) {
    response->add_checkpoints()->set_name(kName);
    response->add_checkpoints()->set_name("checkpoints/9f3c0000-0b7a-4c66-8f0e-2f6f1c0d9a11");
    return absl::OkStatus();
  };
  EXPECT_THAT(Ckpt({"verify", "9f3c"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  EXPECT_THAT(Ckpt({"verify", "abcd"}),
              StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND")));
}

TEST_F(CkptTest, DeleteNamesEachAndAsksWithAnIdOfItsOwn) {
  std::vector<std::string> names;
  std::set<std::string> request_ids;
  coordinator_.checkpoints.OnDeleteCheckpoint = [&](const auto& request, auto*) {
    names.push_back(request.name());
    request_ids.insert(request.request_id());
    return absl::OkStatus();
  };
  const std::string other = "checkpoints/1111111e-0b7a-4c66-8f0e-2f6f1c0d9a11";
  EXPECT_THAT(Ckpt({"delete", kName, other}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(fake_.out.str(), "ckpt/9f3c5d1e deleted\nckpt/1111111e deleted\n");
  EXPECT_THAT(names, ::testing::ElementsAre(kName, other));
  EXPECT_EQ(request_ids.size(), 2u);
  for (const std::string& id : request_ids) EXPECT_TRUE(Uuid::Parse(id).ok()) << id;
}

TEST_F(CkptTest, DeleteSaysWhyItWasRefused) {
  coordinator_.checkpoints.OnDeleteCheckpoint = [](const auto&, auto*) {
    return FailedPrecondition(cvtrain::Reason::kWrongState, "experiments/3 begins with it");
  };
  EXPECT_THAT(Ckpt({"delete", kName}),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE")));
  EXPECT_EQ(fake_.out.str(), "");
}

TEST_F(CkptTest, ExportWritesNothingOfADownloadThatFails) {
  EXPECT_FALSE(Ckpt({"export", kName, "--to", "/weights"}).ok());
  EXPECT_THAT(Exists(fake_.files, "/weights"), IsOkAndHolds(false));
  EXPECT_THAT(Exists(fake_.files, "/weights.tmp"), IsOkAndHolds(false));
}

}  // namespace
}  // namespace cvtrain::client
