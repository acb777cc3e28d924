#include "client/simulate/told.h"

#include <cmath>

#include "common/random.h"

namespace cvtrain::client {

absl::string_view ToldName(Told told) {
  switch (told) {
    case Told::kOracle:
      return "oracle";
    case Told::kDeclared:
      return "declared";
    case Told::kMeasured:
      return "measured";
    case Told::kWrong:
      return "wrong";
  }
  return "";
}

double ToldFactor(const ToldOptions& options, size_t index) {
  if (options.told != Told::kWrong) return 1;
  KeyedStream stream("simulate-told/v1", {options.seed, index});
  return std::exp(options.sigma * stream.Normal());
}

}  // namespace cvtrain::client
