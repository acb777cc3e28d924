#include "plan/rules/rules.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/text.h"
#include "plan/rules/number_text.h"

namespace cvtrain::plan {
namespace {

constexpr size_t kValueShownBytesMax = 64;

}  // namespace

std::string Interval::ToString() const {
  return absl::StrCat(low_is_open ? "(" : "[", FormatNumber(low), ", ", FormatNumber(high),
                      high_is_open ? ")" : "]");
}

void Rules::Add(std::string field, std::string rule, std::string value) {
  violations_.push_back({std::move(field), std::move(rule), std::move(value)});
}

void Rules::InRange(absl::string_view field, double value, const Interval& interval) {
  if (!std::isfinite(value) || interval.Contains(value)) return;
  Add(std::string(field), absl::StrCat("must be in ", interval.ToString()), FormatNumber(value));
}

void Rules::OneOf(absl::string_view field, int64_t value, absl::Span<const int64_t> allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  Add(std::string(field),
      absl::StrCat("must be ", absl::StrJoin(allowed.first(allowed.size() - 1), ", "), " or ",
                   allowed.back()),
      absl::StrCat(value));
}

void Rules::Required(absl::string_view field, bool is_given, double value,
                     const Interval& interval) {
  if (is_given) {
    InRange(field, value, interval);
  } else {
    Add(std::string(field), absl::StrCat("is required: a number in ", interval.ToString()));
  }
}

void Rules::Label(absl::string_view field, const std::string& name) {
  if (name.empty()) {
    Add(std::string(field), "is required");
  } else {
    OptionalLabel(field, name);
  }
}

void Rules::OptionalLabel(absl::string_view field, const std::string& name) {
  if (name.empty() || ValidateLabelName(field, name).ok()) return;
  Add(std::string(field),
      absl::StrCat("must be a name: 1 to ", limits::kLabelSizeBytesMax,
                   " of a-z 0-9 . _ -, with a letter or digit at both ends"),
      absl::StrCat("'", SafeText(name, kValueShownBytesMax), "'"));
}

}  // namespace cvtrain::plan
