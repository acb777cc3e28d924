#ifndef CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_OPERATION_NAMES_H_
#define CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_OPERATION_NAMES_H_

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "plan/augment/operation.h"

namespace cvtrain::plan::testing {

// How golden files spell the operations, in the order of PictureOperation.
inline constexpr std::array<absl::string_view, kPictureOperations> kOperationNames = {
    "identity",      "shear_x",  "shear_y",  "translate_x", "translate_y", "rotate",
    "brightness",    "color",    "contrast", "sharpness",   "posterize",   "solarize",
    "auto_contrast", "equalize", "invert",   "hue"};

inline PictureOperation OperationOf(absl::string_view name) {
  const auto* found = std::find(kOperationNames.begin(), kOperationNames.end(), name);
  CVT_CHECK(found != kOperationNames.end()) << name;
  return static_cast<PictureOperation>(found - kOperationNames.begin());
}

// The lines of a golden file of make_goldens.py that begin with `kind`, as words without it.
inline std::vector<std::vector<std::string>> GoldenLines(absl::string_view file,
                                                         absl::string_view kind) {
  std::ifstream input("tests/unit/formats/picture/golden/" + std::string(file));
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(input, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word != kind) continue;
    std::vector<std::string>& fields = lines.emplace_back();
    while (words >> word) fields.push_back(word);
  }
  CVT_CHECK(!lines.empty()) << file << ": no line " << kind;
  return lines;
}

}  // namespace cvtrain::plan::testing

#endif  // CVTRAIN_TESTS_UNIT_PLAN_AUGMENT_OPERATION_NAMES_H_
