#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "cvtrain/v1/checkpoint.grpc.pb.h"
#include "cvtrain/v1/cluster.grpc.pb.h"
#include "cvtrain/v1/experiment.grpc.pb.h"
#include "cvtrain/v1/log.grpc.pb.h"
#include "cvtrain/v1/metric.grpc.pb.h"
#include "cvtrain/v1/trial.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "tests/crash/kill_actors.h"

namespace cvtrain {
namespace {

class CoordinatorCheck {
 public:
  using Kind = Violation::Kind;

  CoordinatorCheck(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle)
      : oracle_(oracle),
        clusters_(v1::ClusterService::NewStub(channel)),
        experiments_(v1::ExperimentService::NewStub(channel)),
        trials_(v1::TrialService::NewStub(channel)),
        metrics_(v1::MetricService::NewStub(channel)),
        logs_(v1::LogService::NewStub(channel)),
        checkpoints_(v1::CheckpointService::NewStub(channel)) {}

  void Run(bool all, const std::set<std::string>& touched) {
    Refused("revision", CheckRevision());
    Refused("experiments", CheckExperiments());
    Refused("imports", CheckImports());
    for (const auto& [name, trial] : oracle_.trials) {
      if (all || touched.contains(name)) {
        Refused(name, CheckTrial(name, trial));
      }
    }
  }

 private:
  void Expect(bool good, Violation::Kind kind, const std::string& violation) {
    if (!good) {
      oracle_.Broken(kind, violation);
    }
  }
  void Refused(const std::string& what, const absl::Status& status) {
    // What the oracle asks for was told by the coordinator, so it was there.
    Expect(status.ok(), absl::IsNotFound(status) ? Kind::kLost : Kind::kOther,
           absl::StrCat("checking ", what, ": ", status.ToString()));
  }
  // Compares how many of `what` there are with what was sent and what was answered.
  void ExpectCount(int64_t count, int64_t acknowledged, int64_t sent, const std::string& what) {
    const std::string text =
        absl::StrCat(what, ": there are ", count, ", answered ", acknowledged, ", sent ", sent);
    Expect(count >= acknowledged, Kind::kLost, text);
    Expect(count <= sent, Kind::kDoubled, text);
  }

  absl::Status CheckRevision() {
    grpc::ClientContext context;
    v1::GetClusterResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(clusters_->GetCluster(&context, {}, &response)));
    const int64_t revision = response.cluster().revision();
    Expect(revision >= oracle_.revision, Kind::kLost,
           absl::StrCat("revision ", revision, ", had answered ", oracle_.revision));
    oracle_.revision = std::max(oracle_.revision, revision);
    return absl::OkStatus();
  }

  // Each answered experiment is there under its name, once; nothing is there that was not sent.
  absl::Status CheckExperiments() {
    std::map<std::string, std::vector<std::string>> listed;  // label -> names
    v1::ListExperimentsRequest request;
    request.set_page_size(1000);
    do {
      grpc::ClientContext context;
      v1::ListExperimentsResponse response;
      CVT_RETURN_IF_ERROR(
          FromGrpcStatus(experiments_->ListExperiments(&context, request, &response)));
      for (const v1::Experiment& experiment : response.experiments()) {
        listed[experiment.spec().name()].push_back(experiment.name());
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    for (const SubmittedExperiment& sent : oracle_.experiments) {
      const std::vector<std::string> names = std::move(listed[sent.label]);
      listed.erase(sent.label);
      ExpectCount(static_cast<int64_t>(names.size()), sent.name.empty() ? 0 : 1, 1, sent.label);
      Expect(sent.name.empty() || names.empty() || names[0] == sent.name, Kind::kOther,
             absl::StrCat(sent.label, " was answered as ", sent.name, ", is ",
                          names.empty() ? "lost" : names[0]));
    }
    Expect(listed.empty(), Kind::kOther,
           absl::StrCat(listed.size(), " experiments that nobody submitted"));
    return absl::OkStatus();
  }

  absl::Status CheckTrial(const std::string& name, const SentTrial& trial) {
    CVT_RETURN_IF_ERROR(CheckState(name, trial));
    CVT_RETURN_IF_ERROR(CheckPoints(name, trial));
    CVT_RETURN_IF_ERROR(CheckLines(name, trial));
    CVT_RETURN_IF_ERROR(CheckCheckpoints(name, trial));
    for (const auto& [uuid, digest] : trial.checkpoints_acknowledged) {
      CheckBytes(uuid, digest);
    }
    return absl::OkStatus();
  }

  absl::Status CheckState(const std::string& name, const SentTrial& trial) {
    grpc::ClientContext context;
    v1::GetTrialRequest request;
    request.set_name(name);
    v1::GetTrialResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(trials_->GetTrial(&context, request, &response)));
    Expect(!trial.end_acknowledged || response.trial().state() == v1::Trial::STATE_SUCCEEDED,
           Kind::kLost,
           absl::StrCat(name, ": its end was answered, it is in state ",
                        v1::Trial::State_Name(response.trial().state())));
    ExpectCount(response.trial().attempt_count(), 1, 1, absl::StrCat("attempts of ", name));
    return absl::OkStatus();
  }

  absl::Status CheckPoints(const std::string& name, const SentTrial& trial) {
    grpc::ClientContext context;
    v1::QueryMetricsRequest request;
    request.set_trial(name);
    request.add_metrics("loss");
    v1::QueryMetricsResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(metrics_->QueryMetrics(&context, request, &response)));
    const v1::MetricSeries series =
        response.series().empty() ? v1::MetricSeries() : response.series(0);
    ExpectCount(series.steps_size(), trial.points_acknowledged, trial.points_sent,
                absl::StrCat("points of ", name));
    for (int i = 0; i < series.steps_size(); ++i) {
      const int64_t step = series.steps(i);
      const Kind kind = step > i ? Kind::kLost : step < i ? Kind::kDoubled : Kind::kOther;
      Expect(step == i && series.values(i) == static_cast<double>(i) / 2, kind,
             absl::StrCat(name, ": point ", i, " has step ", step, ", value ", series.values(i)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckLines(const std::string& name, const SentTrial& trial) {
    grpc::ClientContext context;
    v1::ListLogLinesRequest request;
    request.set_trial(name);
    v1::ListLogLinesResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(logs_->ListLogLines(&context, request, &response)));
    ExpectCount(response.lines_size(), trial.lines_acknowledged, trial.lines_sent,
                absl::StrCat("lines of ", name));
    for (int i = 0; i < response.lines_size(); ++i) {
      Expect(response.lines(i).text() == absl::StrCat("line ", i), Kind::kOther,
             absl::StrCat(name, ": line ", i, " is \"", response.lines(i).text(), "\""));
    }
    return absl::OkStatus();
  }

  // Names of the checkpoints of `parent`, each as often as it is listed.
  absl::StatusOr<std::multiset<std::string>> ListCheckpoints(const std::string& parent) {
    grpc::ClientContext context;
    v1::ListCheckpointsRequest request;
    request.set_parent(parent);
    request.set_page_size(1000);
    v1::ListCheckpointsResponse response;
    CVT_RETURN_IF_ERROR(
        FromGrpcStatus(checkpoints_->ListCheckpoints(&context, request, &response)));
    std::multiset<std::string> listed;
    for (const v1::Checkpoint& checkpoint : response.checkpoints()) {
      listed.insert(checkpoint.name());
    }
    return listed;
  }

  // Each answered checkpoint is listed once; nothing is listed that was not sent.
  absl::Status CheckCheckpoints(const std::string& name, const SentTrial& trial) {
    CVT_ASSIGN_OR_RETURN(std::multiset<std::string> listed, ListCheckpoints(name));
    for (const std::string& uuid : trial.checkpoints_sent) {
      const auto count = static_cast<int64_t>(listed.erase(absl::StrCat("checkpoints/", uuid)));
      ExpectCount(count, trial.checkpoints_acknowledged.contains(uuid) ? 1 : 0, 1,
                  absl::StrCat("checkpoints/", uuid));
    }
    Expect(listed.empty(), Kind::kOther,
           absl::StrCat(name, ": has ", listed.size(), " checkpoints that nobody sent"));
    return absl::OkStatus();
  }

  // Each answered import is listed, with its bytes, until its deletion is asked for; none is after
  // its deletion was answered.
  absl::Status CheckImports() {
    CVT_ASSIGN_OR_RETURN(std::multiset<std::string> listed, ListCheckpoints("imported"));
    for (const SentImport& import : oracle_.imports) {
      const bool must_be = import.acknowledged && import.delete_id.empty();
      const std::string name = absl::StrCat("checkpoints/", import.uuid);
      ExpectCount(static_cast<int64_t>(listed.erase(name)), must_be ? 1 : 0,
                  import.delete_acknowledged ? 0 : 1, name);
      if (must_be) CheckBytes(import.uuid, import.digest);
    }
    Expect(listed.empty(), Kind::kOther,
           absl::StrCat(listed.size(), " imported checkpoints that nobody sent"));
    return absl::OkStatus();
  }

  void CheckBytes(const std::string& uuid, const std::string& digest) {
    grpc::ClientContext context;
    v1::DownloadCheckpointRequest request;
    request.set_name(absl::StrCat("checkpoints/", uuid));
    const auto reader = checkpoints_->DownloadCheckpoint(&context, request);
    v1::DownloadCheckpointResponse response;
    BlockDigest whole;
    while (reader->Read(&response)) {
      whole.Update(response.chunk());
    }
    const absl::Status status = FromGrpcStatus(reader->Finish());
    Expect(status.ok(), absl::IsNotFound(status) ? Kind::kLost : Kind::kOther,
           absl::StrCat("bytes of checkpoints/", uuid, ": ", status.ToString()));
    Expect(!status.ok() || ToHex(whole.Finish()) == digest, Kind::kOther,
           absl::StrCat("checkpoints/", uuid, " has other bytes"));
  }

  KillOracle& oracle_;
  const std::unique_ptr<v1::ClusterService::Stub> clusters_;
  const std::unique_ptr<v1::ExperimentService::Stub> experiments_;
  const std::unique_ptr<v1::TrialService::Stub> trials_;
  const std::unique_ptr<v1::MetricService::Stub> metrics_;
  const std::unique_ptr<v1::LogService::Stub> logs_;
  const std::unique_ptr<v1::CheckpointService::Stub> checkpoints_;
};

}  // namespace

void CheckCoordinator(const std::shared_ptr<grpc::Channel>& channel, KillOracle& oracle, bool all,
                      const std::set<std::string>& touched) {
  CoordinatorCheck(channel, oracle).Run(all, touched);
}

}  // namespace cvtrain
