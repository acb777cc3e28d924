#include "plan/rules/number_text.h"

#include <charconv>
#include <cmath>

#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::plan {
namespace {

constexpr double kPlainMin = 1e-4;
constexpr double kPlainMax = 1e15;

}  // namespace

std::string FormatNumber(double value) {
  const std::string shortest = FormatDouble(value);
  const double size = std::abs(value);
  if (shortest.find('e') == std::string::npos || size < kPlainMin || size >= kPlainMax) {
    return shortest;
  }
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  CVT_CHECK(error == std::errc()) << shortest;
  return std::string(buffer, end);
}

}  // namespace cvtrain::plan
