#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/call/verb.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kWeightsPath[] = "/models/resnet18.safetensors";
constexpr char kImportId[] = "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";

// A safetensors file of one tensor of `count` floats.
std::string WeightsOf(int count, const std::string& name = "fc.weight",
                      const std::string& dtype = "F32") {
  const std::string header = absl::StrCat("{\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[",
                                          count, "],\"data_offsets\":[0,", 4 * count, "]}}");
  std::string file;
  AppendLittleEndian<uint64_t>(header.size(), &file);
  return absl::StrCat(file, header, std::string(static_cast<size_t>(4 * count), 'w'));
}

// What one call of the import has sent.
struct Received {
  v1::ImportCheckpointHeader header;
  std::string bytes;
};

Received ReadAll(FakeCoordinator::Checkpoints::ImportReader& reader) {
  Received received;
  v1::ImportCheckpointRequest message;
  EXPECT_TRUE(reader.Read(&message) && message.has_header());
  received.header = message.header();
  while (reader.Read(&message)) {
    EXPECT_LE(message.chunk().data().size(), limits::kChunkSizeBytes);
    EXPECT_EQ(message.chunk().crc32c(), Crc32c(message.chunk().data()));
    received.bytes += message.chunk().data();
  }
  return received;
}

void Answer(const v1::ImportCheckpointHeader& header, v1::ImportCheckpointResponse* response) {
  v1::Checkpoint& checkpoint = *response->mutable_checkpoint();
  checkpoint.set_name("checkpoints/" + header.request_id());
  checkpoint.set_size_bytes(header.size_bytes());
  checkpoint.set_digest(header.digest());
}

class CkptImportTest : public ::testing::Test {
 protected:
  CkptImportTest() {
    Put(WeightsOf(300'000));
    coordinator_.checkpoints.OnImportCheckpoint = [this](auto& reader, auto* response) {
      received_.push_back(ReadAll(reader));
      Answer(received_.back().header, response);
      return absl::OkStatus();
    };
  }

  void Put(const std::string& file) {
    CVT_CHECK_OK(fake_.files.CreateDir("/models"));
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, kWeightsPath, file));
  }

  absl::StatusOr<ExitCode> Import(const Arguments& more = {},
                                  const std::string& path = kWeightsPath) {
    Arguments arguments = {"import", path, "--server", coordinator_.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCkpt(fake_.cli(), arguments);
  }

  FakeCoordinator coordinator_;
  FakeCli fake_;
  std::vector<Received> received_;
};

TEST_F(CkptImportTest, SendsTheWeightsAsACheckpoint) {
  EXPECT_THAT(Import({"--request-id", kImportId}), IsOkAndHolds(ExitCode::kDone));
  ASSERT_THAT(received_, SizeIs(1));
  const v1::ImportCheckpointHeader& header = received_[0].header;
  const std::string& bytes = received_[0].bytes;
  EXPECT_EQ(header.request_id(), kImportId);
  EXPECT_EQ(header.label(), "resnet18.safetensors");
  EXPECT_EQ(header.size_bytes(), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(header.digest(), BlockDigestHex(bytes));
  CVT_ASSERT_OK_AND_ASSIGN(const formats::CheckpointView view,
                           formats::CheckpointView::Open(bytes, "c"));
  EXPECT_EQ(view.manifest().checkpoint(), absl::StrCat("checkpoints/", kImportId));
  ASSERT_EQ(view.tensor_count(), 1);
  EXPECT_EQ(view.tensor(0).name, "fc.weight");
  EXPECT_EQ(view.tensor(0).data, std::string(1'200'000, 'w'));
  EXPECT_EQ(fake_.out.str(),
            absl::StrCat("checkpoints/", kImportId, " imported  1.15 MiB  1 tensors  digest ",
                         header.digest(), "\n"));
}

TEST_F(CkptImportTest, QuietPrintsTheNameThatARecipeTakes) {
  EXPECT_THAT(Import({"-q", "--request-id", kImportId, "--label", "ResNet-18, V1"}),
              IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(fake_.out.str(), absl::StrCat("checkpoints/", kImportId, "\n"));
  EXPECT_EQ(received_.at(0).header.label(), "ResNet-18, V1");
}

TEST_F(CkptImportTest, EachRunIsAnImportOfItsOwn) {
  ASSERT_THAT(Import(), IsOk());
  ASSERT_THAT(Import(), IsOk());
  ASSERT_THAT(received_, SizeIs(2));
  EXPECT_NE(received_[0].header.request_id(), received_[1].header.request_id());
}

TEST_F(CkptImportTest, TakesAPrefixAway) {
  Put(WeightsOf(10, "module.fc.weight"));
  EXPECT_THAT(Import(), StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD"),
                                 Message(HasSubstr("--strip-prefix module."))));
  EXPECT_THAT(Import({"--strip-prefix", "module."}), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const formats::CheckpointView view,
                           formats::CheckpointView::Open(received_.at(0).bytes, "c"));
  EXPECT_EQ(view.tensor(0).name, "fc.weight");
}

TEST_F(CkptImportTest, RefusesABadFileWithoutAskingAnybody) {
  Put(WeightsOf(10, "w", "F8_E4M3"));
  EXPECT_THAT(Import({}), StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD"),
                                   Message(AllOf(HasSubstr(kWeightsPath), HasSubstr("tensor w")))));
  Put("");
  EXPECT_THAT(Import(), Reason("DATA_BAD"));
  EXPECT_THAT(Import({}, "/models/none"), Reason("FILE_NOT_FOUND"));
  EXPECT_THAT(received_, SizeIs(0));
}

TEST_F(CkptImportTest, RefusesALabelThatIsNone) {
  EXPECT_THAT(Import({"--label", "two\nlines"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  const std::string path = "/models/" + std::string(129, 'x');
  CVT_ASSERT_OK(WriteFileAtomic(fake_.files, path, WeightsOf(1)));
  EXPECT_THAT(Import({}, path), StatusIs(absl::StatusCode::kInvalidArgument,
                                         Message(HasSubstr("the name of the file; give another"))));
  EXPECT_THAT(Import({"--label", "x"}, path), IsOk());
}

TEST_F(CkptImportTest, SaysWhatTheCoordinatorSays) {
  coordinator_.checkpoints.OnImportCheckpoint = [](auto& reader, auto*) {
    v1::ImportCheckpointRequest message;
    reader.Read(&message);  // the header alone
    return LimitExceeded("kImportedCheckpointsMax", "checkpoints: 1000 are imported; delete one");
  };
  EXPECT_THAT(Import(), StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED"),
                                 Message(HasSubstr("delete one"))));
}

TEST_F(CkptImportTest, StopsSendingWhatIsThereAlready) {
  Put(WeightsOf(8 << 20));
  coordinator_.checkpoints.OnImportCheckpoint = [](auto& reader, auto* response) {
    v1::ImportCheckpointRequest message;
    reader.Read(&message);
    Answer(message.header(), response);
    return absl::OkStatus();
  };
  EXPECT_THAT(Import({"--request-id", kImportId}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake_.out.str(), StartsWith(absl::StrCat("checkpoints/", kImportId, " imported")));
}

TEST_F(CkptImportTest, SaysEveryTenSecondsHowFarItIs) {
  Put(WeightsOf(8 << 20));
  coordinator_.checkpoints.OnImportCheckpoint = [this](auto& reader, auto* response) {
    v1::ImportCheckpointRequest message;
    reader.Read(&message);
    Answer(message.header(), response);
    // No connection holds what is left, so it is sent after this.
    reader.Read(&message);
    fake_.clock.Advance(absl::Seconds(11));
    while (reader.Read(&message)) {
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(Import(), IsOk());
  EXPECT_THAT(fake_.err.str(), AllOf(StartsWith("sending "), HasSubstr("% of 32 MiB\n")));
  fake_.err.str("");
  EXPECT_THAT(Import({"-q"}), IsOk());
  EXPECT_EQ(fake_.err.str(), "");
}

TEST_F(CkptImportTest, SendsItAgainToACoordinatorThatWasAway) {
  coordinator_.checkpoints.OnImportCheckpoint = [this](auto& reader, auto* response) {
    received_.push_back(ReadAll(reader));
    if (received_.size() < 3) return Away();
    Answer(received_.back().header, response);
    return absl::OkStatus();
  };
  EXPECT_THAT(Import(), IsOkAndHolds(ExitCode::kDone));
  ASSERT_THAT(received_, SizeIs(3));
  EXPECT_THAT(received_[2].header, EqualsProto(received_[0].header));
  EXPECT_EQ(received_[2].bytes, received_[0].bytes);
}

TEST_F(CkptImportTest, SaysHowToRepeatWhatHasNoKnownOutcome) {
  coordinator_.checkpoints.OnImportCheckpoint = [](auto&, auto*) { return Away(); };
  EXPECT_THAT(Import({"--request-id", kImportId}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(fake_.err.str(),
              AllOf(HasSubstr("the outcome is unknown; `cvctl ckpt import"), HasSubstr(kImportId)));
}

TEST_F(CkptImportTest, IsCancelledByCtrlC) {
  // Shared with the handler, which may wake up after this test has ended.
  const auto answered = std::make_shared<absl::Notification>();
  coordinator_.checkpoints.OnImportCheckpoint = [this, answered](auto&, auto*) {
    fake_.Press();
    answered->WaitForNotification();
    return absl::OkStatus();
  };
  const absl::Status status = Import().status();
  answered->Notify();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_THAT(fake_.err.str(), HasSubstr("the outcome is unknown"));
}

}  // namespace
}  // namespace cvtrain::client
