#ifndef CVTRAIN_BENCH_INPUT_LOCAL_SHARDS_H_
#define CVTRAIN_BENCH_INPUT_LOCAL_SHARDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/file_system.h"
#include "common/unique_fd.h"
#include "cvtrain/v1/dataset.pb.h"
#include "worker/trainer/data/shard_provider.h"

namespace cvtrain::bench {

// A data set in a folder: version.pb and the shards, by their index. Thread-safe.
class LocalShards : public trainer::ShardProvider {
 public:
  static absl::Status Save(FileSystem& files, const std::string& folder,
                           const v1::DatasetVersion& version,
                           const std::vector<std::string>& shard_paths);
  static absl::StatusOr<LocalShards> Load(FileSystem& files, const std::string& folder);

  const v1::DatasetVersion& version() const { return version_; }

  void Prefetch(absl::Span<const trainer::ShardParts> /*shards*/) override {}
  absl::StatusOr<UniqueFd> GetShard(const trainer::ShardParts& shard) override;
  void CancelWaits() override {}

 private:
  LocalShards(v1::DatasetVersion version, std::vector<std::string> paths)
      : version_(std::move(version)), paths_(std::move(paths)) {}

  v1::DatasetVersion version_;
  std::vector<std::string> paths_;
};

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_INPUT_LOCAL_SHARDS_H_
