#ifndef CVTRAIN_COORDINATOR_ENGINE_PAGE_H_
#define CVTRAIN_COORDINATOR_ENGINE_PAGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/state/canonical_bytes.h"

namespace cvtrain::coordinator {

// What recipe.proto's sister files promise for page_size.
constexpr int kPageSizeDefault = 50;
// A page ends early at this size, so that it fits one message.
constexpr size_t kPageBytesMax = limits::kMessageSizeBytesMax * 3 / 4;

// One page of a list: where it begins, how long it may get, and the token of the next.
// Thread-compatible; the tokens must outlive it.
class Page {
 public:
  template <typename Request>
  static absl::StatusOr<Page> Open(const PageTokens& tokens, absl::string_view caller,
                                   Request request) {
    if (request.page_size() < 0) {
      return InvalidArgument(Reason::kFieldInvalid, "page_size: must not be negative");
    }
    Page page(tokens);
    page.left_ = request.page_size() == 0 ? kPageSizeDefault
                                          : std::min(request.page_size(), limits::kPageSizeMax);
    const std::string token = request.page_token();
    request.clear_page_size();
    request.clear_page_token();
    page.query_ = absl::StrCat(Request::descriptor()->full_name(), absl::string_view("\0", 1),
                               caller, absl::string_view("\0", 1), CanonicalBytes(request));
    if (!token.empty()) {
      CVT_ASSIGN_OR_RETURN(page.after_, tokens.Open(page.query_, token));
    }
    return page;
  }

  // The last item of the page before; "" for the first page.
  const std::string& after() const { return after_; }

  // Numbers of after(), which must have been made of `count`; zeros for the first page.
  std::vector<int64_t> AfterNumbers(size_t count) const {
    std::vector<int64_t> numbers(count, 0);
    const std::vector<absl::string_view> parts = absl::StrSplit(after_, '.');
    for (size_t i = 0; i < std::min(count, parts.size()); ++i) {
      if (!absl::SimpleAtoi(parts[i], &numbers[i])) numbers[i] = 0;
    }
    return numbers;
  }

  // True if one more item of `size_bytes` at `position` belongs to the page. If not, the page is
  // complete, and next_token() leads to that item.
  bool Take(const std::string& position, size_t size_bytes) {
    if (left_ == 0 || (size_bytes_ > 0 && size_bytes_ + size_bytes > kPageBytesMax)) {
      next_token_ = tokens_.Seal(query_, last_);
      return false;
    }
    --left_;
    size_bytes_ += size_bytes;
    last_ = position;
    return true;
  }

  const std::string& next_token() const { return next_token_; }

 private:
  explicit Page(const PageTokens& tokens) : tokens_(tokens) {}

  const PageTokens& tokens_;
  std::string query_;
  std::string after_;
  std::string last_;
  std::string next_token_;
  int left_ = 0;
  size_t size_bytes_ = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_PAGE_H_
