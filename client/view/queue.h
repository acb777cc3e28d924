#ifndef CVTRAIN_CLIENT_VIEW_QUEUE_H_
#define CVTRAIN_CLIENT_VIEW_QUEUE_H_

#include <string>

#include "absl/time/time.h"
#include "client/view/table.h"
#include "cvtrain/v1/queue.pb.h"
#include "google/protobuf/repeated_ptr_field.h"

// How the queue looks to people. Nothing here calls anybody. Thread-safe.
namespace cvtrain::client {

using QueueEntries = google::protobuf::RepeatedPtrField<v1::QueueEntry>;

// "ORDER", "RESERVATION"; empty for none.
std::string ReasonText(v1::WaitReason reason);

// In scheduling order. `wide` adds what the forecast is made of, and the rule.
Table QueueTable(const QueueEntries& entries, absl::Time now, bool wide);

// The page of `explain`.
std::string ExplainText(const v1::ExplainTrialResponse& response, absl::Time now);

// Both queues side by side, trial by trial, in the order of what would be; then the ends.
std::string PredictionText(const v1::PredictQueueResponse& response, absl::Time now);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_QUEUE_H_
