// Weights of others, over real gRPC: whole, or nothing of them.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/service/served.h"
#include "tests/unit/coordinator/state/state_driver.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ImportId(int n) { return StateDriver::Checkpoint(n); }
std::string ImportName(int n) { return "checkpoints/" + ImportId(n); }

// A checkpoint file of `bytes` bytes of data and the name of import `n`.
std::string WeightsFile(int n, int bytes = 3 << 20) {
  formats::CheckpointManifest manifest;
  manifest.set_checkpoint(ImportName(n));
  storage::v1::Tensor& tensor = *manifest.add_tensors();
  tensor.set_name("fc.weight");
  tensor.set_data_type(storage::v1::Tensor::DATA_TYPE_U8);
  tensor.set_role(storage::v1::Tensor::ROLE_PARAMETER);
  tensor.add_shape(bytes);
  return formats::testing::ForgeCheckpoint(manifest, (bytes + 63) / 64 * 64);
}

v1::ImportCheckpointHeader HeaderOf(int n, const std::string& file) {
  v1::ImportCheckpointHeader header;
  header.set_request_id(ImportId(n));
  header.set_label("weights.safetensors");
  header.set_size_bytes(static_cast<int64_t>(file.size()));
  header.set_digest(BlockDigestHex(file));
  return header;
}

class CheckpointImportTest : public ::testing::Test {
 protected:
  CheckpointImportTest() { Connect(); }

  void Connect() {
    checkpoints_ = v1::CheckpointService::NewStub(served_.Channel());
    experiments_ = v1::ExperimentService::NewStub(served_.Channel());
  }

  absl::StatusOr<v1::Checkpoint> Send(const v1::ImportCheckpointHeader& header,
                                      const std::string& file, uint32_t crc_error = 0) {
    grpc::ClientContext context;
    context.set_deadline(DeadlineAfter(absl::Seconds(60)));
    v1::ImportCheckpointResponse response;
    const auto writer = checkpoints_->ImportCheckpoint(&context, &response);
    v1::ImportCheckpointRequest message;
    *message.mutable_header() = header;
    bool open = writer->Write(message);
    for (size_t at = 0; open && at < file.size(); at += limits::kChunkSizeBytes) {
      const std::string piece = file.substr(at, limits::kChunkSizeBytes);
      message.mutable_chunk()->set_data(piece);
      message.mutable_chunk()->set_crc32c(Crc32c(piece) ^ crc_error);
      open = writer->Write(message);
    }
    writer->WritesDone();
    const absl::Status status = FromGrpcStatus(writer->Finish());
    if (!status.ok()) return status;
    return response.checkpoint();
  }
  absl::StatusOr<v1::Checkpoint> Import(int n) {
    const std::string file = WeightsFile(n);
    return Send(HeaderOf(n, file), file);
  }

  std::vector<v1::Checkpoint> Imported() {
    v1::ListCheckpointsRequest request;
    request.set_parent("imported");
    v1::ListCheckpointsResponse response;
    EXPECT_THAT(
        Call(&v1::CheckpointService::Stub::ListCheckpoints, *checkpoints_, request, &response),
        IsOk());
    return {response.checkpoints().begin(), response.checkpoints().end()};
  }

  absl::StatusOr<std::string> Download(int n) {
    grpc::ClientContext context;
    context.set_deadline(DeadlineAfter(absl::Seconds(60)));
    v1::DownloadCheckpointRequest request;
    request.set_name(ImportName(n));
    const auto reader = checkpoints_->DownloadCheckpoint(&context, request);
    std::string bytes;
    v1::DownloadCheckpointResponse response;
    while (reader->Read(&response)) bytes += response.chunk();
    const absl::Status status = FromGrpcStatus(reader->Finish());
    if (!status.ok()) return status;
    return bytes;
  }

  absl::Status Delete(int n, int request_id) {
    v1::DeleteCheckpointRequest request;
    request.set_name(ImportName(n));
    request.set_request_id(ImportId(request_id));
    v1::DeleteCheckpointResponse response;
    return Call(&v1::CheckpointService::Stub::DeleteCheckpoint, *checkpoints_, request, &response);
  }

  Served served_;
  std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
  std::unique_ptr<v1::ExperimentService::Stub> experiments_;
};

TEST_F(CheckpointImportTest, StoresWeightsForGood) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Checkpoint imported, Import(1));
  EXPECT_EQ(imported.name(), ImportName(1));
  EXPECT_EQ(imported.label(), "weights.safetensors");
  EXPECT_EQ(imported.digest(), BlockDigestHex(WeightsFile(1)));
  served_.Restart();
  Connect();
  const std::vector<v1::Checkpoint> listed = Imported();
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_THAT(listed[0], EqualsProto(imported));
  EXPECT_THAT(Download(1), IsOkAndHolds(WeightsFile(1)));
  v1::VerifyCheckpointRequest verify;
  verify.set_name(ImportName(1));
  v1::VerifyCheckpointResponse verified;
  ASSERT_THAT(
      Call(&v1::CheckpointService::Stub::VerifyCheckpoint, *checkpoints_, verify, &verified),
      IsOk());
  EXPECT_EQ(verified.tensors(), 1);
}

TEST_F(CheckpointImportTest, ARepetitionIsAnsweredWithoutItsBytes) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Checkpoint first, Import(1));
  const int64_t revision = served_.revision();
  const v1::ImportCheckpointHeader header = HeaderOf(1, WeightsFile(1));
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Checkpoint again, Send(header, ""));
  EXPECT_THAT(again, EqualsProto(first));
  served_.Restart();
  Connect();
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Checkpoint later, Send(header, ""));
  EXPECT_THAT(later, EqualsProto(first));
  EXPECT_EQ(served_.revision(), revision);

  v1::ImportCheckpointHeader other = header;
  other.set_label("other");
  EXPECT_THAT(Send(other, WeightsFile(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED")));
  EXPECT_THAT(Imported(), SizeIs(1));
}

TEST_F(CheckpointImportTest, RefusesBytesThatAreNotWhatIsSaidAndKeepsNoneOfThem) {
  const std::string good = WeightsFile(1);
  const auto lost = [](const char* what) {
    return StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD"),
                    Message(HasSubstr(what)));
  };
  EXPECT_THAT(Send(HeaderOf(1, good), good, /*crc_error=*/1), lost("wrong CRC32C"));
  EXPECT_THAT(Send(HeaderOf(1, good), good.substr(0, 2 << 20)), lost("ended at offset 2097152"));
  v1::ImportCheckpointHeader lying = HeaderOf(1, good);
  lying.set_digest(std::string(64, 'a'));
  EXPECT_THAT(Send(lying, good), lost("have the digest"));
  // Whole and with their digest, but no checkpoint.
  std::string noise(3 << 20, 'x');
  EXPECT_THAT(Send(HeaderOf(1, noise), noise), lost("not a checkpoint"));
  std::string turned = good;
  turned[good.size() / 2] ^= 1;
  EXPECT_THAT(Send(HeaderOf(1, turned), turned), lost("trailer"));
  std::string cut = good.substr(0, good.size() - 7);
  EXPECT_THAT(Send(HeaderOf(1, cut), cut), lost("truncated"));
  EXPECT_THAT(Imported(), IsEmpty());
  EXPECT_THAT(Import(1), IsOk()) << "nothing is in its way";
  EXPECT_THAT(Download(1), IsOkAndHolds(good));
}

TEST_F(CheckpointImportTest, RefusesAFileThatSaysThatItIsAnother) {
  const std::string other = WeightsFile(2);
  const auto refused = [] {
    return StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"),
                    Message(HasSubstr("must name this checkpoint, and no trial")));
  };
  EXPECT_THAT(Send(HeaderOf(1, other), other), refused());
  const std::string made = formats::testing::MakeCheckpoint();
  EXPECT_THAT(Send(HeaderOf(1, made), made), refused());
  EXPECT_THAT(Imported(), IsEmpty());
}

TEST_F(CheckpointImportTest, RefusesABadHeaderBeforeAnyByte) {
  grpc::ClientContext context;
  v1::ImportCheckpointResponse response;
  const auto writer = checkpoints_->ImportCheckpoint(&context, &response);
  v1::ImportCheckpointRequest chunk;
  chunk.mutable_chunk()->set_data("x");
  writer->Write(chunk);
  writer->WritesDone();
  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              StatusIs(absl::StatusCode::kInvalidArgument, Message(HasSubstr("header"))));

  v1::ImportCheckpointHeader header = HeaderOf(1, "x");
  header.set_request_id("../etc");
  EXPECT_THAT(Send(header, ""), Reason("FIELD_INVALID"));
  header = HeaderOf(1, "x");
  header.clear_label();
  EXPECT_THAT(Send(header, ""), Reason("FIELD_INVALID"));
  header = HeaderOf(1, "x");
  header.set_size_bytes(int64_t{17} << 30);
  EXPECT_THAT(Send(header, ""),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_EQ(served_.revision(), 0);
}

TEST_F(CheckpointImportTest, AFullDiskTakesNoMoreButLetsThemGo) {
  ASSERT_THAT(Import(1), IsOk());
  served_.RestartOnAFullDisk();
  Connect();
  EXPECT_THAT(Import(2), StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  EXPECT_THAT(Import(1), IsOk()) << "a repetition gets its one answer";
  EXPECT_THAT(Delete(1, 10), IsOk()) << "deleting makes room";
  EXPECT_THAT(Imported(), IsEmpty());
}

TEST_F(CheckpointImportTest, DeletesOnceAndForGood) {
  ASSERT_THAT(Import(1), IsOk());
  EXPECT_THAT(Delete(1, 10), IsOk());
  const int64_t revision = served_.revision();
  EXPECT_THAT(Delete(1, 10), IsOk()) << "a repetition gets its one answer";
  EXPECT_EQ(served_.revision(), revision);
  const auto gone = [] {
    return StatusIs(absl::StatusCode::kNotFound, Reason("CHECKPOINT_NOT_FOUND"));
  };
  EXPECT_THAT(Delete(1, 11), gone());
  EXPECT_THAT(Download(1), gone());
  EXPECT_THAT(Import(1), gone()) << "the import that made it is not done again";
  EXPECT_THAT(Imported(), IsEmpty());
  v1::DeleteCheckpointRequest without_id;
  without_id.set_name(ImportName(1));
  v1::DeleteCheckpointResponse response;
  EXPECT_THAT(
      Call(&v1::CheckpointService::Stub::DeleteCheckpoint, *checkpoints_, without_id, &response),
      Reason("FIELD_INVALID"));
}

TEST_F(CheckpointImportTest, KeepsWhatAnExperimentBeginsWith) {
  ASSERT_THAT(Import(1), IsOk());
  v1::CreateExperimentRequest create;
  *create.mutable_spec() = SpecFrom("tuned", ImportName(1));
  create.set_request_id(ImportId(20));
  v1::CreateExperimentResponse created;
  ASSERT_THAT(Call(&v1::ExperimentService::Stub::CreateExperiment, *experiments_, create, &created),
              IsOk());
  EXPECT_THAT(Delete(1, 10), StatusIs(absl::StatusCode::kFailedPrecondition, Reason("WRONG_STATE"),
                                      Message(HasSubstr("experiments/1"))));
  v1::CancelExperimentRequest cancel;
  cancel.set_name("experiments/1");
  cancel.set_request_id(ImportId(21));
  v1::CancelExperimentResponse cancelled;
  ASSERT_THAT(
      Call(&v1::ExperimentService::Stub::CancelExperiment, *experiments_, cancel, &cancelled),
      IsOk());
  EXPECT_THAT(Delete(1, 10), IsOk()) << "what was refused may be asked for again";
}

}  // namespace
}  // namespace cvtrain::coordinator
