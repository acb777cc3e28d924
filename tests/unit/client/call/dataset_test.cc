#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/call/verb.h"
#include "common/sha256.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
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
  // What is left where shards are built.
  std::vector<std::string> Left() { return *fake_.files.ListDir("/tmp"); }
  // The one folder of ours there.
  std::string WorkFolder() {
    for (const std::string& name : Left()) {
      if (absl::StartsWith(name, "cvctl-dataset-photos-")) return "/tmp/" + name;
    }
    return "";
  }

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
  EXPECT_THAT(ReadFile(fake_.files, theirs + "/precious"), IsOkAndHolds("x"));
  EXPECT_FALSE(Create({"--max-bad", "0", "--from", "/home"}).ok());
  EXPECT_THAT(ReadFile(fake_.files, theirs + "/precious"), IsOkAndHolds("x"));
}

TEST_F(DatasetCreateTest, KeepsTheShardsOfABrokenUploadAndGoesOnWithThem) {
  EXPECT_FALSE(Create({}).ok());
  const std::string folder = WorkFolder();
  ASSERT_NE(folder, "");
  EXPECT_THAT(*fake_.files.ListDir(folder),
              ElementsAre("LOCK", "log", "test-00000.shard", "train-00001.shard"));
  EXPECT_THAT(fake_.err.str(), AllOf(HasSubstr("2 finished shards are kept in " + folder),
                                     HasSubstr("the same command goes on with them")));
  const std::string first_id = request_id_;
  fake_.err.str("");
  EXPECT_FALSE(Create({}).ok());
  EXPECT_EQ(request_id_, first_id) << "what has arrived must not be sent again";
  EXPECT_THAT(fake_.err.str(), HasSubstr("going on with an earlier run: 2 shards are in "));
}

TEST_F(DatasetCreateTest, RefusesASecondOneOfTheSameNameAndSource) {
  EXPECT_FALSE(Create({}).ok());
  CVT_ASSERT_OK_AND_ASSIGN(const auto lock, fake_.files.LockFile(WorkFolder() + "/LOCK"));
  EXPECT_THAT(Create({}), StatusIs(absl::StatusCode::kFailedPrecondition, Reason("STATE_DIR_BUSY"),
                                   Message(HasSubstr("another `cvctl dataset create photos`"))));
}

TEST_F(DatasetCreateTest, RefusesAFolderThatSomebodyElseMayHaveMade) {
  Cli cli = fake_.cli();
  std::string looked_at;
  cli.check_private_folder = [&](const std::string& path) {
    looked_at = path;
    return PermissionDenied(cvtrain::Reason::kFileForbidden, "belongs to somebody else");
  };
  EXPECT_THAT(RunDataset(cli, {"create", "photos", "--from", "/photos", "--server",
                               coordinator_.address()}),
              StatusIs(absl::StatusCode::kPermissionDenied, Reason("FILE_FORBIDDEN")));
  EXPECT_TRUE(absl::StartsWith(looked_at, "/tmp/cvctl-dataset-photos-")) << looked_at;
  EXPECT_EQ(request_id_, "");
}

TEST_F(DatasetCreateTest, SaysWhichFormatItFound) {
  EXPECT_FALSE(Create({}).ok());
  EXPECT_THAT(fake_.err.str(),
              HasSubstr("/photos looks like image_folder; --format says otherwise"));
  EXPECT_THAT(Create({"--format", "vok"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE"),
                       Message(HasSubstr("did you mean voc"))));
}

TEST_F(DatasetCreateTest, WritesAReportOfWhatWasLeftOut) {
  Write("/photos/train/a/bad,name.jpg", "no picture");
  Write("/photos/readme", "x");
  EXPECT_FALSE(Create({"--report", "/home/ann/report.csv", "--max-bad", "0.5"}).ok());
  EXPECT_THAT(ReadFile(fake_.files, "/home/ann/report.csv"),
              IsOkAndHolds("split,key,cause,detail\n"
                           "train,\"a/bad,name.jpg\",not_an_image,\"image: neither JPEG, PNG, TIFF "
                           "nor WebP\"\n"
                           ",/photos/readme,outside_class,lies in no class\n"));
}

class DatasetVerifyTest : public DatasetCreateTest {
 protected:
  DatasetVerifyTest() {
    EXPECT_FALSE(Create({}).ok());
    for (const char* name : {"test-00000.shard", "train-00001.shard"}) {
      const std::string path = WorkFolder() + "/" + name;
      v1::Shard& shard = *version_.add_shards();
      const std::string bytes = *ReadFile(fake_.files, path);
      shard.set_digest(Sha256Hex(bytes));
      shard.set_size_bytes(static_cast<int64_t>(bytes.size()));
      shard.set_split(std::string(name).substr(0, std::string(name).find('-')));
      shard.set_images(2);
      version_.set_size_bytes(version_.size_bytes() + shard.size_bytes());
      v1::Split& split = *version_.add_splits();
      split.set_name(shard.split());
      split.set_images(2);
      paths_.push_back(path);
    }
    version_.set_name("datasets/photos/versions/1");
    coordinator_.datasets.OnGetDatasetVersion = [this](const auto&, auto* response) {
      *response->mutable_version() = version_;
      return absl::OkStatus();
    };
  }

  absl::StatusOr<ExitCode> Verify(Arguments arguments) {
    arguments.insert(arguments.begin(), "verify");
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    fake_.out.str("");
    return RunDataset(fake_.cli(), arguments);
  }

  v1::DatasetVersion version_;
  std::vector<std::string> paths_;
};

TEST_F(DatasetVerifyTest, ReadsShardFiles) {
  EXPECT_THAT(Verify({"--file", paths_[0], paths_[1]}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake_.out.str(),
              AllOf(HasSubstr(paths_[0] + " ok  "), HasSubstr("2 samples of train"),
                    HasSubstr("sha256 " + version_.shards(1).digest())));
}

TEST_F(DatasetVerifyTest, NamesWhatIsDamagedAndReadsTheRest) {
  std::string bytes = *ReadFile(fake_.files, paths_[0]);
  bytes[bytes.size() - 100] ^= 1;
  Write(paths_[0], bytes);
  EXPECT_THAT(Verify(paths_), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_THAT(fake_.out.str(), AllOf(HasSubstr(paths_[0] + " BAD  shard "), HasSubstr("CRC"),
                                     HasSubstr(paths_[1] + " ok  ")));
  EXPECT_THAT(Verify({"/no/such.shard"}), IsOkAndHolds(ExitCode::kFailed));
}

TEST_F(DatasetVerifyTest, FindsAKeyThatIsInASplitTwice) {
  const std::string copy = "/home/ann/copy.shard";
  Write(copy, *ReadFile(fake_.files, paths_[0]));
  EXPECT_THAT(Verify({paths_[0], copy}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_THAT(fake_.out.str(), HasSubstr("is in split test twice"));
}

TEST_F(DatasetVerifyTest, ComparesFilesWithWhatTheCoordinatorLists) {
  EXPECT_THAT(Verify({"photos", paths_[0], paths_[1]}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(Verify({"photos", paths_[0]}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake_.out.str(), HasSubstr("1 of 2 shards of dataset/photos@1 are not among"));
  version_.mutable_shards(0)->set_digest(std::string(64, '0'));
  EXPECT_THAT(Verify({"photos", paths_[0]}), IsOkAndHolds(ExitCode::kFailed));
  EXPECT_THAT(fake_.out.str(), HasSubstr("NOT OF THIS VERSION"));
}

TEST_F(DatasetVerifyTest, ChecksAnEntryAlone) {
  EXPECT_THAT(Verify({"photos"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake_.out.str(),
              AllOf(HasSubstr("dataset/photos@1 ok  2 shards"), HasSubstr("agrees with itself")));
  version_.mutable_splits(1)->set_images(3);
  EXPECT_THAT(Verify({"photos"}), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  version_.mutable_splits(1)->set_images(2);
  version_.set_size_bytes(1);
  EXPECT_THAT(Verify({"photos"}), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(Verify({}), StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
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
