#ifndef CVTRAIN_CLIENT_DATASET_BUILD_DATASET_H_
#define CVTRAIN_CLIENT_DATASET_BUILD_DATASET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/dataset/build_folder.h"
#include "client/dataset/dataset_reader.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/thread.h"
#include "cvtrain/v1/dataset.pb.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::client {

struct DatasetOptions {
  // Short sides of the rungs, pixels: ascending, distinct, at most 8, each in 8 to 16,384.
  std::vector<int> rungs{formats::kDefaultRungs.begin(), formats::kDefaultRungs.end()};
  // Greatest short side of a stored source, pixels; at least the greatest rung, at most 16,384.
  int source_side = formats::kDefaultSourceSide;
  // Of rungs and of sources that are written anew: 1 to 100.
  int jpeg_quality = 90;
  // Store the files as they came. Models of file bytes need it.
  bool keep_originals = false;
  // Length at which a shard is ended, bytes: 1 MiB to 2 GiB. Memory is about twice that.
  int64_t shard_bytes = int64_t{64} << 20;
  // Share of the samples that may be skipped for being no good; more end the build. In [0, 1].
  double bad_share_max = 0.05;
  // Of the order of samples in the shards.
  uint64_t seed = 0;
  // That decode and encode: 1 to 256. The result does not depend on it.
  int threads = 2;
};

// Returns INVALID_ARGUMENT (FIELD_INVALID) with every broken rule above.
absl::Status Validate(const DatasetOptions& options);

// What shards are made of.
struct DatasetSource {
  // As DatasetFormat::name.
  std::string format;
  // Must outlive the build. It has listed `listing`.
  const DatasetReader& reader;
  DatasetListing listing;
};

// SHA-256, lower-case hex, of all that the shards follow from: program, source (as far as it is
// seen without reading samples) and options. For BuildFolder::Begin().
std::string BuildFingerprint(const DatasetSource& source, const DatasetOptions& options);

struct DatasetProgress {
  int64_t done = 0;
  int64_t total = 0;
  int64_t skipped = 0;
  // Of `done`: in shards of an earlier run.
  int64_t resumed = 0;
  double samples_per_second = 0;
  // Estimate from the speed so far; infinite before there is one.
  absl::Duration remaining = absl::InfiniteDuration();
};
// Called on the caller's thread, at most every 100 ms and at the end.
using DatasetProgressCallback = std::function<void(const DatasetProgress&)>;

struct DatasetBuild {
  // All but `name` and `create_time`, shards included.
  v1::DatasetVersion version;
  // In the order of version.shards().
  std::vector<std::string> shard_paths;

  // Every sample that was skipped, and every file that was passed over.
  std::vector<SkippedSource> skipped;
  std::vector<SkippedSource> passed_over;
  // What was changed in annotations, by cause: `boxes_cut`, `boxes_dropped`, `masks_dropped`.
  std::map<std::string, int64_t> fixes;
  // Samples in shards of an earlier run.
  int64_t resumed = 0;
  absl::Duration elapsed;
};

// Makes shards of `source` in `folder`, whose Begin() has been called with the fingerprint; goes on
// after the shards that are there. Samples that are no good are skipped and counted by cause. The
// bytes of the shards, and all of `version`, are a function of the source and of the options but
// `threads`, whether the build was broken off or not; the digest is the same whatever `shard_bytes`
// and `seed` were, given the same splits.
//
// Returns INVALID_ARGUMENT: FIELD_INVALID for the options, DATA_BAD if more than `bad_share_max` of
// the samples, or all of a split, are no good; CANCELLED (STOPPING) if `stop` was requested; the
// errors of `files`. The shards that are finished stay.
absl::StatusOr<DatasetBuild> BuildDataset(FileSystem& files, const Clock& clock,
                                          DatasetSource source, const DatasetOptions& options,
                                          BuildFolder& folder,
                                          const DatasetProgressCallback& progress = {},
                                          const StopToken& stop = {});

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_BUILD_DATASET_H_
