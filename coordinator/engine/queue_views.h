#ifndef CVTRAIN_COORDINATOR_ENGINE_QUEUE_VIEWS_H_
#define CVTRAIN_COORDINATOR_ENGINE_QUEUE_VIEWS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/engine/scheduling.h"
#include "coordinator/engine/view.h"
#include "cvtrain/v1/queue.pb.h"

// The queue as the wire shows it; the protos say what each answer has. Thread-compatible.
namespace cvtrain::coordinator {

// With the memory of the view's scheduler, if it has one.
QueueReport ReportQueue(const View& view, const QueueChange& change = {});

// A page begins at a place in the order: of a queue that changes between two pages an entry may be
// seen twice or not at all.
absl::StatusOr<v1::ListQueueResponse> ListQueue(const View& view, const PageTokens& tokens,
                                                absl::string_view caller,
                                                const v1::ListQueueRequest& request);

absl::StatusOr<v1::ExplainTrialResponse> ExplainTrial(const View& view,
                                                      const v1::ExplainTrialRequest& request);

absl::StatusOr<v1::PredictQueueResponse> PredictQueue(const View& view,
                                                      const v1::PredictQueueRequest& request);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_QUEUE_VIEWS_H_
