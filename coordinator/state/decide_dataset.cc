#include "coordinator/state/decide_dataset.h"

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

absl::Status Bad(absl::string_view field, absl::string_view rule) {
  return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("version.", field, ": ", rule));
}

absl::Status CheckSplits(const v1::DatasetVersion& version,
                         std::map<std::string, int64_t>& images) {
  for (const v1::Split& split : version.splits()) {
    if (!images.emplace(split.name(), split.images()).second || split.name().empty()) {
      return Bad("splits", "names must be given, and differ");
    }
    if (split.images() < 0) return Bad("splits", "images must not be negative");
    if (split.class_images_size() != version.classes_size()) {
      return Bad("splits",
                 absl::StrCat(split.name(), ".class_images: must have an entry for each of ",
                              version.classes_size(), " classes"));
    }
    int64_t sum = 0;
    for (const int64_t count : split.class_images()) sum += count;
    if (sum != split.images()) {
      return Bad("splits", absl::StrCat(split.name(), ".class_images: must add up to ",
                                        split.images(), " images, got ", sum));
    }
  }
  return images.empty() ? Bad("splits", "there must be one at least") : absl::OkStatus();
}

// Shards are numbered from 0, and those of a split follow each other without a gap.
absl::Status CheckShards(const v1::DatasetVersion& version,
                         const std::map<std::string, int64_t>& images) {
  std::map<std::string, int64_t> seen;
  for (int i = 0; i < version.shards_size(); ++i) {
    const v1::Shard& shard = version.shards(i);
    const std::string field = absl::StrCat("shards.", i, ".");
    if (shard.index() != i) return Bad(field + "index", absl::StrCat("must be ", i));
    if (!IsSha256Hex(shard.digest())) {
      return Bad(field + "digest", "must be a SHA-256 in lower-case hexadecimal digits");
    }
    if (!images.contains(shard.split())) return Bad(field + "split", "is not one of the splits");
    if (shard.images() <= 0 || shard.size_bytes() <= 0) {
      return Bad(field + "images", "and size_bytes must be positive");
    }
    int64_t& next = seen[shard.split()];
    if (shard.first_image() != next) {
      return Bad(field + "first_image", absl::StrCat("must be ", next));
    }
    next += shard.images();
  }
  for (const auto& [split, count] : images) {
    if (seen[split] != count) {
      return Bad("shards", absl::StrCat("hold ", seen[split], " images of split ", split,
                                        ", which has ", count));
    }
  }
  return absl::OkStatus();
}

// What workers plan their reading by.
absl::Status CheckSizes(const v1::DatasetVersion& version) {
  constexpr int kRungsMax = 8;  // of the shard format
  constexpr int kShortSidesMax = 1'000;
  constexpr int32_t kSideMax = 1 << 20;
  constexpr int64_t kImagesMax = int64_t{1} << 40;
  if (version.rungs_size() > kRungsMax) {
    return Bad("rungs", absl::StrCat("there may be ", kRungsMax, " at most"));
  }
  int32_t before = 0;
  for (const int32_t rung : version.rungs()) {
    if (rung <= before || rung > limits::kImageSideMax) {
      return Bad("rungs", absl::StrCat("must ascend, from 1 to ", limits::kImageSideMax));
    }
    before = rung;
  }
  if (version.short_sides_size() > kShortSidesMax) {
    return Bad("short_sides", absl::StrCat("there may be ", kShortSidesMax, " at most"));
  }
  for (const v1::SideCount& count : version.short_sides()) {
    if (count.side() < 0 || count.side() > kSideMax || count.images() < 0 ||
        count.images() > kImagesMax) {
      return Bad("short_sides", "sides and counts must be possible ones");
    }
  }
  return absl::OkStatus();
}

}  // namespace

Decision DecideCommitDataset(const ClusterState& state,
                             const v1::CommitDatasetVersionRequest& request, absl::Time now) {
  CVT_RETURN_IF_ERROR(ValidateLabelName("dataset", request.dataset()));
  const v1::DatasetVersion& version = request.version();
  if (!IsSha256Hex(version.digest())) {
    return Bad("digest", "must be a SHA-256 in lower-case hexadecimal digits");
  }
  if (version.classes().empty() ||
      static_cast<size_t>(version.classes_size()) > limits::kClassesPerDatasetMax) {
    return Bad("classes", absl::StrCat("must be 1 to ", limits::kClassesPerDatasetMax));
  }
  if (static_cast<size_t>(version.shards_size()) > limits::kShardsPerDatasetVersionMax) {
    return LimitExceeded(
        "kShardsPerDatasetVersionMax",
        absl::StrCat("version.shards: at most ", limits::kShardsPerDatasetVersionMax));
  }
  std::map<std::string, int64_t> images;
  CVT_RETURN_IF_ERROR(CheckSplits(version, images));
  CVT_RETURN_IF_ERROR(CheckShards(version, images));
  CVT_RETURN_IF_ERROR(CheckSizes(version));

  const DatasetName name(request.dataset());
  const auto dataset = state.datasets().find(name);
  int64_t next = 1;
  Decided decided;
  if (dataset != state.datasets().end()) {
    const auto& [newest_number, newest] = *dataset->second.versions.rbegin();
    if (newest.digest() == version.digest()) {
      decided.resource = newest.name();
      return decided;
    }
    next = newest_number + 1;
  }
  decided.resource = DatasetVersionName(name, next).ToString();
  v1::DatasetVersion& committed =
      *decided.event.emplace().mutable_dataset_committed()->mutable_version();
  committed = version;
  committed.set_name(decided.resource);
  *committed.mutable_create_time() = ToTimestamp(now);
  return decided;
}

}  // namespace cvtrain::coordinator
