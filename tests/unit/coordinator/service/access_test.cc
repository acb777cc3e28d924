// Who may call what: real certificates, every method, every role.

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "cvtrain/session/v1/session.grpc.pb.h"
#include "cvtrain/v1/checkpoint.pb.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/log.pb.h"
#include "cvtrain/v1/metric.pb.h"
#include "cvtrain/v1/queue.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "cvtrain/v1/worker.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tls_authority.h"
#include "tests/unit/coordinator/service/served.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::cvtrain::testing::TlsAuthority;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

constexpr char kViewer[] = "viewer";
constexpr char kSubmitter[] = "client";
constexpr char kOperator[] = "operator";
constexpr char kAdmin[] = "admin";
constexpr char kWorker[] = "worker";

// The least role that each method needs, as the word in a certificate's URI. A method that is not
// here fails the test: nobody decided who may call it.
const std::map<std::string, std::string>& NeededRoles() {
  static const auto* const roles = new std::map<std::string, std::string>{
      {"cvtrain.v1.ExperimentService/CreateExperiment", kSubmitter},
      {"cvtrain.v1.ExperimentService/PreviewExperiment", kViewer},
      {"cvtrain.v1.ExperimentService/GetExperiment", kViewer},
      {"cvtrain.v1.ExperimentService/ListExperiments", kViewer},
      {"cvtrain.v1.ExperimentService/CancelExperiment", kSubmitter},
      {"cvtrain.v1.TrialService/GetTrial", kViewer},
      {"cvtrain.v1.TrialService/ListTrials", kViewer},
      {"cvtrain.v1.TrialService/CancelTrial", kSubmitter},
      {"cvtrain.v1.QueueService/ListQueue", kViewer},
      {"cvtrain.v1.QueueService/ExplainTrial", kViewer},
      {"cvtrain.v1.QueueService/PredictQueue", kViewer},
      {"cvtrain.v1.ExperimentService/HoldExperiment", kSubmitter},
      {"cvtrain.v1.ExperimentService/ReleaseExperiment", kSubmitter},
      {"cvtrain.v1.WorkerService/CordonWorker", kOperator},
      {"cvtrain.v1.WorkerService/UncordonWorker", kOperator},
      {"cvtrain.v1.WorkerService/RemoveWorker", kOperator},
      {"cvtrain.v1.WorkerService/GetWorker", kViewer},
      {"cvtrain.v1.WorkerService/ListWorkers", kViewer},
      {"cvtrain.v1.ClusterService/GetCluster", kViewer},
      {"cvtrain.v1.MetricService/ListMetrics", kViewer},
      {"cvtrain.v1.MetricService/QueryMetrics", kViewer},
      {"cvtrain.v1.LogService/ListLogLines", kViewer},
      {"cvtrain.v1.CheckpointService/GetCheckpoint", kViewer},
      {"cvtrain.v1.CheckpointService/ListCheckpoints", kViewer},
      {"cvtrain.v1.CheckpointService/VerifyCheckpoint", kViewer},
      {"cvtrain.v1.CheckpointService/DownloadCheckpoint", kViewer},
      {"cvtrain.v1.CheckpointService/ImportCheckpoint", kSubmitter},
      {"cvtrain.v1.CheckpointService/DeleteCheckpoint", kSubmitter},
      {"cvtrain.v1.DatasetService/BeginDatasetVersion", kSubmitter},
      {"cvtrain.v1.DatasetService/UploadShard", kSubmitter},
      {"cvtrain.v1.DatasetService/CommitDatasetVersion", kSubmitter},
      {"cvtrain.v1.DatasetService/GetDataset", kViewer},
      {"cvtrain.v1.DatasetService/ListDatasets", kViewer},
      {"cvtrain.v1.DatasetService/ListDatasetVersions", kViewer},
      {"cvtrain.v1.DatasetService/GetDatasetVersion", kViewer},
      {"cvtrain.v1.DatasetService/ReadShard", kViewer},
      {"cvtrain.session.v1.SessionService/Connect", kWorker},
      {"cvtrain.session.v1.SessionService/ReportFacts", kWorker},
      {"cvtrain.session.v1.SessionService/ReportMetrics", kWorker},
      {"cvtrain.session.v1.SessionService/ReportLogs", kWorker},
      {"cvtrain.session.v1.SessionService/UploadCheckpoint", kWorker},
      {"cvtrain.session.v1.SessionService/DownloadCheckpoint", kWorker},
      {"cvtrain.session.v1.SessionService/FetchShard", kWorker},
      {"cvtrain.session.v1.SessionService/AccessStore", kWorker},
  };
  return *roles;
}

std::vector<const google::protobuf::MethodDescriptor*> AllMethods() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  for (const google::protobuf::FileDescriptor* file :
       {v1::Experiment::descriptor()->file(), v1::Trial::descriptor()->file(),
        v1::Worker::descriptor()->file(), v1::Cluster::descriptor()->file(),
        v1::QueueEntry::descriptor()->file(), v1::MetricSeries::descriptor()->file(),
        v1::LogLine::descriptor()->file(), v1::Checkpoint::descriptor()->file(),
        v1::Dataset::descriptor()->file(), session::v1::Hello::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(file->service(s)->method(m));
      }
    }
  }
  return methods;
}

std::string PathOf(const google::protobuf::MethodDescriptor& method) {
  return absl::StrCat(method.service()->full_name(), "/", method.name());
}

// Calls any method with one empty message, and returns how it ended.
absl::Status CallEmpty(grpc::GenericStub& stub, const std::string& method) {
  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(absl::Seconds(60)));
  grpc::CompletionQueue queue;
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  auto stream = stub.PrepareCall(&context, "/" + method, &queue);
  int tag = 0;
  stream->StartCall(&tag);
  wait();
  const grpc::Slice nothing("", 0);
  stream->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), &tag);
  wait();
  grpc::ByteBuffer answer;
  do {
    stream->Read(&answer, &tag);
  } while (wait());
  grpc::Status status;
  stream->Finish(&status, &tag);
  wait();
  return FromGrpcStatus(status);
}

std::string UriOf(const std::string& kind, const std::string& id = "someone") {
  return absl::StrCat("spiffe://lab/", kind, "/", id);
}

class AccessTest : public ::testing::Test {
 protected:
  TlsFiles As(const std::string& kind, const std::string& id = "someone") {
    return authority_.Issue({.uri = UriOf(kind, id)});
  }

  absl::Status ListWorkers(const TlsFiles& tls) {
    auto stub = v1::WorkerService::NewStub(served_.Channel(tls));
    v1::ListWorkersResponse response;
    return Call(&v1::WorkerService::Stub::ListWorkers, *stub, v1::ListWorkersRequest(), &response);
  }

  TempDir dir_;
  TlsAuthority authority_{dir_.path()};
  Served served_{authority_.Issue({.uri = "spiffe://lab/coordinator"})};
};

TEST_F(AccessTest, EveryMethodHasARole) {
  std::vector<std::string> decided;
  for (const auto& [method, role] : NeededRoles()) decided.push_back(method);
  std::vector<std::string> served;
  for (const auto* method : AllMethods()) served.push_back(PathOf(*method));
  EXPECT_THAT(served, UnorderedElementsAreArray(decided));
}

TEST_F(AccessTest, EveryCellOfRolesAndMethodsIsAsDecided) {
  const std::vector<std::string> ladder = {kViewer, kSubmitter, kOperator, kAdmin};
  const auto height = [&](const std::string& role) {
    return std::find(ladder.begin(), ladder.end(), role) - ladder.begin();
  };
  const int64_t before = served_.revision();
  for (const std::string role : {kViewer, kSubmitter, kOperator, kAdmin, kWorker}) {
    grpc::GenericStub stub(served_.Channel(As(role)));
    for (const auto& [method, needed] : NeededRoles()) {
      const bool allowed =
          (role == kWorker || needed == kWorker) ? role == needed : height(role) >= height(needed);
      const absl::Status status = CallEmpty(stub, method);
      const std::string reason = ReasonNameOf(status);
      if (allowed) {
        EXPECT_NE(reason, "ROLE_REQUIRED") << role << " calls " << method;
      } else {
        EXPECT_EQ(reason, "ROLE_REQUIRED") << role << " calls " << method << ": " << status;
      }
    }
  }
  EXPECT_EQ(served_.revision(), before) << "a call without content changed something";
}

TEST_F(AccessTest, TheErrorSaysWhichRoleIsMissing) {
  auto stub = v1::ExperimentService::NewStub(served_.Channel(As(kViewer)));
  v1::CreateExperimentResponse response;
  const absl::Status status = Call(&v1::ExperimentService::Stub::CreateExperiment, *stub,
                                   v1::CreateExperimentRequest(), &response);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, Reason("ROLE_REQUIRED")));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("submitter"), HasSubstr("viewer")));
}

TEST_F(AccessTest, TakesACertificateOfItsAuthority) {
  EXPECT_THAT(ListWorkers(As(kViewer)), IsOk());
}

TEST_F(AccessTest, RefusesACertificateThatNamesNobody) {
  for (const std::string uri :
       {"", "spiffe://lab/viewer", "spiffe://lab/king/someone", "https://lab/viewer/someone",
        "spiffe://lab/viewer/../admin", "spiffe://lab/viewer/a/b"}) {
    EXPECT_THAT(ListWorkers(authority_.Issue({.uri = uri})),
                StatusIs(absl::StatusCode::kUnauthenticated, Reason("TOKEN_INVALID")))
        << uri;
  }
}

TEST_F(AccessTest, EndsTheHandshakeWithAnybodyElse) {
  TempDir elsewhere;
  TlsAuthority stranger(elsewhere.path());
  TlsFiles other = stranger.Issue({.uri = UriOf(kAdmin)});
  other.ca = As(kAdmin).ca;  // it trusts us; we do not trust it
  const TlsFiles expired = authority_.Issue({.uri = UriOf(kAdmin), .valid_for = -absl::Minutes(1)});
  for (const TlsFiles& tls : {other, expired}) {
    EXPECT_THAT(ListWorkers(tls), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(AccessTest, NobodyWithoutACertificateIsHeard) {
  grpc::SslCredentialsOptions options;
  std::string ca;
  CVT_ASSERT_OK_AND_ASSIGN(options.pem_root_certs,
                           ReadFile(PosixFileSystem(), As(kViewer).ca, 1 << 20));
  for (const auto& credentials :
       {grpc::SslCredentials(options), grpc::InsecureChannelCredentials()}) {
    auto stub = v1::WorkerService::NewStub(grpc::CreateChannel(served_.address(), credentials));
    v1::ListWorkersResponse response;
    EXPECT_THAT(
        Call(&v1::WorkerService::Stub::ListWorkers, *stub, v1::ListWorkersRequest(), &response),
        StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(AccessTest, AClientRefusesAServerOfAnotherAuthority) {
  TempDir elsewhere;
  TlsFiles tls = As(kViewer);
  tls.ca = TlsAuthority(elsewhere.path()).Issue({.uri = ""}).ca;
  EXPECT_THAT(ListWorkers(tls), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(AccessTest, AWorkerSpeaksForItselfOnly) {
  auto stub = session::v1::SessionService::NewStub(served_.Channel(As(kWorker, "gpu-a")));
  session::v1::ReportFactsRequest request;
  request.set_worker("workers/gpu-b");
  request.set_attempt("experiments/1/trials/1/attempts/1");
  request.set_lease_generation(1);
  session::v1::ReportFactsResponse response;
  const auto report = [&] {
    return Call(&session::v1::SessionService::Stub::ReportFacts, *stub, request, &response);
  };
  EXPECT_THAT(report(),
              StatusIs(absl::StatusCode::kPermissionDenied, Reason("NOT_YOUR_ALLOCATION")));
  request.set_worker("workers/gpu-a");
  EXPECT_THAT(ReasonNameOf(report()), AnyOf("LEASE_LOST", "TRIAL_NOT_FOUND", "FIELD_INVALID"));

  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(absl::Seconds(60)));
  auto stream = stub->Connect(&context);
  session::v1::ConnectRequest hello;
  hello.mutable_hello()->set_worker("workers/gpu-b");
  stream->Write(hello);
  session::v1::ConnectResponse welcome;
  EXPECT_FALSE(stream->Read(&welcome)) << "it was let in as another worker";
  EXPECT_THAT(FromGrpcStatus(stream->Finish()),
              StatusIs(absl::StatusCode::kPermissionDenied, Reason("NOT_YOUR_ALLOCATION")));
}

}  // namespace
}  // namespace cvtrain::coordinator
