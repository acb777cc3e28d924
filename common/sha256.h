#ifndef CVTRAIN_COMMON_SHA256_H_
#define CVTRAIN_COMMON_SHA256_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain {

using Sha256Digest = std::array<uint8_t, 32>;

// SHA-256 of bytes that arrive in pieces. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void Update(absl::string_view data);
  // The digest of all bytes so far; goes on with them.
  Sha256Digest Peek() const;
  // The digest of all bytes so far; starts again from nothing.
  Sha256Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest Sha256Of(absl::string_view data);

// 64 lower-case hexadecimal digits.
std::string ToHex(const Sha256Digest& digest);
std::string Sha256Hex(absl::string_view data);
// Whether `text` is one that ToHex() could have made.
bool IsSha256Hex(absl::string_view text);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_SHA256_H_
