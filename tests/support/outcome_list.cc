#include "tests/support/outcome_list.h"

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::testing {

std::string OutcomeOf(const absl::Status& status) {
  CVT_CHECK(!status.ok());
  const std::string limit = LimitNameOf(status);
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", ReasonNameOf(status),
                      limit.empty() ? "" : " ", limit);
}

void AddOutcome(absl::string_view name, absl::string_view outcome, OutcomeList* list) {
  CVT_CHECK(!name.empty() && !absl::StrContains(name, ' ')) << name;
  CVT_CHECK(list->emplace(name, outcome).second) << name << " comes twice";
}

OutcomeList ReadOutcomes(const std::string& path) {
  OutcomeList list;
  std::ifstream file(path);
  for (std::string name, outcome; file >> name && std::getline(file, outcome);) {
    AddOutcome(name, absl::string_view(outcome).substr(1), &list);
  }
  return list;
}

void WriteOutcomes(const OutcomeList& list, const std::string& path) {
  std::ofstream file(path);
  for (const auto& [name, outcome] : list) file << name << " " << outcome << "\n";
  CVT_CHECK(file.flush().good()) << path;
}

std::string CompareOutcomes(const OutcomeList& now, const OutcomeList& then) {
  std::string differences;
  for (const auto& [name, outcome] : now) {
    const auto found = then.find(name);
    if (found == then.end()) {
      absl::StrAppend(&differences, name, " is not listed; it is: ", outcome, "\n");
    } else if (found->second != outcome) {
      absl::StrAppend(&differences, name, " is: ", outcome, "; listed: ", found->second, "\n");
    }
  }
  for (const auto& [name, outcome] : then) {
    if (now.count(name) == 0) absl::StrAppend(&differences, name, " is listed, and gone\n");
  }
  return differences;
}

}  // namespace cvtrain::testing
