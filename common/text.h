#ifndef CVTRAIN_COMMON_TEXT_H_
#define CVTRAIN_COMMON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace cvtrain {

// Text from outside as it may be shown on a terminal or in a log line: control
// characters (C0, DEL, C1), line and paragraph separators, bidirectional
// overrides and invalid UTF-8 become \n, \t, \x1b, \u202e; backslashes become \\.
// Other UTF-8 is kept.
std::string EscapeText(absl::string_view text);

// At most `bytes_max` bytes, cut at a character and ended by "..." if something
// was cut off. Escape first, then truncate.
std::string TruncateText(absl::string_view text, size_t bytes_max);

// EscapeText, then TruncateText.
std::string SafeText(absl::string_view text, size_t bytes_max = 256);

bool IsValidUtf8(absl::string_view text);

// Whether it is 1 to `characters_max` characters of valid UTF-8, none of them one that EscapeText()
// makes harmless: it may stand in a line as it is.
bool IsPlainText(absl::string_view text, size_t characters_max);

// Number of columns that valid UTF-8 text takes on a terminal, counting each
// code point as one and combining marks as none.
size_t DisplayWidth(absl::string_view text);

// Up to `count_max` of `candidates` that somebody who wrote `name` may have
// meant, nearest first: by edit distance (with swaps, ignoring case) of at most
// a third of the length, or as a common prefix.
std::vector<std::string> NearestNames(absl::string_view name,
                                      absl::Span<const std::string> candidates,
                                      size_t count_max = 3);

// "resnet, resnext" -> " (did you mean resnet or resnext?)"; "" if there are none.
std::string DidYouMean(absl::Span<const std::string> nearest);

// "512 B", "1.5 KiB", "16 GiB": at most three digits.
std::string FormatBytes(uint64_t bytes);
// "250ms", "12s", "3m05s", "2h07m", "5d03h": two units, for people.
std::string FormatElapsed(absl::Duration duration);
// "0", "999", "12.3k", "4.56M", "1.2e18" for very large ones: at most three digits.
std::string FormatCount(double count);
// The shortest text that reads back as the same number; "nan", "inf", "-inf".
std::string FormatDouble(double value);
// RFC 3339 in UTC with milliseconds: "2024-05-01T12:34:56.789Z".
std::string FormatTimestamp(absl::Time time);

// Reads "4096", "64 KiB", "16GiB", "1.5 MB" (KB, MB, GB, TB are powers of ten).
// Returns INVALID_ARGUMENT (FIELD_INVALID) for anything else and for overflow.
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text);
// Reads "90s", "1h30m", "250ms", "2d"; a bare number but 0 is refused: no unit.
// Returns INVALID_ARGUMENT (FIELD_INVALID).
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// Lower-case hexadecimal, and back (either case; INVALID_ARGUMENT (FIELD_INVALID)).
std::string HexEncode(absl::string_view bytes);
absl::StatusOr<std::string> HexDecode(absl::string_view hex);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_TEXT_H_
