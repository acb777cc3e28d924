#include "coordinator/engine/command.h"

#include "common/sha256.h"
#include "coordinator/state/canonical_bytes.h"

namespace cvtrain::coordinator {

std::string Fingerprint(absl::string_view method, const Caller& caller,
                        const google::protobuf::Message& request) {
  // Method and identity hold no NUL, so the parts cannot run into each other.
  const absl::string_view separator("\0", 1);
  Sha256 hash;
  hash.Update(method);
  hash.Update(separator);
  hash.Update(caller.identity);
  hash.Update(separator);
  hash.Update(CanonicalBytes(request));
  const Sha256Digest digest = hash.Finish();
  return std::string(digest.begin(), digest.end());
}

}  // namespace cvtrain::coordinator
