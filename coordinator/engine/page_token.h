#ifndef CVTRAIN_COORDINATOR_ENGINE_PAGE_TOKEN_H_
#define CVTRAIN_COORDINATOR_ENGINE_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::coordinator {

// Makes and checks page tokens. A token says where a list goes on; it is opaque, holds no
// authority, and carries a MAC over the query that it belongs to.
//
// Immutable; thread-safe.
class PageTokens {
 public:
  // `key`: bytes that callers do not know; tokens of another key are refused.
  explicit PageTokens(std::string key) : key_(std::move(key)) {}

  // `query` tells lists apart: method, caller and all fields but page_size and page_token.
  // `position` is the last item of the page. Made of letters, digits, '-' and '_'.
  std::string Seal(absl::string_view query, absl::string_view position) const;

  // The position. Returns INVALID_ARGUMENT (BAD_PAGE_TOKEN) if `token` was not made by Seal() for
  // this query.
  absl::StatusOr<std::string> Open(absl::string_view query, absl::string_view token) const;

 private:
  std::string Mac(absl::string_view query, absl::string_view position) const;

  const std::string key_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_PAGE_TOKEN_H_
