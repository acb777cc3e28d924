#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/input/bench.h"
#include "bench/input/local_shards.h"
#include "client/dataset/build_dataset.h"
#include "client/dataset/build_folder.h"
#include "client/dataset/dataset_formats.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/status_macros.h"

namespace cvtrain::bench {

absl::StatusOr<Runner> NewCreateBench(const CreateOptions& options) {
  client::DatasetOptions dataset;
  dataset.source_side = options.source_side;
  dataset.jpeg_quality = options.quality;
  dataset.threads = options.threads;
  if (!options.rungs.empty()) {
    dataset.rungs.clear();
    for (const absl::string_view text : absl::StrSplit(options.rungs, ',')) {
      int rung = 0;
      if (!absl::SimpleAtoi(text, &rung)) {
        return InvalidArgument(Reason::kUsage, absl::StrCat("--rungs: no number: ", text));
      }
      dataset.rungs.push_back(rung);
    }
  }
  return [options, dataset](absl::string_view /*argument*/) -> absl::StatusOr<Pass> {
    FileSystem& files = PosixFileSystem();
    CVT_ASSIGN_OR_RETURN(const client::DatasetFormat* format,
                         client::FindDatasetFormat("image_folder"));
    const auto reader = format->make(files, options.from, {});
    CVT_ASSIGN_OR_RETURN(client::DatasetListing listing, reader->List());
    client::DatasetSource source = {format->name, *reader, std::move(listing)};
    CVT_ASSIGN_OR_RETURN(const auto folder, client::BuildFolder::Open(files, options.to));
    CVT_RETURN_IF_ERROR(folder->Begin(client::BuildFingerprint(source, dataset), ""));
    CVT_ASSIGN_OR_RETURN(
        const client::DatasetBuild build,
        client::BuildDataset(files, RealClock(), std::move(source), dataset, *folder));
    CVT_RETURN_IF_ERROR(LocalShards::Save(files, options.to, build.version, build.shard_paths));
    Pass pass;
    for (const v1::Split& split : build.version.splits()) pass.images += split.images();
    pass.bytes = build.version.size_bytes();
    return pass;
  };
}

}  // namespace cvtrain::bench
