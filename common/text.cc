#include "common/text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/errors.h"

namespace cvtrain {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t size = 0;  // bytes; 0 if they are not valid UTF-8
};

// Decodes the first character; refuses overlong forms, surrogates and what is
// above U+10FFFF.
CodePoint Decode(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t size = 0;
  uint32_t value = 0;
  uint32_t smallest = 0;
  if ((first & 0xe0) == 0xc0) {
    size = 2, value = first & 0x1f, smallest = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    size = 3, value = first & 0x0f, smallest = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    size = 4, value = first & 0x07, smallest = 0x10000;
  } else {
    return {};
  }
  if (text.size() < size) return {};
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  if (value < smallest || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, size};
}

// Moves the cursor, reverses text or breaks lines on somebody's terminal.
bool IsUnsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

bool IsCombining(uint32_t c) {
  return (c >= 0x0300 && c <= 0x036f) || (c >= 0x1ab0 && c <= 0x1aff) ||
         (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f);
}

// Edit distance with swaps of neighbours (optimal string alignment).
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string EscapeText(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = Decode(text);
    if (c.size == 0) {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<uint8_t>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (c.value == '\n') {
      escaped += "\\n";
    } else if (c.value == '\t') {
      escaped += "\\t";
    } else if (c.value == '\r') {
      escaped += "\\r";
    } else if (c.value == '\\') {
      escaped += "\\\\";
    } else if (IsUnsafe(c.value)) {
      if (c.value < 0x100) {
        absl::StrAppendFormat(&escaped, "\\x%02x", c.value);
      } else {
        absl::StrAppendFormat(&escaped, "\\u%04x", c.value);
      }
    } else {
      absl::StrAppend(&escaped, text.substr(0, c.size));
    }
    text.remove_prefix(c.size);
  }
  return escaped;
}

std::string TruncateText(absl::string_view text, size_t bytes_max) {
  constexpr absl::string_view kMark = "...";
  if (text.size() <= bytes_max) return std::string(text);
  if (bytes_max < kMark.size()) return std::string(kMark.substr(0, bytes_max));
  size_t keep = bytes_max - kMark.size();
  // Step back over continuation bytes, to the start of a character.
  while (keep > 0 && (static_cast<uint8_t>(text[keep]) & 0xc0) == 0x80) --keep;
  return absl::StrCat(text.substr(0, keep), kMark);
}

std::string SafeText(absl::string_view text, size_t bytes_max) {
  // No character gets shorter by escaping, so what lies behind the bound is never
  // shown; four bytes more so that a cut character does not look invalid.
  return TruncateText(EscapeText(text.substr(0, bytes_max + 4)), bytes_max);
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const CodePoint c = Decode(text);
    if (c.size == 0) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

bool IsPlainText(absl::string_view text, size_t characters_max) {
  size_t characters = 0;
  while (!text.empty()) {
    const CodePoint c = Decode(text);
    if (c.size == 0 || IsUnsafe(c.value) || ++characters > characters_max) return false;
    text.remove_prefix(c.size);
  }
  return characters > 0;
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const CodePoint c = Decode(text);
    if (!IsCombining(c.value)) ++width;
    text.remove_prefix(std::max<size_t>(c.size, 1));
  }
  return width;
}

std::vector<std::string> NearestNames(absl::string_view name,
                                      absl::Span<const std::string> candidates, size_t count_max) {
  constexpr size_t kNameSizeMax = 256;  // the distance takes quadratic time
  if (name.empty() || name.size() > kNameSizeMax) return {};
  const std::string wanted = absl::AsciiStrToLower(name);
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kNameSizeMax) continue;
    const std::string lower = absl::AsciiStrToLower(candidate);
    const size_t distance = EditDistance(wanted, lower);
    const size_t allowed = std::max<size_t>(1, std::max(wanted.size(), lower.size()) / 3);
    const bool prefix =
        wanted.size() >= 2 &&
        (absl::StartsWith(lower, wanted) || (lower.size() >= 2 && absl::StartsWith(wanted, lower)));
    if (distance <= allowed || prefix) near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> names;
  for (auto& [distance, candidate] : near) {
    if (names.size() == count_max) break;
    if (names.empty() || names.back() != candidate) names.push_back(std::move(candidate));
  }
  return names;
}

std::string DidYouMean(absl::Span<const std::string> nearest) {
  if (nearest.empty()) return "";
  std::string text = " (did you mean ";
  for (size_t i = 0; i < nearest.size(); ++i) {
    const bool last = i + 1 == nearest.size();
    absl::StrAppend(&text, i == 0 ? "" : (last ? " or " : ", "), SafeText(nearest[i], 64));
  }
  return text + "?)";
}

std::string HexEncode(absl::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    hex.push_back(kDigits[static_cast<uint8_t>(c) & 0x0f]);
  }
  return hex;
}

absl::StatusOr<std::string> HexDecode(absl::string_view hex) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const auto refuse = [&] {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("must be pairs of hexadecimal digits, got '", SafeText(hex, 64), "'"));
  };
  if (hex.size() % 2 != 0) return refuse();
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]);
    const int low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return refuse();
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

}  // namespace cvtrain
