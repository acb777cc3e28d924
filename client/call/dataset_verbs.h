#ifndef CVTRAIN_CLIENT_CALL_DATASET_VERBS_H_
#define CVTRAIN_CLIENT_CALL_DATASET_VERBS_H_

#include "absl/status/statusor.h"
#include "client/call/verb.h"

// Words of `cvctl dataset` that have a file of their own.
namespace cvtrain::client {

absl::StatusOr<ExitCode> CreateDataset(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> PreviewDataset(const Cli& cli, const Arguments& arguments);
absl::StatusOr<ExitCode> VerifyDataset(const Cli& cli, const Arguments& arguments);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_DATASET_VERBS_H_
