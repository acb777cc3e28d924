#ifndef CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGIN_H_
#define CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGIN_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "common/thread.h"
#include "worker/agent/cache/content_cache.h"

namespace cvtrain::worker {

// A place other than the coordinator where shards lie, each in a file that is called by its
// SHA-256 in 64 lower-case hexadecimal digits: what a coordinator keeps in `shards/` of its state
// directory, say, on a shared file system or behind a web server. The operator of a worker names
// such places; no request and no recipe can.
//
// Nothing of it is trusted: whoever fetches checks what came, and asks the coordinator if it was
// not right.
//
// Thread-safe.
class ShardOrigin {
 public:
  virtual ~ShardOrigin() = default;

  // As the operator wrote it, for messages.
  virtual const std::string& name() const = 0;

  // Delivers bytes [offset, offset + length) of a shard, in order. Blocks; a stop ends it soon.
  //   NOT_FOUND (SHARD_NOT_FOUND)        it is not there, or not with that size
  //   UNAVAILABLE (SERVER_UNREACHABLE)   the place is not there, or does not answer as it should
  //   CANCELLED (STOPPING)               `stop`
  //   errors of the sink, and of FileSystem
  virtual absl::Status Fetch(const ContentKey& key, uint64_t offset, uint64_t length,
                             const ByteSink& sink, const StopToken& stop) = 0;
};

// A directory of this machine's file tree. `files` must outlive the origin.
std::unique_ptr<ShardOrigin> NewDirectoryOrigin(FileSystem& files, std::string directory);

// A URL, http:// or https://, below which shards lie; the server must serve byte ranges (RFC 9110,
// 14.2) and is not followed elsewhere. A server that is silent for 30 seconds does not answer.
std::unique_ptr<ShardOrigin> NewHttpOrigin(std::string url);

// An absolute directory, or a URL without user, query and fragment: INVALID_ARGUMENT
// (FIELD_INVALID) with the rule otherwise.
absl::Status ValidateOrigin(absl::string_view place);

// What `place`, which is valid, names. `files` must outlive the origin.
std::unique_ptr<ShardOrigin> NewOrigin(FileSystem& files, const std::string& place);

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_ORIGIN_SHARD_ORIGIN_H_
