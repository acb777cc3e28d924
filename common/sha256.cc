#include "common/sha256.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) { CVT_CHECK(evp != nullptr); }
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void Start() { CVT_CHECK(EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1); }

  EVP_MD_CTX* const evp;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { context_->Start(); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(absl::string_view data) {
  CVT_CHECK(EVP_DigestUpdate(context_->evp, data.data(), data.size()) == 1);
}

Sha256Digest Sha256::Peek() const {
  Context copy;
  CVT_CHECK(EVP_MD_CTX_copy_ex(copy.evp, context_->evp) == 1);
  Sha256Digest digest;
  CVT_CHECK(EVP_DigestFinal_ex(copy.evp, digest.data(), nullptr) == 1);
  return digest;
}

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  CVT_CHECK(EVP_DigestFinal_ex(context_->evp, digest.data(), nullptr) == 1);
  context_->Start();
  return digest;
}

Sha256Digest Sha256Of(absl::string_view data) {
  Sha256 sha256;
  sha256.Update(data);
  return sha256.Finish();
}

std::string ToHex(const Sha256Digest& digest) {
  return HexEncode(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::string Sha256Hex(absl::string_view data) { return ToHex(Sha256Of(data)); }

bool IsSha256Hex(absl::string_view text) {
  return text.size() == 2 * sizeof(Sha256Digest) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace cvtrain
