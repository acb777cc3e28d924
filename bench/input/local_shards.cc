#include "bench/input/local_shards.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::bench {
namespace {

constexpr size_t kFileBytesMax = 64 << 20;

}  // namespace

absl::Status LocalShards::Save(FileSystem& files, const std::string& folder,
                               const v1::DatasetVersion& version,
                               const std::vector<std::string>& shard_paths) {
  CVT_RETURN_IF_ERROR(
      WriteFileAtomic(files, JoinPath(folder, "version.pb"), version.SerializeAsString()));
  return WriteFileAtomic(files, JoinPath(folder, "shards.txt"), absl::StrJoin(shard_paths, "\n"));
}

absl::StatusOr<LocalShards> LocalShards::Load(FileSystem& files, const std::string& folder) {
  CVT_ASSIGN_OR_RETURN(const std::string bytes,
                       ReadFile(files, JoinPath(folder, "version.pb"), kFileBytesMax));
  CVT_ASSIGN_OR_RETURN(const std::string paths,
                       ReadFile(files, JoinPath(folder, "shards.txt"), kFileBytesMax));
  v1::DatasetVersion version;
  if (!version.ParseFromString(bytes)) {
    return InvalidArgument(Reason::kDataBad, absl::StrCat(folder, ": version.pb is damaged"));
  }
  return LocalShards(std::move(version), absl::StrSplit(paths, '\n'));
}

absl::StatusOr<UniqueFd> LocalShards::GetShard(const trainer::ShardParts& shard) {
  UniqueFd file(::open(paths_[static_cast<size_t>(shard.index)].c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return Unavailable(Reason::kShardNotFound, paths_[static_cast<size_t>(shard.index)]);
  }
  return file;
}

}  // namespace cvtrain::bench
