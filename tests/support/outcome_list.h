#ifndef CVTRAIN_TESTS_SUPPORT_OUTCOME_LIST_H_
#define CVTRAIN_TESTS_SUPPORT_OUTCOME_LIST_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Lists of what becomes of many inputs, a line for each, kept in a file beside their test: a change
// of any outcome is seen in a review.
namespace cvtrain::testing {

// Name -> outcome. A name has no spaces.
using OutcomeList = std::map<std::string, std::string>;

// "INVALID_ARGUMENT DATA_BAD", or "RESOURCE_EXHAUSTED LIMIT_EXCEEDED kImageSideMax" of a limit that
// has a name. `status` is not OK.
std::string OutcomeOf(const absl::Status& status);

// Adds an outcome. Each name may come once: CVT_CHECKed.
void AddOutcome(absl::string_view name, absl::string_view outcome, OutcomeList* list);

// Reads and writes the file `path`, relative to the root of the repository: "NAME OUTCOME", sorted.
// A file that is not there is an empty list.
OutcomeList ReadOutcomes(const std::string& path);
void WriteOutcomes(const OutcomeList& list, const std::string& path);

// What differs between two lists, a line for each difference; "" if nothing does.
std::string CompareOutcomes(const OutcomeList& now, const OutcomeList& then);

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_OUTCOME_LIST_H_
