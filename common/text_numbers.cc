// Numbers, sizes and times as text for people, and back.
#include <charconv>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain {
namespace {

// Three significant digits without an exponent: "1.5", "12.3", "999".
std::string ThreeDigits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::string text = absl::StrFormat("%.*f", decimals, value);
  if (decimals > 0) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

// Splits "1.5 MiB" into a number and a unit without spaces around them.
bool SplitNumber(absl::string_view text, absl::string_view& number, absl::string_view& unit) {
  text = absl::StripAsciiWhitespace(text);
  size_t end = 0;
  while (end < text.size() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.')) {
    ++end;
  }
  number = text.substr(0, end);
  unit = absl::StripAsciiWhitespace(text.substr(end));
  return end > 0;
}

}  // namespace

std::string FormatBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrCat(ThreeDigits(value), " ", kUnits[unit]);
}

std::string FormatElapsed(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return "forever";
  if (duration < absl::ZeroDuration()) return absl::StrCat("-", FormatElapsed(-duration));
  if (duration < absl::Milliseconds(1)) {
    return absl::StrCat(ThreeDigits(absl::ToDoubleMicroseconds(duration)), "us");
  }
  if (duration < absl::Milliseconds(999.5)) {
    return absl::StrCat(ThreeDigits(absl::ToDoubleMilliseconds(duration)), "ms");
  }
  if (duration < absl::Seconds(9.95)) {
    std::string text = absl::StrFormat("%.1f", absl::ToDoubleSeconds(duration));
    return absl::StrCat(absl::StripSuffix(text, ".0"), "s");
  }
  const int64_t seconds = absl::ToInt64Seconds(duration + absl::Milliseconds(500));
  const int64_t minutes = seconds / 60;
  const int64_t hours = minutes / 60;
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (hours == 0) return absl::StrFormat("%dm%02ds", minutes, seconds % 60);
  if (hours < 48) return absl::StrFormat("%dh%02dm", hours, minutes % 60);
  return absl::StrFormat("%dd%02dh", hours / 24, hours % 24);
}

std::string FormatCount(double count) {
  if (!std::isfinite(count)) return FormatDouble(count);
  if (count < 0) return absl::StrCat("-", FormatCount(-count));
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  double value = count;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  if (value < 999.5) return absl::StrCat(ThreeDigits(value), kUnits[unit]);
  return absl::StrFormat("%.3g", count);
}

std::string FormatDouble(double value) {
  if (std::isnan(value)) return "nan";
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string FormatTimestamp(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  struct Unit {
    absl::string_view name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"", 1},         {"B", 1},       {"KB", 1e3},     {"MB", 1e6},
                             {"GB", 1e9},     {"TB", 1e12},   {"KIB", 0x1p10}, {"MIB", 0x1p20},
                             {"GIB", 0x1p30}, {"TIB", 0x1p40}};
  absl::string_view number;
  absl::string_view unit;
  const bool split = SplitNumber(text, number, unit);
  const std::string upper = absl::AsciiStrToUpper(unit);
  for (const Unit& known : kUnits) {
    if (!split || upper != known.name) continue;
    uint64_t whole = 0;
    if (known.bytes == 1 && absl::SimpleAtoi(number, &whole)) return whole;
    double value = 0;
    if (known.bytes == 1 || !absl::SimpleAtod(number, &value)) break;
    value *= known.bytes;
    if (value >= 0x1p64) break;
    return static_cast<uint64_t>(std::llround(std::min(value, 0x1p62))) +
           (value > 0x1p62 ? static_cast<uint64_t>(value - 0x1p62) : 0);
  }
  return InvalidArgument(
      Reason::kFieldInvalid,
      absl::StrCat("must be a size such as 4096, 64KiB or 1.5GiB, got '", SafeText(text, 64), "'"));
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  const auto refuse = [&] {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("must be a duration such as 250ms, 90s, 1h30m or 2d, got '",
                                        SafeText(text, 64), "'"));
  };
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  const bool negative = absl::ConsumePrefix(&rest, "-");
  if (rest.empty()) return refuse();
  if (rest == "0") return absl::ZeroDuration();
  struct Unit {
    absl::string_view name;
    absl::Duration length;
  };
  // "ms" before "m": the first that fits is taken.
  const Unit units[] = {{"ns", absl::Nanoseconds(1)},  {"us", absl::Microseconds(1)},
                        {"ms", absl::Milliseconds(1)}, {"s", absl::Seconds(1)},
                        {"m", absl::Minutes(1)},       {"h", absl::Hours(1)},
                        {"d", absl::Hours(24)}};
  absl::Duration total;
  while (!rest.empty()) {
    absl::string_view number;
    absl::string_view unit;
    double value = 0;
    if (!SplitNumber(rest, number, unit) || !absl::SimpleAtod(number, &value)) return refuse();
    bool known = false;
    for (const Unit& candidate : units) {
      if (!absl::ConsumePrefix(&unit, candidate.name)) continue;
      total += value * candidate.length;
      rest = unit;
      known = true;
      break;
    }
    if (!known) return refuse();
  }
  if (total >= absl::Hours(24 * 365 * 100)) return refuse();
  return negative ? -total : total;
}

}  // namespace cvtrain
