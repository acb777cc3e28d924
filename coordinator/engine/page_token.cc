#include "coordinator/engine/page_token.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"

namespace cvtrain::coordinator {
namespace {

constexpr size_t kMacSize = 16;

// HMAC-SHA256 (RFC 2104).
std::string Hmac(absl::string_view key, absl::string_view data) {
  constexpr size_t kBlock = 64;
  std::string block(key);
  if (block.size() > kBlock) {
    const Sha256Digest digest = Sha256Of(block);
    block.assign(digest.begin(), digest.end());
  }
  block.resize(kBlock, '\0');
  std::string inner = block;
  std::string outer = block;
  for (size_t i = 0; i < kBlock; ++i) {
    inner[i] = static_cast<char>(inner[i] ^ 0x36);
    outer[i] = static_cast<char>(outer[i] ^ 0x5c);
  }
  const Sha256Digest inside = Sha256Of(absl::StrCat(inner, data));
  outer.append(inside.begin(), inside.end());
  const Sha256Digest digest = Sha256Of(outer);
  return std::string(digest.begin(), digest.end());
}

// Takes the same time wherever they differ.
bool ConstantTimeEquals(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace

std::string PageTokens::Mac(absl::string_view query, absl::string_view position) const {
  return Hmac(key_, absl::StrCat("page/v1", absl::string_view("\0", 1), query.size(), ":", query,
                                 position))
      .substr(0, kMacSize);
}

std::string PageTokens::Seal(absl::string_view query, absl::string_view position) const {
  return absl::WebSafeBase64Escape(absl::StrCat(Mac(query, position), position));
}

absl::StatusOr<std::string> PageTokens::Open(absl::string_view query,
                                             absl::string_view token) const {
  std::string bytes;
  if (token.size() > limits::kPageTokenSizeBytesMax ||
      !absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() < kMacSize ||
      !ConstantTimeEquals(Mac(query, absl::string_view(bytes).substr(kMacSize)),
                          absl::string_view(bytes).substr(0, kMacSize))) {
    return InvalidArgument(Reason::kBadPageToken,
                           "page_token: is not one of this list; begin again without one");
  }
  return bytes.substr(kMacSize);
}

}  // namespace cvtrain::coordinator
