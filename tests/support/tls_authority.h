#ifndef CVTRAIN_TESTS_SUPPORT_TLS_AUTHORITY_H_
#define CVTRAIN_TESTS_SUPPORT_TLS_AUTHORITY_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/tls_files.h"

namespace cvtrain::testing {

// A certificate authority of one test, with keys on the curve P-256. Files go into
// `directory`, which must outlive their use. Ends the program if OpenSSL fails, as
// fixtures do. Thread-compatible.
class TlsAuthority {
 public:
  explicit TlsAuthority(const std::string& directory);
  ~TlsAuthority();

  struct Subject {
    // Name in the certificate, as a URI; "" for none.
    std::string uri;
    // Counted from now; a negative one makes a certificate that has expired.
    absl::Duration valid_for = absl::Hours(1);
  };

  // A certificate for either side of a connection, good for 127.0.0.1 and localhost.
  // The file of the authority is `ca` in all of them.
  TlsFiles Issue(const Subject& subject);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_TLS_AUTHORITY_H_
