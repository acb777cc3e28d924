// The names that people type, as resource names (client/call/verb.h).
#include <string>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/call/pages.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

absl::Status Expected(const std::string& text, const char* what) {
  return InvalidArgument(Reason::kUsage, absl::StrCat(text, ": expected ", what));
}

}  // namespace

absl::StatusOr<std::string> ExperimentNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kExperiment));
  if (const auto* experiment = std::get_if<ExperimentName>(&name)) return experiment->ToString();
  return Expected(text, "an experiment, such as exp/12");
}

absl::StatusOr<std::string> TrialNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kTrial));
  if (const auto* trial = std::get_if<TrialName>(&name)) return trial->ToString();
  if (const auto* attempt = std::get_if<AttemptName>(&name)) return attempt->trial().ToString();
  return Expected(text, "a trial, such as trial/12.3");
}

absl::StatusOr<std::string> WorkerNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kWorker));
  if (const auto* worker = std::get_if<WorkerName>(&name)) return worker->ToString();
  return Expected(text, "a worker, such as worker/gpu-a");
}

absl::StatusOr<std::string> DatasetVersionNameOf(const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kDataset));
  if (const auto* dataset = std::get_if<DatasetName>(&name))
    return absl::StrCat(dataset->ToString(), "/versions/0");  // the newest
  if (const auto* version = std::get_if<DatasetVersionName>(&name)) return version->ToString();
  return Expected(text, "a data set, such as dataset/trashnet or dataset/trashnet@2");
}

absl::StatusOr<std::string> CheckpointNameOf(Connection& connection, const std::string& text) {
  CVT_ASSIGN_OR_RETURN(const AnyName name, ParseShort(text, NameKind::kCheckpoint));
  if (const auto* whole = std::get_if<CheckpointName>(&name)) return whole->ToString();
  const auto* prefix = std::get_if<CheckpointPrefix>(&name);
  if (prefix == nullptr) return Expected(text, "a checkpoint, such as ckpt/9f3c");
  std::vector<std::string> found;
  for (const char* parent : {"experiments/-", "imported"}) {
    v1::ListCheckpointsRequest request;
    request.set_parent(parent);
    CVT_RETURN_IF_ERROR(ForEachPage(
        connection, &Connection::ListCheckpoints, request,
        [&](const v1::ListCheckpointsResponse& response) {
          for (const v1::Checkpoint& one : response.checkpoints()) {
            if (absl::StartsWith(absl::StripPrefix(one.name(), "checkpoints/"), prefix->hex))
              found.push_back(one.name());
          }
          return true;
        }));
  }
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return NotFound(Reason::kCheckpointNotFound, absl::StrCat("ckpt/", prefix->hex,
                                                              ": no such checkpoint; "
                                                              "`cvctl ckpt ls` lists them"));
  }
  return InvalidArgument(Reason::kUsage, absl::StrCat("ckpt/", prefix->hex, ": ", found.size(),
                                                      " checkpoints begin so; give more digits"));
}

}  // namespace cvtrain::client
