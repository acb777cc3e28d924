#ifndef CVTRAIN_WORKER_AGENT_CACHE_SPARSE_SHARD_H_
#define CVTRAIN_WORKER_AGENT_CACHE_SPARSE_SHARD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/file_system.h"
#include "formats/shard/shard_outline.h"

namespace cvtrain::worker {

// Delivers bytes in order; an error of the sink ends it with that error.
using ByteSink = std::function<absl::Status(absl::string_view piece)>;
// Delivers `length` bytes from `offset` on.
using RangeFetch =
    std::function<absl::Status(uint64_t offset, uint64_t length, const ByteSink& sink)>;

// A shard of which parts are here: a file of its full size with holes.
//
// What is here is found by looking: a block counts if it has its CRC. So a hole, what a crash left
// half written, and a flipped bit are all the same: a block that has yet to come. Whoever maps the
// file sees the parts that come later, too.
//
// Knows the file by what its functions are given; keeps only which blocks are in it.
// Thread-compatible.
class SparseShard {
 public:
  // `name` is what errors call it.
  SparseShard(std::string name, uint64_t size_bytes)
      : name_(std::move(name)), size_bytes_(size_bytes) {}

  // Looks through the file. What is wrong with it is not here; errors of the file only.
  absl::Status Recover(const RandomAccessFile& file);

  // Whether it is known where everything lies.
  bool has_outline() const { return outline_.has_value(); }
  // At most so many bytes come with the outline.
  uint64_t outline_bytes_max() const;
  // Fetches what says where everything lies. DATA_LOSS (SHARD_BAD) if that is not what comes.
  absl::Status FetchOutline(ReadWriteFile& file, const RangeFetch& fetch);

  // INVALID_ARGUMENT (FIELD_INVALID) unless each is a section of the shard: a rung by number, or
  // the number of rungs for the sources. Needs the outline, as all that follows.
  absl::Status CheckSections(absl::Span<const int32_t> sections) const;
  // Bytes that Fetch() would bring.
  uint64_t MissingBytes(absl::Span<const int32_t> sections) const;
  // Brings the index and these sections. What came before an error stays.
  //   DATA_LOSS (SHARD_BAD)     a block came with another CRC, or more came than was asked for
  //   UNAVAILABLE (PEER_GONE)   less came
  absl::Status Fetch(ReadWriteFile& file, absl::Span<const int32_t> sections,
                     const RangeFetch& fetch);

  // Bytes of the file that are here.
  uint64_t here_bytes() const { return here_bytes_; }
  bool complete() const { return has_outline() && here_bytes_ == size_bytes_; }

 private:
  // Blocks [begin, end) that come in one piece.
  struct Run {
    int64_t begin = 0;
    int64_t end = 0;
  };
  class BlockWriter;

  std::vector<Run> MissingRuns(absl::Span<const int32_t> sections) const;
  uint64_t BytesOf(const Run& run) const;
  void SetOutline(formats::ShardOutline outline);
  void SetHere(int64_t block);

  const std::string name_;
  const uint64_t size_bytes_;
  std::optional<formats::ShardOutline> outline_;  // with the CRCs
  std::vector<bool> here_;                        // each block
  uint64_t here_bytes_ = 0;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_CACHE_SPARSE_SHARD_H_
