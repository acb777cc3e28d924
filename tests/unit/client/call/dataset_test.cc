#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/call/verb.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kId[] = "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";

class DatasetCreateTest : public ::testing::Test {
 protected:
  DatasetCreateTest() {
    for (const char* folder : {"/photos/train/a", "/photos/train/b", "/photos/test/a",
                               "/photos/test/b", "/tmp", "/home/ann"})
      CVT_CHECK_OK(fake_.files.CreateDir(folder));
    for (const char* folder :
         {"/photos/train/a", "/photos/train/b", "/photos/test/a", "/photos/test/b"})
      Write(absl::StrCat(folder, "/1.jpg"),
            formats::testing::MakeJpeg(formats::testing::MakePicture(64, 64)));
    Write("/home/ann/thesis", "years of work");
    coordinator_.datasets.OnBeginDatasetVersion = [this](const auto& request, auto*) {
      request_id_ = request.request_id();
      return Away();
    };
  }

  void Write(const std::string& path, const std::string& text) {
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, path, text));
  }
  absl::StatusOr<ExitCode> Create(Arguments arguments) {
    arguments.insert(arguments.begin(), {"create", "photos", "--from", "/photos"});
    arguments.insert(arguments.end(), {"--server", coordinator_.address(), "--threads", "1"});
    return RunDataset(fake_.cli(), arguments);
  }
  // What is left in the folder where shards are built.
  std::vector<std::string> Left() { return *fake_.files.ListDir("/tmp"); }

  FakeCoordinator coordinator_;
  FakeCli fake_;
  std::string request_id_;
};

TEST_F(DatasetCreateTest, RefusesARequestIdThatIsNoUuidAndTouchesNothing) {
  const absl::Status status = Create({"--request-id", "x/../../../home/ann"}).status();
  EXPECT_EQ(ExitCodeFor(status), ExitCode::kUsage);
  EXPECT_THAT(ReadFile(fake_.files, "/home/ann/thesis"), IsOkAndHolds("years of work"));
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(DatasetCreateTest, RemovesOnlyWhatItMade) {
  // Whoever made this: it has the name of the request, and is not ours.
  const std::string theirs = absl::StrCat("/tmp/cvctl-dataset-", kId);
  CVT_ASSERT_OK(fake_.files.CreateDir(theirs));
  Write(theirs + "/precious", "x");
  EXPECT_FALSE(Create({"--request-id", kId}).ok());
  EXPECT_THAT(Left(), ElementsAre(absl::StrCat("cvctl-dataset-", kId)));
  EXPECT_THAT(ReadFile(fake_.files, theirs + "/precious"), IsOkAndHolds("x"));
}

TEST_F(DatasetCreateTest, PrintsTheCommandThatGoesOnWithABrokenUpload) {
  EXPECT_THAT(Create({"-q"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  EXPECT_THAT(fake_.err.str(),
              AllOf(HasSubstr("`cvctl dataset create photos --from /photos -q --server "),
                    HasSubstr("--request-id " + request_id_ + "` goes on with it")));
}

TEST_F(DatasetCreateTest, GoesOnUnderTheRequestIdThatIsGiven) {
  EXPECT_FALSE(Create({"--request-id", kId}).ok());
  EXPECT_EQ(request_id_, kId);
}

TEST_F(DatasetCreateTest, EndsAtCtrlCAndLeavesNothingBehind) {
  Cli cli = fake_.cli();
  // Asked for once the coordinator has answered, right before the build.
  cli.env = [this](const std::string&) {
    fake_.Press();
    return std::nullopt;
  };
  EXPECT_THAT(RunDataset(cli, {"create", "photos", "--from", "/photos", "--server",
                               coordinator_.address()}),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_EQ(request_id_, "");
  EXPECT_THAT(Left(), IsEmpty());
}

}  // namespace
}  // namespace cvtrain::client
