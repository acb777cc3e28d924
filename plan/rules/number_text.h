#ifndef CVTRAIN_PLAN_RULES_NUMBER_TEXT_H_
#define CVTRAIN_PLAN_RULES_NUMBER_TEXT_H_

#include <string>

namespace cvtrain::plan {

// The shortest decimal text of a number that reads back as it, without an
// exponent where people would not write one: 100000, not 1e+05.
std::string FormatNumber(double value);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RULES_NUMBER_TEXT_H_
