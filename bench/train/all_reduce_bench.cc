#include <torch/types.h>
#include <torch/utils.h>

#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "bench/train/bench.h"
#include "bench/train/folder_store.h"
#include "common/errors.h"

namespace cvtrain::bench {
namespace {

class AllReduceBench {
 public:
  explicit AllReduceBench(const RankOptions& options)
      : store_(options.store), group_(Meet(options, store_)) {}

  absl::StatusOr<Pass> Run(absl::string_view argument) {
    const std::vector<absl::string_view> words = absl::StrSplit(argument, ' ');
    int64_t bytes = 0, count = 0;
    if (words.size() != 2 || !absl::SimpleAtoi(words[0], &bytes) ||
        !absl::SimpleAtoi(words[1], &count) || bytes < 4 || count < 1) {
      return InvalidArgument(Reason::kUsage, "run BYTES COUNT");
    }
    if (bucket_.numel() * 4 != bytes) bucket_ = group_->NewBuckets({bytes / 4})[0];
    // Stays the same: 0 + 0 + ... would be too easy to get right.
    bucket_.fill_(1.0);
    for (int i = 0; i < 3; ++i) Sum();
    Barrier();
    const double begin = WallSeconds();
    for (int64_t i = 0; i < count; ++i) Sum();
    const double seconds = (WallSeconds() - begin) / static_cast<double>(count);
    // What the sums make of it, for the harness to check: the ranks to the power of their number.
    bucket_.fill_(group_->rank() + 1.0);
    Sum();
    return Pass{
        .bytes = bytes,
        .seconds = seconds,
        .numbers = {{"first", bucket_[0].item<double>()}, {"last", bucket_[-1].item<double>()}}};
  }

 private:
  void Sum() { group_->StartSum(bucket_)->Wait(); }
  void Barrier() {
    at::Tensor nothing = at::zeros({}, at::kDouble);
    group_->SumOverRanks(nothing);
  }

  FolderStore store_;
  const std::unique_ptr<trainer::ProcessGroup> group_;
  at::Tensor bucket_ = at::empty({0});
};

}  // namespace

absl::StatusOr<Runner> NewAllReduceBench(const RankOptions& options) {
  at::set_num_threads(1);
  auto bench = std::make_shared<AllReduceBench>(options);
  return Runner([bench](absl::string_view argument) { return bench->Run(argument); });
}

}  // namespace cvtrain::bench
