#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "common/sha256.h"
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
    for (const auto& [name, trial] : oracle_.trials) {
      if ((all || touched.contains(name)) && !trial.lease_lost) {
        Refused(name, CheckTrial(name, trial));
      }
    }
  }

 private:
  void Expect(bool good, const std::string& violation) {
    if (!good) {
      oracle_.Violation(violation);
    }
  }
  void Refused(const std::string& what, const absl::Status& status) {
    Expect(status.ok(), absl::StrCat("checking ", what, ": ", status.ToString()));
  }

  absl::Status CheckRevision() {
    grpc::ClientContext context;
    v1::GetClusterResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(clusters_->GetCluster(&context, {}, &response)));
    Expect(response.cluster().revision() >= oracle_.revision,
           absl::StrCat("revision ", response.cluster().revision(), ", had answered ",
                        oracle_.revision));
    oracle_.revision = std::max(oracle_.revision, response.cluster().revision());
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
    size_t found = 0;
    for (const SubmittedExperiment& sent : oracle_.experiments) {
      const std::vector<std::string>& names = listed[sent.label];
      found += names.size();
      Expect(names.size() <= 1, absl::StrCat(sent.label, " exists ", names.size(), " times"));
      Expect(sent.name.empty() || (names.size() == 1 && names[0] == sent.name),
             absl::StrCat(sent.label, " was answered as ", sent.name, ", is ",
                          names.empty() ? "lost" : names[0]));
    }
    size_t total = 0;
    for (const auto& [label, names] : listed) {
      total += names.size();
    }
    Expect(total == found, absl::StrCat(total - found, " experiments that nobody submitted"));
    return absl::OkStatus();
  }

  absl::Status CheckTrial(const std::string& name, const SentTrial& trial) {
    CVT_RETURN_IF_ERROR(CheckState(name, trial));
    CVT_RETURN_IF_ERROR(CheckPoints(name, trial));
    CVT_RETURN_IF_ERROR(CheckLines(name, trial));
    for (const auto& [uuid, digest] : trial.checkpoints_acknowledged) {
      CVT_RETURN_IF_ERROR(CheckCheckpoint(uuid, digest));
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
           absl::StrCat(name, ": its end was answered, it is in state ",
                        v1::Trial::State_Name(response.trial().state())));
    Expect(response.trial().attempt_count() == 1,
           absl::StrCat(name, ": has ", response.trial().attempt_count(), " attempts"));
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
    const int64_t count = series.steps_size();
    Expect(count >= trial.points_acknowledged && count <= trial.points_sent,
           absl::StrCat(name, ": has ", count, " points, answered ", trial.points_acknowledged,
                        ", sent ", trial.points_sent));
    for (int i = 0; i < series.steps_size(); ++i) {
      Expect(series.steps(i) == i && series.values(i) == static_cast<double>(i) / 2,
             absl::StrCat(name, ": point ", i, " is wrong"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckLines(const std::string& name, const SentTrial& trial) {
    grpc::ClientContext context;
    v1::ListLogLinesRequest request;
    request.set_trial(name);
    v1::ListLogLinesResponse response;
    CVT_RETURN_IF_ERROR(FromGrpcStatus(logs_->ListLogLines(&context, request, &response)));
    const int64_t count = response.lines_size();
    Expect(count >= trial.lines_acknowledged && count <= trial.lines_sent,
           absl::StrCat(name, ": has ", count, " lines, answered ", trial.lines_acknowledged,
                        ", sent ", trial.lines_sent));
    for (int i = 0; i < response.lines_size(); ++i) {
      Expect(response.lines(i).text() == absl::StrCat("line ", i),
             absl::StrCat(name, ": line ", i, " is wrong"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckCheckpoint(const std::string& uuid, const std::string& digest) {
    grpc::ClientContext context;
    v1::DownloadCheckpointRequest request;
    request.set_name(absl::StrCat("checkpoints/", uuid));
    const auto reader = checkpoints_->DownloadCheckpoint(&context, request);
    v1::DownloadCheckpointResponse response;
    Sha256 sha;
    while (reader->Read(&response)) {
      sha.Update(response.chunk());
    }
    const absl::Status status = FromGrpcStatus(reader->Finish());
    Expect(status.ok(), absl::StrCat("checkpoint ", uuid, ": ", status.ToString()));
    Expect(!status.ok() || ToHex(sha.Finish()) == digest,
           absl::StrCat("checkpoint ", uuid, " has other bytes"));
    return absl::OkStatus();
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
