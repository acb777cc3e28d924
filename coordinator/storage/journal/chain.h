#ifndef CVTRAIN_COORDINATOR_STORAGE_JOURNAL_CHAIN_H_
#define CVTRAIN_COORDINATOR_STORAGE_JOURNAL_CHAIN_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "coordinator/storage/head_file.h"

// The chain of hashes: each record's hash covers its bytes, its revision and the hash before it, so
// a record that was changed, left out, swapped or taken from another cluster breaks the chain. Both
// are the first 16 bytes of a SHA-256; docs/formats/journal.md has the input.
namespace cvtrain::coordinator {

// The hash before the first record.
ChainHash ChainStart(absl::string_view cluster_id);
ChainHash ChainNext(const ChainHash& previous, int64_t revision, absl::string_view bytes);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_JOURNAL_CHAIN_H_
