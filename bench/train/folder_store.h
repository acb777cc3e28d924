#ifndef CVTRAIN_BENCH_TRAIN_FOLDER_STORE_H_
#define CVTRAIN_BENCH_TRAIN_FOLDER_STORE_H_

#include <memory>
#include <string>

#include "bench/train/bench.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/collective/store_transport.h"

namespace cvtrain::bench {

// The key-value store of ranks that share a folder: a file for each key, looked for again and
// again. For a benchmark's few calls. Thread-safe.
class FolderStore : public trainer::StoreTransport {
 public:
  explicit FolderStore(std::string folder) : folder_(std::move(folder)) {}

  absl::StatusOr<session::v1::StoreResult> Call(
      const session::v1::StoreOperation& operation) override;

 private:
  std::string PathOf(const std::string& key) const;

  const std::string folder_;
};

// The group of `options`, once all ranks are there. Throws c10::Error.
std::unique_ptr<trainer::ProcessGroup> Meet(const RankOptions& options,
                                            trainer::StoreTransport& store);

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_TRAIN_FOLDER_STORE_H_
