#include "common/uuid.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain {
namespace {

constexpr size_t kTextSize = 36;

bool HasHyphenAt(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

Uuid Uuid::Random(cvtrain::Random& random) {
  std::array<uint8_t, 16> bytes;
  for (size_t half = 0; half < 2; ++half) {
    const uint64_t value = random.NextU64();
    for (size_t i = 0; i < 8; ++i) bytes[8 * half + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);  // variant of RFC 4122
  return Uuid(bytes);
}

absl::StatusOr<Uuid> Uuid::Parse(absl::string_view text) {
  const auto refuse = [&] {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("must be a UUID such as 9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11, got '",
                     SafeText(text, 64), "'"));
  };
  if (text.size() != kTextSize) return refuse();
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (HasHyphenAt(i) != (text[i] == '-')) return refuse();
    if (text[i] != '-') digits.push_back(text[i]);
  }
  const absl::StatusOr<std::string> bytes = HexDecode(digits);
  if (!bytes.ok()) return refuse();
  Uuid uuid;
  for (size_t i = 0; i < 16; ++i) uuid.bytes_[i] = static_cast<uint8_t>((*bytes)[i]);
  return uuid;
}

std::string Uuid::ToString() const {
  const std::string hex =
      HexEncode(absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
  const absl::string_view digits = hex;
  return absl::StrCat(digits.substr(0, 8), "-", digits.substr(8, 4), "-", digits.substr(12, 4), "-",
                      digits.substr(16, 4), "-", digits.substr(20));
}

}  // namespace cvtrain
