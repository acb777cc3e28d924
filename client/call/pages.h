#ifndef CVTRAIN_CLIENT_CALL_PAGES_H_
#define CVTRAIN_CLIENT_CALL_PAGES_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/call/connection.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::client {

// Calls `list`, a List method of Connection, page by page, and `visit` with each
// answer, until that returns false or there are no more. Pages are as large as they
// may be unless `request` says otherwise. Errors are those of the calls.
template <typename Request, typename Response, typename Visit>
absl::Status ForEachPage(Connection& connection,
                         absl::StatusOr<Response> (Connection::*list)(const Request&),
                         Request request, const Visit& visit) {
  if (request.page_size() == 0) request.set_page_size(limits::kPageSizeMax);
  do {
    CVT_ASSIGN_OR_RETURN(Response response, (connection.*list)(request));
    request.set_page_token(response.next_page_token());
    if (!visit(std::move(response))) break;
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_CALL_PAGES_H_
