#ifndef CVTRAIN_CLIENT_CALL_CKPT_VERBS_H_
#define CVTRAIN_CLIENT_CALL_CKPT_VERBS_H_

#include "absl/status/statusor.h"
#include "client/call/verb.h"

// Words of `cvctl ckpt` that have a file of their own.
namespace cvtrain::client {

absl::StatusOr<ExitCode> ImportCkpt(const Cli& cli, const Arguments& arguments);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_CKPT_VERBS_H_
