#ifndef CVTRAIN_PLAN_RULES_RULES_H_
#define CVTRAIN_PLAN_RULES_RULES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/errors.h"

namespace cvtrain::plan {

// An interval of numbers, written as people read it: [0, 1).
struct Interval {
  double low = 0;
  double high = 0;
  bool low_is_open = false;
  bool high_is_open = false;

  bool Contains(double value) const {
    return (low_is_open ? value > low : value >= low) &&
           (high_is_open ? value < high : value <= high);
  }
  std::string ToString() const;
};

inline Interval Closed(double low, double high) { return {low, high, false, false}; }
inline Interval Above(double low, double high) { return {low, high, true, false}; }
inline Interval Below(double low, double high) { return {low, high, false, true}; }

// Collects violations. Thread-compatible.
class Rules {
 public:
  void Add(std::string field, std::string rule, std::string value = {});

  // Adds a violation unless `value` is inside. Numbers that are not finite are
  // CheckText()'s business, so that each is reported once.
  void InRange(absl::string_view field, double value, const Interval& interval);

  // Adds a violation unless `value` is one of `allowed`, which are two or more.
  void OneOf(absl::string_view field, int64_t value, absl::Span<const int64_t> allowed);

  // The same as InRange() for a field that must be given: 0 or unset means that it is not.
  void Required(absl::string_view field, bool is_given, double value, const Interval& interval);

  // Adds a violation unless `name` is a label (ValidateLabelName()).
  void Label(absl::string_view field, const std::string& name);
  void OptionalLabel(absl::string_view field, const std::string& name);

  const std::vector<FieldViolation>& violations() const { return violations_; }

 private:
  std::vector<FieldViolation> violations_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RULES_RULES_H_
