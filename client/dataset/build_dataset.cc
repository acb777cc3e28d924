// 1. List the folder; put each split's files in a keyed order, so that a shard holds all classes.
// 2. Threads read, decode and encode files; their results come back in that order.
// 3. This thread adds them to a shard, and writes it when it is long enough.
// What a crash leaves are some shards in `output`, which nobody has heard of.

#include "client/dataset/build_dataset.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/dataset/image_folder.h"
#include "client/dataset/in_order.h"
#include "client/dataset/ladder.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/shard/shard_writer.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);
constexpr size_t kSkippedExamplesMax = 10;

// A file that was worked on.
struct Result {
  absl::StatusOr<Ladder> ladder = Ladder();
  std::string skip_cause;  // if there is no ladder
  Sha256Digest digest = {};
};

Result WorkOn(FileSystem& files, const std::string& path, LadderMaker* maker) {
  Result result;
  const absl::StatusOr<std::string> bytes = ReadFile(files, path, limits::kImageFileSizeBytesMax);
  if (!bytes.ok()) {
    result.ladder = bytes.status();
    result.skip_cause = SkipCause("?", bytes.status());
    return result;
  }
  result.ladder = maker->Make(*bytes);
  if (result.ladder.ok()) {
    result.digest = Sha256Of(*bytes);
  } else {
    result.skip_cause = SkipCause(*bytes, result.ladder.status());
  }
  return result;
}

// The builder of one version. Thread-compatible.
class Builder {
 public:
  Builder(FileSystem& files, const Clock& clock, const DatasetOptions& options,
          const std::string& output, const DatasetProgressCallback& progress, const StopToken& stop)
      : files_(files),
        clock_(clock),
        options_(options),
        output_(output),
        progress_(progress),
        stop_(stop),
        start_(clock.SteadyNow()) {
    ladder_ = {options.rungs, options.source_side, options.jpeg_quality, options.keep_originals};
    build_.rung_bytes.resize(options.rungs.size() + 1);
  }

  absl::StatusOr<DatasetBuild> Build(const std::string& root) {
    CVT_ASSIGN_OR_RETURN(folder_, ListImageFolder(files_, root,
                                                  {.train_fraction = options_.train_fraction,
                                                   .seed = options_.seed}));
    for (const ImageFolder::Split& split : folder_.splits) {
      total_ += static_cast<int64_t>(split.files.size());
    }
    for (ImageFolder::Split& split : folder_.splits) {
      const absl::Status built = BuildSplit(split);
      if (!built.ok()) {
        RemoveShards();
        return built;
      }
    }
    Finish();
    return std::move(build_);
  }

 private:
  absl::Status BuildSplit(ImageFolder::Split& split);
  absl::Status Take(const ImageFolder::Split& split, const ImageFolder::File& file,
                    const Result& result, v1::Split* counts);
  absl::Status Skip(const ImageFolder::Split& split, const ImageFolder::File& file,
                    const Result& result);
  absl::Status WriteShard(const std::string& split, int64_t first_image);
  void Report(bool last);
  void Finish();
  void RemoveShards();

  FileSystem& files_;
  const Clock& clock_;
  const DatasetOptions& options_;
  const std::string& output_;
  const DatasetProgressCallback& progress_;
  const StopToken& stop_;
  const absl::Duration start_;
  formats::LadderOptions ladder_;

  ImageFolder folder_;
  int64_t total_ = 0;
  int64_t done_ = 0;
  int64_t skipped_ = 0;
  std::map<std::string, int64_t> causes_;
  std::optional<absl::Duration> reported_;
  std::optional<formats::ShardWriter> writer_;
  formats::DatasetDigest digest_;
  DatasetBuild build_;
};

absl::Status Builder::BuildSplit(ImageFolder::Split& split) {
  const Sha256Digest name = Sha256Of(split.name);
  KeyedStream("dataset-order/v1", {options_.seed, name[0], name[1]}).Shuffle(split.files);

  v1::Split& counts = *build_.version.add_splits();
  counts.set_name(split.name);
  counts.mutable_class_images()->Resize(static_cast<int>(folder_.classes.size()), 0);
  formats::ShardWriterOptions writer_options;
  writer_options.split = split.name;
  writer_options.rungs = options_.rungs;
  writer_options.classes = static_cast<uint32_t>(folder_.classes.size());
  writer_.emplace(writer_options);

  const auto make_worker = [&] {
    return [this, &split, maker = std::make_shared<LadderMaker>(ladder_)](int64_t item) {
      return WorkOn(files_, split.files[static_cast<size_t>(item)].path, maker.get());
    };
  };
  InOrder<Result> results(static_cast<int64_t>(split.files.size()), options_.threads,
                          int64_t{4} * options_.threads, make_worker);
  int64_t first_image = 0;
  for (const ImageFolder::File& file : split.files) {
    if (stop_.stop_requested()) return Cancelled(Reason::kStopping, "dataset: stopped on request");
    const std::optional<Result> result = results.Next();
    CVT_RETURN_IF_ERROR(Take(split, file, *result, &counts));
    if (writer_->pending_bytes() >= options_.shard_bytes) {
      CVT_RETURN_IF_ERROR(WriteShard(split.name, first_image));
      first_image = counts.images();
    }
    Report(/*last=*/false);
  }
  if (counts.images() == 0) {
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("dataset: split ", split.name, " has no good picture"));
  }
  return writer_->records() > 0 ? WriteShard(split.name, first_image) : absl::OkStatus();
}

absl::Status Builder::Take(const ImageFolder::Split& split, const ImageFolder::File& file,
                           const Result& result, v1::Split* counts) {
  ++done_;
  if (absl::IsInternal(result.ladder.status()))
    return result.ladder.status();  // not the file's fault
  if (!result.ladder.ok()) return Skip(split, file, result);
  const Ladder& ladder = *result.ladder;
  const absl::string_view digest(reinterpret_cast<const char*>(result.digest.data()),
                                 result.digest.size());
  formats::ShardPicture picture;
  picture.key = file.key;
  picture.label = file.label;
  picture.size = ladder.size;
  picture.source_format = ladder.source_format;
  picture.source_orientation = ladder.source_orientation;
  picture.source_digest = digest;
  picture.rungs.assign(ladder.rungs.begin(), ladder.rungs.end());
  picture.source = ladder.source;
  CVT_RETURN_IF_ERROR(writer_->Add(picture));

  digest_.Add(split.name, file.key, file.label, digest);
  counts->set_images(counts->images() + 1);
  const int label = static_cast<int>(file.label);
  counts->set_class_images(label, counts->class_images(label) + 1);
  for (size_t i = 0; i < ladder.rungs.size(); ++i) {
    build_.rung_bytes[i] += static_cast<int64_t>(ladder.rungs[i].size());
  }
  build_.rung_bytes.back() += static_cast<int64_t>(ladder.source.size());
  return absl::OkStatus();
}

absl::Status Builder::Skip(const ImageFolder::Split& split, const ImageFolder::File& file,
                           const Result& result) {
  ++skipped_;
  ++causes_[result.skip_cause];
  if (build_.skipped_examples.size() < kSkippedExamplesMax) {
    build_.skipped_examples.push_back(absl::StrCat(split.name, "/", SafeText(file.key), ": ",
                                                   SafeText(result.ladder.status().message())));
  }
  if (static_cast<double>(skipped_) <= options_.bad_share_max * static_cast<double>(total_)) {
    return absl::OkStatus();
  }
  return InvalidArgument(
      Reason::kDataBad,
      absl::StrCat("dataset: ", skipped_, " of ", total_, " files are no good (",
                   absl::StrJoin(causes_, ", ",
                                 [](std::string* out, const auto& cause) {
                                   absl::StrAppend(out, cause.first, " ", cause.second);
                                 }),
                   "), more than the share of ", FormatDouble(options_.bad_share_max),
                   " that may be skipped; the first: ", build_.skipped_examples.front()));
}

absl::Status Builder::WriteShard(const std::string& split, int64_t first_image) {
  if (build_.shard_paths.size() == limits::kShardsPerDatasetVersionMax) {
    return LimitExceeded("kShardsPerDatasetVersionMax",
                         absl::StrCat("dataset: more than ", limits::kShardsPerDatasetVersionMax,
                                      " shards; make them larger"));
  }
  const int index = build_.version.shards_size();
  const std::string path = JoinPath(output_, absl::StrFormat("%s-%05d.shard", split, index));
  build_.shard_paths.push_back(path);
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files_.NewWritableFile(path, {}));
  CVT_ASSIGN_OR_RETURN(const formats::ShardSummary summary, writer_->Finish(*file));
  CVT_RETURN_IF_ERROR(file->Close());
  v1::Shard& shard = *build_.version.add_shards();
  shard.set_index(index);
  shard.set_split(split);
  shard.set_images(summary.records);
  shard.set_size_bytes(summary.file_bytes);
  shard.set_digest(summary.digest);
  shard.set_first_image(first_image);
  return absl::OkStatus();
}

void Builder::Report(bool last) {
  if (!progress_) return;
  const absl::Duration now = clock_.SteadyNow();
  if (!last && reported_.has_value() && now - *reported_ < kProgressInterval) return;
  reported_ = now;
  DatasetProgress progress;
  progress.done = done_;
  progress.total = total_;
  progress.skipped = skipped_;
  const double seconds = absl::ToDoubleSeconds(now - start_);
  if (seconds > 0 && done_ > 0) {
    progress.images_per_second = static_cast<double>(done_) / seconds;
    progress.remaining =
        absl::Seconds(static_cast<double>(total_ - done_) / progress.images_per_second);
  }
  progress_(progress);
}

void Builder::Finish() {
  v1::DatasetVersion& version = build_.version;
  version.mutable_classes()->Add(folder_.classes.begin(), folder_.classes.end());
  version.set_digest(digest_.Finish(folder_.classes, ladder_));
  version.mutable_rungs()->Add(options_.rungs.begin(), options_.rungs.end());
  int64_t size_bytes = 0;
  for (const v1::Shard& shard : version.shards()) size_bytes += shard.size_bytes();
  version.set_size_bytes(size_bytes);
  for (const auto* counts : {&folder_.passed_over, &causes_}) {
    for (const auto& [cause, count] : *counts) (*version.mutable_skipped())[cause] = count;
  }
  build_.elapsed = clock_.SteadyNow() - start_;
  Report(/*last=*/true);
}

void Builder::RemoveShards() {
  for (const std::string& path : build_.shard_paths) {
    files_.Remove(path).IgnoreError();  // the error that ended the build is the one to tell
  }
}

}  // namespace

absl::Status Validate(const DatasetOptions& options) {
  std::vector<FieldViolation> violations;
  const auto check = [&](bool good, absl::string_view field, absl::string_view rule,
                         std::string value) {
    if (!good) violations.push_back({std::string(field), std::string(rule), std::move(value)});
  };
  bool ascends = options.rungs.size() <= static_cast<size_t>(formats::kShardRungsMax);
  int previous = 7;
  for (const int rung : options.rungs) {
    ascends = ascends && rung > previous && rung <= limits::kImageSideMax;
    previous = rung;
  }
  check(ascends, "rungs", "must be at most 8 sides in 8 to 16384, each greater than the one before",
        absl::StrJoin(options.rungs, ","));
  check(options.source_side >= previous && options.source_side <= limits::kImageSideMax,
        "source_side", "must be in 8 to 16384 and not less than a rung",
        absl::StrCat(options.source_side));
  check(options.jpeg_quality >= 1 && options.jpeg_quality <= 100, "jpeg_quality",
        "must be in 1 to 100", absl::StrCat(options.jpeg_quality));
  check(options.shard_bytes >= int64_t{1} << 20 && options.shard_bytes <= int64_t{1} << 31,
        "shard_bytes", "must be in 1 MiB to 2 GiB", absl::StrCat(options.shard_bytes));
  check(options.bad_share_max >= 0 && options.bad_share_max <= 1, "bad_share_max",
        "must be in [0, 1]", FormatDouble(options.bad_share_max));
  check(options.train_fraction > 0 && options.train_fraction <= 1, "train_fraction",
        "must be in (0, 1]", FormatDouble(options.train_fraction));
  check(options.threads >= 1 && options.threads <= 256, "threads", "must be in 1 to 256",
        absl::StrCat(options.threads));
  return FieldViolations(violations);
}

absl::StatusOr<DatasetBuild> BuildDataset(FileSystem& files, const Clock& clock,
                                          const std::string& root, const DatasetOptions& options,
                                          const std::string& output,
                                          const DatasetProgressCallback& progress,
                                          const StopToken& stop) {
  CVT_RETURN_IF_ERROR(Validate(options));
  return Builder(files, clock, options, output, progress, stop).Build(root);
}

}  // namespace cvtrain::client
