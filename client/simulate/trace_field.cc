#include "client/simulate/trace_field.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain::client {

absl::Status FieldError(const TraceField& field, absl::string_view rule) {
  return InvalidArgument(
      Reason::kDataBad,
      absl::StrCat("line ", field.line, ", ", field.name, ": must be ", rule, ", got ",
                   field.text.empty() ? "nothing" : SafeText(field.text, 64)));
}

absl::StatusOr<int64_t> ReadInteger(const TraceField& field, int64_t min, int64_t max) {
  int64_t value = 0;
  if (absl::SimpleAtoi(field.text, &value) && value >= min && value <= max) return value;
  return FieldError(field, absl::StrCat("a whole number from ", min, " to ", max));
}

absl::StatusOr<double> ReadNumber(const TraceField& field, double min, double max) {
  double value = 0;
  // Written so that a NaN does not pass.
  if (absl::SimpleAtod(field.text, &value) && value >= min && value <= max) return value;
  return FieldError(field, absl::StrCat("a number from ", min, " to ", max));
}

}  // namespace cvtrain::client
