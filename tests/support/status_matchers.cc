#include "tests/support/status_matchers.h"

#include "absl/strings/str_cat.h"

namespace cvtrain::testing::internal {

std::string Describe(const absl::Status& status) {
  const std::string reason = ReasonNameOf(status);
  return absl::StrCat(absl::StatusCodeToString(status.code()), reason.empty() ? "" : " ", reason,
                      ": ", status.message());
}

}  // namespace cvtrain::testing::internal
