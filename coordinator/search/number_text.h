#ifndef CVTRAIN_COORDINATOR_SEARCH_NUMBER_TEXT_H_
#define CVTRAIN_COORDINATOR_SEARCH_NUMBER_TEXT_H_

#include <string>

#include "absl/strings/str_format.h"

namespace cvtrain::coordinator {

// A number as a parameter's value: twelve significant digits, so that 0.1 + 2 * 0.1 is `0.3`.
inline std::string NumberText(double value) { return absl::StrFormat("%.12g", value); }

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SEARCH_NUMBER_TEXT_H_
