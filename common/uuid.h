#ifndef CVTRAIN_COMMON_UUID_H_
#define CVTRAIN_COMMON_UUID_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/random.h"

namespace cvtrain {

// A UUID of RFC 4122; the default is all zero, "nil". A value type.
class Uuid {
 public:
  Uuid() = default;
  explicit Uuid(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}

  // Version 4: 122 random bits.
  static Uuid Random(cvtrain::Random& random);

  // Reads the form "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11", upper or lower case, any version.
  // Returns INVALID_ARGUMENT (FIELD_INVALID) for anything else.
  static absl::StatusOr<Uuid> Parse(absl::string_view text);

  // Lower case, with hyphens.
  std::string ToString() const;
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  bool is_nil() const { return *this == Uuid(); }

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Uuid& uuid) {
    return H::combine(std::move(h), uuid.bytes_);
  }

 private:
  std::array<uint8_t, 16> bytes_ = {};
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_UUID_H_
