// What a client of the services hears, over real gRPC.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/text.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/dataset.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/log.grpc.pb.h"
#include "cvtrain/v1/metric.grpc.pb.h"
#include "cvtrain/v1/trial.grpc.pb.h"
#include "cvtrain/v1/worker.grpc.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/service/served.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const auto kBadName = [] {
  return StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME"));
};

std::string RequestId(int n) { return absl::StrFormat("00000000-0000-4000-8000-%012d", n); }

class ServicesTest : public ::testing::Test {
 protected:
  ServicesTest() { Connect(); }

  void Connect() {
    const auto channel = served_.Channel();
    experiments_ = v1::ExperimentService::NewStub(channel);
    trials_ = v1::TrialService::NewStub(channel);
    workers_ = v1::WorkerService::NewStub(channel);
    datasets_ = v1::DatasetService::NewStub(channel);
    checkpoints_ = v1::CheckpointService::NewStub(channel);
    metrics_ = v1::MetricService::NewStub(channel);
    logs_ = v1::LogService::NewStub(channel);
    cluster_ = v1::ClusterService::NewStub(channel);
  }

  absl::StatusOr<v1::Experiment> Create(const v1::CreateExperimentRequest& request) {
    v1::CreateExperimentResponse response;
    const absl::Status status =
        Call(&v1::ExperimentService::Stub::CreateExperiment, *experiments_, request, &response);
    if (!status.ok()) return status;
    return response.experiment();
  }
  absl::StatusOr<v1::Experiment> Create(const std::string& name, const std::string& request_id) {
    v1::CreateExperimentRequest request;
    *request.mutable_spec() = SyntheticSpec(name);
    request.set_request_id(request_id);
    return Create(request);
  }

  absl::StatusOr<v1::Experiment> Get(const std::string& name) {
    v1::GetExperimentRequest request;
    request.set_name(name);
    v1::GetExperimentResponse response;
    const absl::Status status =
        Call(&v1::ExperimentService::Stub::GetExperiment, *experiments_, request, &response);
    if (!status.ok()) return status;
    return response.experiment();
  }

  absl::StatusOr<v1::Experiment> Cancel(const std::string& name, const std::string& request_id,
                                        const std::string& etag = "") {
    v1::CancelExperimentRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    request.set_etag(etag);
    v1::CancelExperimentResponse response;
    const absl::Status status =
        Call(&v1::ExperimentService::Stub::CancelExperiment, *experiments_, request, &response);
    if (!status.ok()) return status;
    return response.experiment();
  }

  absl::StatusOr<v1::ListExperimentsResponse> List(const v1::ListExperimentsRequest& request) {
    v1::ListExperimentsResponse response;
    const absl::Status status =
        Call(&v1::ExperimentService::Stub::ListExperiments, *experiments_, request, &response);
    if (!status.ok()) return status;
    return response;
  }

  Served served_;
  std::unique_ptr<v1::ExperimentService::Stub> experiments_;
  std::unique_ptr<v1::TrialService::Stub> trials_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
  std::unique_ptr<v1::MetricService::Stub> metrics_;
  std::unique_ptr<v1::LogService::Stub> logs_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
};

// --- Mutations ---

TEST_F(ServicesTest, AnswersWithTheResourceAsItHasBecome) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment created, Create("one", RequestId(1)));
  EXPECT_EQ(created.name(), "experiments/1");
  EXPECT_EQ(created.creator(), "local");
  EXPECT_EQ(created.state(), v1::Experiment::STATE_ACTIVE);
  EXPECT_EQ(created.trials().queued(), 1);
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment read, Get("experiments/1"));
  EXPECT_THAT(read, EqualsProto(created));
}

TEST_F(ServicesTest, ARepeatedRequestHasOneEffectAndOneAnswerAlsoAfterARestart) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment first, Create("one", RequestId(1)));
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment again, Create("one", RequestId(1)));
  EXPECT_THAT(again, EqualsProto(first));
  served_.Restart();
  Connect();
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment later, Create("one", RequestId(1)));
  EXPECT_EQ(later.name(), first.name());
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse all, List({}));
  EXPECT_THAT(all.experiments(), SizeIs(1));
}

TEST_F(ServicesTest, RefusesARequestIdThatWasUsedForSomethingElse) {
  ASSERT_THAT(Create("one", RequestId(1)), IsOk());
  const auto reused = [] {
    return StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED"));
  };
  EXPECT_THAT(Create("two", RequestId(1)), reused());
  EXPECT_THAT(Cancel("experiments/1", RequestId(1)), reused());
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment one, Get("experiments/1"));
  EXPECT_EQ(one.state(), v1::Experiment::STATE_ACTIVE) << "the first effect stands";
}

TEST_F(ServicesTest, AMutationNeedsARequestId) {
  for (const std::string id : {"", "7", "not-a-uuid", "../../etc/passwd"}) {
    EXPECT_THAT(Create("one", id),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")))
        << id;
  }
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse all, List({}));
  EXPECT_THAT(all.experiments(), IsEmpty());
}

TEST_F(ServicesTest, AStaleEtagChangesNothing) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment created, Create("one", RequestId(1)));
  EXPECT_THAT(Cancel(created.name(), RequestId(2), "of-another-day"),
              StatusIs(absl::StatusCode::kAborted, Reason("ETAG_MISMATCH")));
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment same, Get(created.name()));
  EXPECT_THAT(same, EqualsProto(created));
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment cancelled,
                           Cancel(created.name(), RequestId(3), created.etag()));
  EXPECT_EQ(cancelled.state(), v1::Experiment::STATE_CANCELLED);
  EXPECT_NE(cancelled.etag(), created.etag());
}

TEST_F(ServicesTest, WhatHasEndedCannotBeCancelled) {
  ASSERT_THAT(Create("one", RequestId(1)), IsOk());
  ASSERT_THAT(Cancel("experiments/1", RequestId(2)), IsOk());
  EXPECT_THAT(Cancel("experiments/1", RequestId(3)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ServicesTest, APreviewSaysWhatWouldBeDoneAndDoesNothing) {
  const int64_t before = served_.revision();
  v1::PreviewExperimentRequest request;
  *request.mutable_spec() = SyntheticSpec("one", LinearSearch(3, 2));
  v1::PreviewExperimentResponse response;
  ASSERT_THAT(
      Call(&v1::ExperimentService::Stub::PreviewExperiment, *experiments_, request, &response),
      IsOk());
  EXPECT_EQ(response.trial_count(), 3);
  EXPECT_THAT(response.trials(), SizeIs(3));
  EXPECT_THAT(response.stages(), SizeIs(1));
  EXPECT_EQ(served_.revision(), before);
}

TEST_F(ServicesTest, NamesEveryBrokenFieldOfARecipe) {
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = SyntheticSpec("one");
  request.mutable_spec()->mutable_recipe()->mutable_synthetic()->set_steps(-1);
  request.mutable_spec()->mutable_resources()->set_slots(-4);
  request.set_request_id(RequestId(1));
  const absl::Status status = Create(request).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
  std::vector<std::string> fields;
  for (const FieldViolation& violation : FieldViolationsOf(status))
    fields.push_back(violation.field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("recipe.synthetic.steps", "resources.slots"));
}

TEST_F(ServicesTest, AFullDiskRefusesNewWorkButNotReadsOrCancels) {
  ASSERT_THAT(Create("one", RequestId(1)), IsOk());
  served_.RestartOnAFullDisk();
  Connect();
  const absl::Status refused = Create("two", RequestId(2)).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("free some"));
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  CVT_ASSERT_OK_AND_ASSIGN(const v1::Experiment again, Create("one", RequestId(1)));
  EXPECT_EQ(again.name(), "experiments/1") << "a repetition gets its one answer";
  EXPECT_THAT(Get("experiments/1"), IsOk());
  EXPECT_THAT(Get("experiments/2"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Cancel("experiments/1", RequestId(3)), IsOk()) << "ending work makes room";
}

// --- Names and lists ---

TEST_F(ServicesTest, NoNameFromARequestIsAPath) {
  for (const std::string bad :
       {"../../etc/passwd", "/etc/passwd", "experiments/../1", "experiments/1/../2",
        "experiments/%2e", "experiments\\1", "experiments/01", "experiments/-1", "experiments/1 ",
        "", "experiments/"}) {
    const auto refuses = [&](auto method, auto& stub, auto request, auto response) {
      request.set_name(bad);
      EXPECT_THAT(Call(method, stub, request, &response), kBadName()) << "'" << bad << "'";
    };
    refuses(&v1::ExperimentService::Stub::GetExperiment, *experiments_, v1::GetExperimentRequest(),
            v1::GetExperimentResponse());
    refuses(&v1::TrialService::Stub::GetTrial, *trials_, v1::GetTrialRequest(),
            v1::GetTrialResponse());
    refuses(&v1::WorkerService::Stub::GetWorker, *workers_, v1::GetWorkerRequest(),
            v1::GetWorkerResponse());
    refuses(&v1::CheckpointService::Stub::GetCheckpoint, *checkpoints_, v1::GetCheckpointRequest(),
            v1::GetCheckpointResponse());
    refuses(&v1::CheckpointService::Stub::VerifyCheckpoint, *checkpoints_,
            v1::VerifyCheckpointRequest(), v1::VerifyCheckpointResponse());
    refuses(&v1::DatasetService::Stub::GetDataset, *datasets_, v1::GetDatasetRequest(),
            v1::GetDatasetResponse());
    refuses(&v1::DatasetService::Stub::GetDatasetVersion, *datasets_,
            v1::GetDatasetVersionRequest(), v1::GetDatasetVersionResponse());

    v1::QueryMetricsRequest query;
    query.set_trial(bad);
    v1::QueryMetricsResponse points;
    EXPECT_THAT(Call(&v1::MetricService::Stub::QueryMetrics, *metrics_, query, &points),
                kBadName());
    v1::ListLogLinesRequest lines;
    lines.set_trial(bad);
    v1::ListLogLinesResponse page;
    EXPECT_THAT(Call(&v1::LogService::Stub::ListLogLines, *logs_, lines, &page), kBadName());
  }
}

TEST_F(ServicesTest, SaysWhatDoesNotExist) {
  const auto missing = [](const std::string& reason) {
    return StatusIs(absl::StatusCode::kNotFound, Reason(reason));
  };
  EXPECT_THAT(Get("experiments/7"), missing("EXPERIMENT_NOT_FOUND"));
  v1::GetTrialRequest trial;
  trial.set_name("experiments/7/trials/1");
  v1::GetTrialResponse trial_response;
  EXPECT_THAT(Call(&v1::TrialService::Stub::GetTrial, *trials_, trial, &trial_response),
              missing("TRIAL_NOT_FOUND"));
  v1::GetWorkerRequest worker;
  worker.set_name("workers/nobody");
  v1::GetWorkerResponse worker_response;
  EXPECT_THAT(Call(&v1::WorkerService::Stub::GetWorker, *workers_, worker, &worker_response),
              missing("WORKER_NOT_FOUND"));
  v1::GetDatasetRequest dataset;
  dataset.set_name("datasets/nothing");
  v1::GetDatasetResponse dataset_response;
  EXPECT_THAT(Call(&v1::DatasetService::Stub::GetDataset, *datasets_, dataset, &dataset_response),
              missing("DATASET_NOT_FOUND"));
}

TEST_F(ServicesTest, PagesHoldEachItemOnceNewestFirst) {
  for (int i = 1; i <= 5; ++i) ASSERT_THAT(Create(absl::StrCat("e", i), RequestId(i)), IsOk());
  v1::ListExperimentsRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  int pages = 0;
  do {
    CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse page, List(request));
    for (const v1::Experiment& one : page.experiments()) names.push_back(one.spec().name());
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty() && pages < 10);
  EXPECT_THAT(names, ElementsAre("e5", "e4", "e3", "e2", "e1"));
  EXPECT_EQ(pages, 3);
}

TEST_F(ServicesTest, RefusesAPageTokenThatIsForgedOrOfAnotherList) {
  for (int i = 1; i <= 3; ++i) ASSERT_THAT(Create(absl::StrCat("e", i), RequestId(i)), IsOk());
  v1::ListExperimentsRequest request;
  request.set_page_size(1);
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse page, List(request));
  ASSERT_FALSE(page.next_page_token().empty());
  const auto bad_token = [] {
    return StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_PAGE_TOKEN"));
  };
  std::string forged = page.next_page_token();
  forged.back() = forged.back() == 'A' ? 'B' : 'A';
  for (const std::string& token : {forged, std::string("2"), std::string("../../2")}) {
    request.set_page_token(token);
    EXPECT_THAT(List(request), bad_token()) << token;
  }
  request.set_page_token(page.next_page_token());
  request.set_project("another");
  EXPECT_THAT(List(request), bad_token());
  request.clear_project();
  EXPECT_THAT(List(request), IsOk());
}

TEST_F(ServicesTest, RefusesANegativePageSize) {
  v1::ListExperimentsRequest request;
  request.set_page_size(-1);
  EXPECT_THAT(List(request), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(ServicesTest, ListsByProjectAndLabel) {
  for (const std::string project : {"vision", "audio"}) {
    v1::CreateExperimentRequest request;
    *request.mutable_spec() = SyntheticSpec("same");
    request.mutable_spec()->set_project(project);
    request.set_request_id(RequestId(project == "vision" ? 1 : 2));
    ASSERT_THAT(Create(request), IsOk()) << "a name is unique within its project";
  }
  v1::ListExperimentsRequest request;
  request.set_project("audio");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse audio, List(request));
  ASSERT_THAT(audio.experiments(), SizeIs(1));
  EXPECT_EQ(audio.experiments(0).spec().project(), "audio");
  request.clear_project();
  request.set_label("same");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ListExperimentsResponse both, List(request));
  EXPECT_THAT(both.experiments(), SizeIs(2));
}

// --- The wire ---

TEST_F(ServicesTest, RefusesAMessageThatIsTooLargeAndServesOn) {
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = SyntheticSpec("one");
  request.mutable_spec()->set_project(std::string(5 << 20, 'x'));
  request.set_request_id(RequestId(1));
  EXPECT_THAT(Create(request), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Create("one", RequestId(2)), IsOk());
}

TEST_F(ServicesTest, SaysWhichClusterItIsAlsoAfterARestart) {
  v1::GetClusterResponse before;
  ASSERT_THAT(
      Call(&v1::ClusterService::Stub::GetCluster, *cluster_, v1::GetClusterRequest(), &before),
      IsOk());
  EXPECT_FALSE(before.cluster().id().empty());
  EXPECT_FALSE(before.cluster().program_version().empty());
  served_.Restart();
  Connect();
  v1::GetClusterResponse after;
  ASSERT_THAT(
      Call(&v1::ClusterService::Stub::GetCluster, *cluster_, v1::GetClusterRequest(), &after),
      IsOk());
  EXPECT_EQ(after.cluster().id(), before.cluster().id());
}

// --- Data sets ---

// A version without pictures to speak of, whose one shard has arrived under `request_id`.
class DatasetServiceTest : public ServicesTest {
 protected:
  // The digests of the shards that have arrived.
  absl::StatusOr<std::vector<std::string>> Begin(const std::string& request_id) {
    v1::BeginDatasetVersionRequest begin;
    begin.set_dataset("photos");
    begin.set_request_id(request_id);
    v1::BeginDatasetVersionResponse begun;
    const absl::Status status =
        Call(&v1::DatasetService::Stub::BeginDatasetVersion, *datasets_, begin, &begun);
    if (!status.ok()) return status;
    return std::vector<std::string>(begun.arrived().begin(), begun.arrived().end());
  }

  absl::Status SendShard(const std::string& request_id, const std::string& digest,
                         const std::string& bytes) {
    grpc::ClientContext context;
    context.set_deadline(DeadlineAfter(absl::Seconds(60)));
    v1::UploadShardResponse response;
    const auto writer = datasets_->UploadShard(&context, &response);
    v1::UploadShardRequest part;
    part.mutable_header()->set_request_id(request_id);
    part.mutable_header()->set_digest(digest);
    part.mutable_header()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    writer->Write(part);
    part.set_chunk(bytes);
    writer->Write(part);
    writer->WritesDone();
    return FromGrpcStatus(writer->Finish());
  }

  void UploadShard(const std::string& request_id, const std::string& bytes) {
    ASSERT_THAT(Begin(request_id), IsOk());
    ASSERT_THAT(SendShard(request_id, Digest(bytes), bytes), IsOk());
  }

  absl::StatusOr<v1::DatasetVersion> Commit(const std::string& request_id,
                                            const std::string& bytes) {
    v1::CommitDatasetVersionRequest commit;
    commit.set_request_id(request_id);
    commit.set_dataset("photos");
    v1::DatasetVersion& version = *commit.mutable_version();
    version.set_digest(Digest("version of " + bytes));
    version.add_classes("only");
    v1::Split& split = *version.add_splits();
    split.set_name("train");
    split.set_images(1);
    split.add_class_images(1);
    v1::Shard& shard = *version.add_shards();
    shard.set_split("train");
    shard.set_images(1);
    shard.set_digest(Digest(bytes));
    shard.set_size_bytes(static_cast<int64_t>(bytes.size()));
    v1::CommitDatasetVersionResponse committed;
    const absl::Status status =
        Call(&v1::DatasetService::Stub::CommitDatasetVersion, *datasets_, commit, &committed);
    if (!status.ok()) return status;
    return committed.version();
  }

  static std::string Digest(const std::string& bytes) {
    const Sha256Digest digest = Sha256Of(bytes);
    return HexEncode(std::string(digest.begin(), digest.end()));
  }
};

TEST_F(DatasetServiceTest, ARepeatedCommitHasOneEffectAlsoIfAnotherVersionCameBetween) {
  UploadShard(RequestId(1), "first");
  UploadShard(RequestId(2), "second");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::DatasetVersion first, Commit(RequestId(1), "first"));
  EXPECT_EQ(first.name(), "datasets/photos/versions/1");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::DatasetVersion second, Commit(RequestId(2), "second"));
  EXPECT_EQ(second.name(), "datasets/photos/versions/2");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::DatasetVersion again, Commit(RequestId(1), "first"));
  EXPECT_EQ(again.name(), first.name()) << "one request made two versions";
  EXPECT_THAT(Commit(RequestId(2), "first"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED")));
}

TEST_F(DatasetServiceTest, SendsTheBytesOfAShard) {
  UploadShard(RequestId(1), "0123456789");
  CVT_ASSERT_OK_AND_ASSIGN(const v1::DatasetVersion version, Commit(RequestId(1), "0123456789"));
  const auto read = [&](const std::string& name, int32_t index, int64_t offset,
                        int64_t length) -> absl::StatusOr<std::string> {
    grpc::ClientContext context;
    context.set_deadline(DeadlineAfter(absl::Seconds(60)));
    v1::ReadShardRequest request;
    request.set_version(name);
    request.set_index(index);
    request.set_offset(offset);
    request.set_length(length);
    const auto reader = datasets_->ReadShard(&context, request);
    std::string bytes;
    v1::ReadShardResponse response;
    while (reader->Read(&response)) {
      EXPECT_EQ(Crc32c(response.data()), response.crc32c());
      bytes += response.data();
    }
    const absl::Status finished = FromGrpcStatus(reader->Finish());
    if (!finished.ok()) return finished;
    return bytes;
  };
  EXPECT_THAT(read(version.name(), 0, 0, 0), IsOkAndHolds("0123456789"));
  EXPECT_THAT(read(version.name(), 0, 3, 4), IsOkAndHolds("3456"));
  EXPECT_THAT(read(version.name(), -1, 0, 0),
              StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
  EXPECT_THAT(read(version.name(), 1, 0, 0),
              StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
  EXPECT_THAT(read("datasets/photos/versions/7", 0, 0, 0),
              StatusIs(absl::StatusCode::kNotFound, Reason("DATASET_NOT_FOUND")));
  EXPECT_THAT(read("../photos", 0, 0, 0), StatusIs(absl::StatusCode::kInvalidArgument));
  for (const auto& [offset, length] : {std::pair(-1, 1), std::pair(0, 11), std::pair(11, 0)}) {
    EXPECT_THAT(read(version.name(), 0, offset, length),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")))
        << offset << "+" << length;
  }
}

TEST_F(DatasetServiceTest, AVersionWhoseShardsHaveNotArrivedIsRefused) {
  EXPECT_THAT(Begin(RequestId(1)), IsOkAndHolds(IsEmpty()));

  v1::CommitDatasetVersionRequest commit;
  commit.set_request_id(RequestId(1));
  commit.set_dataset("photos");
  v1::Shard& shard = *commit.mutable_version()->add_shards();
  shard.set_digest(std::string(64, 'a'));
  shard.set_size_bytes(100);
  v1::CommitDatasetVersionResponse committed;
  EXPECT_FALSE(
      Call(&v1::DatasetService::Stub::CommitDatasetVersion, *datasets_, commit, &committed).ok());
  v1::ListDatasetsResponse all;
  ASSERT_THAT(
      Call(&v1::DatasetService::Stub::ListDatasets, *datasets_, v1::ListDatasetsRequest(), &all),
      IsOk());
  EXPECT_THAT(all.datasets(), IsEmpty());
}

TEST_F(DatasetServiceTest, AShardWhoseBytesAreNotThoseOfItsDigestIsRefused) {
  ASSERT_THAT(Begin(RequestId(1)), IsOk());
  EXPECT_THAT(SendShard(RequestId(1), std::string(64, 'a'), "hello"),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(Begin(RequestId(1)), IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace cvtrain::coordinator
