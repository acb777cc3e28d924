#include "coordinator/storage/journal/chain.h"

#include <algorithm>
#include <string>

#include "common/sha256.h"
#include "coordinator/storage/coding.h"

namespace cvtrain::coordinator {
namespace {

ChainHash FirstHalf(const Sha256Digest& digest) {
  ChainHash hash;
  std::copy_n(digest.begin(), hash.size(), hash.begin());
  return hash;
}

}  // namespace

ChainHash ChainStart(absl::string_view cluster_id) {
  Sha256 sha;
  sha.Update("cvtrain journal 1 ");
  sha.Update(cluster_id);
  return FirstHalf(sha.Finish());
}

ChainHash ChainNext(const ChainHash& previous, int64_t revision, absl::string_view bytes) {
  std::string head(reinterpret_cast<const char*>(previous.data()), previous.size());
  AppendBigEndian64(static_cast<uint64_t>(revision), &head);
  Sha256 sha;
  sha.Update(head);
  sha.Update(bytes);
  return FirstHalf(sha.Finish());
}

}  // namespace cvtrain::coordinator
