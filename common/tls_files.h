#ifndef CVTRAIN_COMMON_TLS_FILES_H_
#define CVTRAIN_COMMON_TLS_FILES_H_

#include <string>

namespace cvtrain {

// PEM files of one side of a mutual TLS connection. All or none are set.
struct TlsFiles {
  std::string ca;    // who the other side's certificate must be signed by
  std::string cert;  // ours, with its chain
  std::string key;   // ours; mode 0600

  bool empty() const { return ca.empty() && cert.empty() && key.empty(); }
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_TLS_FILES_H_
