#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_DATA_PHOTO_DATASET_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_DATA_PHOTO_DATASET_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/unique_fd.h"
#include "cvtrain/v1/dataset.pb.h"
#include "formats/image/image.h"
#include "formats/shard/shard_writer.h"
#include "tests/unit/formats/image/image_fixtures.h"
#include "worker/trainer/data/shard_provider.h"

namespace cvtrain::trainer {

// A data set of real JPEG files in shards, and the agent that hands them out. Picture i of a split
// has label i % classes and a size of its own. Thread-safe once it is made.
class PhotoDataset : public ShardProvider {
 public:
  struct Split {
    std::string name;
    int images = 0;
    // The shards of the split have so many pictures, the last one what is left.
    int images_per_shard = 4;
    // Pictures at these positions are no pictures.
    std::set<int> broken = {};
  };

  static constexpr int kClasses = 3;
  // Short sides of the rungs.
  static std::vector<int> Rungs() { return {40}; }
  static formats::PictureSize SizeOf(int picture) {
    return {.width = 64 + 8 * (picture % 3), .height = 56 + 8 * (picture % 2)};
  }
  static formats::Image PictureOf(int picture, uint64_t salt = 0) {
    const formats::PictureSize size = SizeOf(picture);
    return formats::testing::MakePicture(size.width, size.height,
                                         salt + static_cast<uint64_t>(picture) + 1);
  }

  explicit PhotoDataset(const std::vector<Split>& splits) {
    version_.set_name("datasets/photos/versions/1");
    version_.set_digest(std::string(64, 'd'));
    for (int c = 0; c < kClasses; ++c) version_.add_classes(absl::StrCat("class", c));
    for (const Split& split : splits) AddSplit(split);
  }

  const cvtrain::v1::DatasetVersion& version() const { return version_; }
  cvtrain::v1::DatasetVersion& mutable_version() { return version_; }
  // The bytes of shard `index`, to be damaged.
  std::string& bytes(int index) { return files_[static_cast<size_t>(index)]; }

  // From now on asking for shard `index` fails.
  void Fail(int32_t index, const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    failing_ = {index, status};
  }
  // Which shards were asked for, in order.
  std::vector<int32_t> asked() const {
    absl::MutexLock lock(&mu_);
    return asked_;
  }

  // From now on GetShard() waits for CancelWaits().
  void Stall() {
    absl::MutexLock lock(&mu_);
    stalled_ = true;
  }
  std::vector<int32_t> prefetched() const {
    absl::MutexLock lock(&mu_);
    return prefetched_;
  }
  // Waits until so many requests have come.
  void AwaitAsked(size_t count) const {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return asked_.size() >= count; };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&enough));
  }
  // The sections of each request in asked(); none: all.
  std::vector<std::vector<int32_t>> asked_sections() const {
    absl::MutexLock lock(&mu_);
    return asked_sections_;
  }
  // From now on the cache has lost what it had: requests are answered with new files.
  void LoseFiles() {
    absl::MutexLock lock(&mu_);
    handed_out_.clear();
  }

  void Prefetch(absl::Span<const ShardParts> shards) override {
    absl::MutexLock lock(&mu_);
    for (const ShardParts& shard : shards) prefetched_.push_back(shard.index);
  }

  void CancelWaits() override {
    absl::MutexLock lock(&mu_);
    cancelled_ = true;
  }

  // All of the shard, whatever is asked for; a later request is answered with the same file.
  absl::StatusOr<UniqueFd> GetShard(const ShardParts& shard) override {
    absl::MutexLock lock(&mu_);
    asked_.push_back(shard.index);
    asked_sections_.push_back(shard.sections.Numbers());
    if (stalled_) {
      mu_.Await(absl::Condition(&cancelled_));
      return Cancelled(Reason::kStopping, "the attempt ends");
    }
    if (!failing_.second.ok() && failing_.first == shard.index) return failing_.second;
    UniqueFd& file = handed_out_[shard.index];
    if (!file.valid()) {
      const std::string& bytes = files_[static_cast<size_t>(shard.index)];
      file = UniqueFd(::memfd_create("shard", MFD_CLOEXEC));
      CVT_CHECK(::write(file.get(), bytes.data(), bytes.size()) ==
                static_cast<ssize_t>(bytes.size()));
    }
    return UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  }

 private:
  void AddSplit(const Split& split) {
    cvtrain::v1::Split& entry = *version_.add_splits();
    entry.set_name(split.name);
    entry.set_images(split.images);
    for (int first = 0; first < split.images; first += split.images_per_shard) {
      AddShard(split, first, std::min(split.images, first + split.images_per_shard));
    }
  }

  void AddShard(const Split& split, int first, int end) {
    formats::ShardWriter writer(
        {.split = split.name, .rungs = Rungs(), .classes = static_cast<uint32_t>(kClasses)});
    for (int i = first; i < end; ++i) AddPicture(writer, split, i);
    InMemoryFileSystem disk;
    auto file = disk.NewWritableFile("/shard", {});
    CVT_CHECK_OK(file.status());
    const auto summary = writer.Finish(**file);
    CVT_CHECK_OK(summary.status());
    CVT_CHECK_OK((*file)->Close());
    files_.push_back(*ReadFile(disk, "/shard"));

    cvtrain::v1::Shard& shard = *version_.add_shards();
    shard.set_index(version_.shards_size() - 1);
    shard.set_digest(summary->digest);
    shard.set_size_bytes(summary->file_bytes);
    shard.set_split(split.name);
    shard.set_first_image(first);
    shard.set_images(end - first);
  }

  void AddPicture(formats::ShardWriter& writer, const Split& split, int i) {
    const uint64_t salt = split.name == "train" ? 0 : 1'000;
    const formats::Image picture = PictureOf(i, salt);
    std::string source = formats::testing::MakeJpeg(picture);
    formats::Image small;
    const int rung = Rungs()[0];
    const formats::PictureSize size = formats::ShrinkToShortSide(SizeOf(i), rung);
    formats::ResizeArea(picture, size.width, size.height, &small);
    std::string rung_bytes = formats::testing::MakeJpeg(small);
    if (split.broken.contains(i)) {
      source = "this is no picture";
      rung_bytes = source;
    }
    const Sha256Digest digest = Sha256Of(source);
    const std::string key = absl::StrCat(split.name, "/", i, ".jpg");
    const std::string digest_bytes(digest.begin(), digest.end());
    formats::ShardPicture view;
    view.key = key;
    view.label = static_cast<uint32_t>(i % kClasses);
    view.size = SizeOf(i);
    view.source_digest = digest_bytes;
    view.rungs = {rung_bytes};
    view.source = source;
    CVT_CHECK_OK(writer.Add(view));
  }

  cvtrain::v1::DatasetVersion version_;
  std::vector<std::string> files_;

  mutable absl::Mutex mu_;
  std::pair<int32_t, absl::Status> failing_ ABSL_GUARDED_BY(mu_) = {-1, absl::OkStatus()};
  std::vector<int32_t> asked_ ABSL_GUARDED_BY(mu_);
  std::vector<std::vector<int32_t>> asked_sections_ ABSL_GUARDED_BY(mu_);
  std::vector<int32_t> prefetched_ ABSL_GUARDED_BY(mu_);
  std::map<int32_t, UniqueFd> handed_out_ ABSL_GUARDED_BY(mu_);
  bool stalled_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_DATA_PHOTO_DATASET_H_
