// cvctl describe ID
#include <functional>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

struct Describer {
  const Cli& cli;
  Connection& connection;
  OutputFormat format;

  template <typename Message>
  ExitCode Show(const Message& message, const std::function<std::string()>& page) const {
    if (format == OutputFormat::kJson || format == OutputFormat::kYaml) {
      PrintMessage(cli, format, message);
    } else {
      cli.out << page();
    }
    return ExitCode::kDone;
  }

  absl::Time now() const { return cli.clock.WallNow(); }
};

absl::StatusOr<ExitCode> DescribeExperiment(const Describer& describe, const std::string& name) {
  v1::GetExperimentRequest request;
  request.set_name(name);
  CVT_ASSIGN_OR_RETURN(const auto response, describe.connection.GetExperiment(request));
  CVT_ASSIGN_OR_RETURN(const auto trials, describe.connection.AllTrials(name));
  return describe.Show(response.experiment(), [&] {
    return DescribeText(response.experiment(), trials, YamlText(response.experiment().spec()),
                        describe.now());
  });
}

absl::StatusOr<ExitCode> DescribeTrial(const Describer& describe, const std::string& name) {
  v1::GetTrialRequest request;
  request.set_name(name);
  CVT_ASSIGN_OR_RETURN(const auto response, describe.connection.GetTrial(request));
  return describe.Show(response.trial(), [&] {
    return DescribeText(response.trial(), YamlText(response.trial().recipe()), describe.now());
  });
}

absl::StatusOr<ExitCode> DescribeWorker(const Describer& describe, const std::string& name) {
  v1::GetWorkerRequest request;
  request.set_name(name);
  CVT_ASSIGN_OR_RETURN(const auto response, describe.connection.GetWorker(request));
  return describe.Show(response.worker(),
                       [&] { return DescribeText(response.worker(), describe.now()); });
}

absl::StatusOr<ExitCode> DescribeCheckpoint(const Describer& describe, const std::string& text) {
  v1::GetCheckpointRequest request;
  CVT_ASSIGN_OR_RETURN(*request.mutable_name(), CheckpointNameOf(describe.connection, text));
  CVT_ASSIGN_OR_RETURN(const auto response, describe.connection.GetCheckpoint(request));
  return describe.Show(response.checkpoint(),
                       [&] { return DescribeText(response.checkpoint(), describe.now()); });
}

absl::StatusOr<ExitCode> DescribeDataset(const Describer& describe,
                                         const DatasetVersionName& name) {
  v1::GetDatasetVersionRequest request;
  request.set_name(absl::StrCat(name.dataset().ToString(), "/versions/", name.number()));
  CVT_ASSIGN_OR_RETURN(const auto response, describe.connection.GetDatasetVersion(request));
  return describe.Show(response.version(),
                       [&] { return DescribeText(response.version(), describe.now()); });
}

}  // namespace

absl::StatusOr<ExitCode> RunDescribe(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl describe ID [flags]",
                "Everything about exp/12, trial/12.3, ckpt/9f3c, worker/NAME or dataset/NAME.");
  options.Declare(flags);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one ID, such as trial/12.3"));
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(positional[0], NameKind::kExperiment));
  CVT_ASSIGN_OR_RETURN(const OutputFormat format, ParseOutputFormat(options.output));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  const Describer describe{cli, *connection, format};

  if (const auto* experiment = std::get_if<ExperimentName>(&name)) {
    return DescribeExperiment(describe, experiment->ToString());
  }
  if (const auto* trial = std::get_if<TrialName>(&name))
    return DescribeTrial(describe, trial->ToString());
  if (const auto* attempt = std::get_if<AttemptName>(&name)) {
    return DescribeTrial(describe, attempt->trial().ToString());
  }
  if (const auto* worker = std::get_if<WorkerName>(&name))
    return DescribeWorker(describe, worker->ToString());
  if (const auto* dataset = std::get_if<DatasetName>(&name)) {
    return DescribeDataset(describe, DatasetVersionName(*dataset, 0));
  }
  if (const auto* version = std::get_if<DatasetVersionName>(&name))
    return DescribeDataset(describe, *version);
  return DescribeCheckpoint(describe, positional[0]);
}

}  // namespace cvtrain::client
