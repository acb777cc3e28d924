// 1. Put each split's samples in a keyed order, so that a shard holds all classes.
// 2. Take over the shards of this build that are in the folder already, counted from themselves.
// 3. Threads read, decode and encode samples; their results come back in that order.
// 4. This thread adds them to a shard. When it is long enough, it is written and synced, and then
//    entered in the folder's log with all that was seen since the shard before.
// What a crash leaves are finished shards, with which the next run begins, and perhaps a part of
// one, which it makes again: where a shard ends follows from the samples alone.

#include "client/dataset/build_dataset.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/dataset/in_order.h"
#include "client/dataset/make_sample.h"
#include "common/build_info.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/shard/shard_reader.h"
#include "formats/shard/shard_writer.h"

namespace cvtrain::client {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);

// Where the classes of short sides begin, pixels.
constexpr std::array<int, 18> kShortSides = {1,   16,  32,  48,   64,   96,   128,  192,  256,
                                             384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192};

int ShortSideClass(int side) {
  return *std::prev(std::upper_bound(kShortSides.begin(), kShortSides.end(), side));
}

formats::LadderOptions LadderOptionsOf(const DatasetListing& listing,
                                       const DatasetOptions& options) {
  formats::LadderOptions ladder;
  ladder.media = static_cast<formats::ShardMedia>(listing.media);
  ladder.keep_originals = true;
  if (ladder.media != formats::ShardMedia::kPictures) return ladder;
  ladder.rungs = options.rungs;
  ladder.source_side = options.source_side;
  ladder.jpeg_quality = options.jpeg_quality;
  ladder.keep_originals = options.keep_originals || listing.keeps_sources;
  ladder.annotated = listing.annotated;
  return ladder;
}

absl::string_view BytesOf(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// What a split has so far.
struct SplitState {
  const SourceSplit& split;
  v1::Split& counts;
  int64_t first_image = 0;  // of the next shard
  int64_t samples_read = 0;
};

// The builder of one version. Thread-compatible.
class Builder {
 public:
  Builder(FileSystem& files, const Clock& clock, DatasetSource source,
          const DatasetOptions& options, BuildFolder& folder,
          const DatasetProgressCallback& progress, const StopToken& stop)
      : files_(files),
        clock_(clock),
        source_(std::move(source)),
        listing_(source_.listing),
        options_(options),
        ladder_(LadderOptionsOf(listing_, options)),
        folder_(folder),
        progress_(progress),
        stop_(stop),
        start_(clock.SteadyNow()),
        earlier_(folder.finished()) {}

  absl::StatusOr<DatasetBuild> Build() {
    v1::DatasetVersion& version = build_.version;
    version.set_format(source_.format);
    version.set_media(listing_.media);
    version.mutable_classes()->Add(listing_.classes.begin(), listing_.classes.end());
    version.mutable_rungs()->Add(ladder_.rungs.begin(), ladder_.rungs.end());
    version.mutable_rung_size_bytes()->Resize(static_cast<int>(ladder_.rungs.size()) + 1, 0);
    build_.passed_over = std::move(listing_.passed_over);
    total_ = static_cast<int64_t>(listing_.skipped.size());
    for (const SourceSplit& split : listing_.splits) {
      total_ += static_cast<int64_t>(split.samples.size());
    }
    for (SkippedSource& skipped : listing_.skipped) {
      ++done_;
      CVT_RETURN_IF_ERROR(Skip(std::move(skipped)));
    }
    for (SourceSplit& split : listing_.splits) CVT_RETURN_IF_ERROR(BuildSplit(split));
    Finish();
    return std::move(build_);
  }

 private:
  absl::Status BuildSplit(SourceSplit& split);
  absl::Status TakeOver(SplitState& state);
  absl::Status TakeOverShard(const storage::v1::DatasetBuildShard& entry, SplitState& state);
  absl::Status MakeRest(SplitState& state);
  absl::Status Take(const SourceSample& sample, const MadeSample& made, SplitState& state);
  void Count(const formats::ShardRecord& record, const storage::v1::Annotation& annotation,
             SplitState& state);
  absl::Status Skip(SkippedSource skipped);
  absl::Status WriteShard(SplitState& state);
  void AddNews();
  void Report(bool last);
  void Finish();

  FileSystem& files_;
  const Clock& clock_;
  DatasetSource source_;
  DatasetListing& listing_;
  const DatasetOptions& options_;
  const formats::LadderOptions ladder_;
  BuildFolder& folder_;
  const DatasetProgressCallback& progress_;
  const StopToken& stop_;
  const absl::Duration start_;
  const std::vector<storage::v1::DatasetBuildShard> earlier_;

  size_t taken_over_ = 0;  // of earlier_
  int64_t total_ = 0;
  int64_t done_ = 0;
  std::map<std::string, int64_t> causes_;
  std::map<int, int64_t> short_sides_;
  // Since the last shard: what its entry will say.
  storage::v1::DatasetBuildShard news_;
  std::optional<absl::Duration> reported_;
  std::optional<formats::ShardWriter> writer_;
  formats::DatasetDigest digest_;
  DatasetBuild build_;
};

absl::Status Builder::BuildSplit(SourceSplit& split) {
  const Sha256Digest name = Sha256Of(split.name);
  KeyedStream("dataset-order/v1", {options_.seed, name[0], name[1]}).Shuffle(split.samples);

  v1::Split& counts = *build_.version.add_splits();
  counts.set_name(split.name);
  counts.mutable_class_images()->Resize(static_cast<int>(listing_.classes.size()), 0);
  SplitState state{.split = split, .counts = counts};
  CVT_RETURN_IF_ERROR(TakeOver(state));

  formats::ShardWriterOptions writer_options;
  writer_options.split = split.name;
  writer_options.rungs = ladder_.rungs;
  writer_options.classes = static_cast<uint32_t>(listing_.classes.size());
  writer_options.media = ladder_.media;
  writer_options.annotated = ladder_.annotated;
  writer_.emplace(writer_options);
  CVT_RETURN_IF_ERROR(MakeRest(state));
  if (counts.images() == 0) {
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("dataset: split ", split.name, " has no good sample"));
  }
  if (writer_->records() > 0) CVT_RETURN_IF_ERROR(WriteShard(state));
  AddNews();  // of samples behind the last shard
  return absl::OkStatus();
}

// Shards are written split by split.
absl::Status Builder::TakeOver(SplitState& state) {
  while (taken_over_ < earlier_.size() &&
         earlier_[taken_over_].shard().split() == state.split.name) {
    CVT_RETURN_IF_ERROR(TakeOverShard(earlier_[taken_over_], state));
    ++taken_over_;
  }
  done_ += state.samples_read;
  build_.resumed += state.samples_read;
  return absl::OkStatus();
}

absl::Status Builder::TakeOverShard(const storage::v1::DatasetBuildShard& entry,
                                    SplitState& state) {
  const std::string path = folder_.ShardPath(entry.shard());
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, files_.NewRandomAccessFile(path));
  CVT_ASSIGN_OR_RETURN(const auto shard, formats::ShardReader::Open(std::move(file), path));
  for (int64_t i = 0; i < shard->info().records; ++i) {
    const formats::ShardRecord record = shard->record(i);
    digest_.Add(state.split.name, shard->key(i), record.label, shard->source_digest(i),
                shard->annotation_bytes(i));
    Count(record, shard->annotation(i), state);
  }
  for (const storage::v1::SkippedSample& one : entry.skipped()) {
    CVT_RETURN_IF_ERROR(Skip({state.split.name, one.key(), one.cause(), one.detail()}));
  }
  news_ = entry;  // once more, to be added up
  AddNews();
  *build_.version.add_shards() = entry.shard();
  build_.shard_paths.push_back(path);
  state.samples_read = entry.samples_read();
  state.first_image = state.counts.images();
  return absl::OkStatus();
}

absl::Status Builder::MakeRest(SplitState& state) {
  const std::vector<SourceSample>& samples = state.split.samples;
  const auto begin = static_cast<size_t>(state.samples_read);
  const auto classes = static_cast<uint32_t>(listing_.classes.size());
  const auto make_worker = [&] {
    return [&samples, begin,
            maker = std::make_shared<SampleMaker>(source_.reader, ladder_, classes)](int64_t item) {
      return maker->Make(samples[begin + static_cast<size_t>(item)]);
    };
  };
  InOrder<MadeSample> results(static_cast<int64_t>(samples.size() - begin), options_.threads,
                              int64_t{4} * options_.threads, make_worker);
  for (size_t i = begin; i < samples.size(); ++i) {
    if (stop_.stop_requested()) return Cancelled(Reason::kStopping, "dataset: stopped on request");
    const std::optional<MadeSample> made = results.Next();
    ++done_;
    ++state.samples_read;
    CVT_RETURN_IF_ERROR(Take(samples[i], *made, state));
    // An index that has reached half of its bound is near the end of a shard, too.
    if (writer_->pending_bytes() >= options_.shard_bytes ||
        writer_->pending_index_bytes() >=
            static_cast<int64_t>(limits::kShardIndexSizeBytesMax / 2)) {
      CVT_RETURN_IF_ERROR(WriteShard(state));
    }
    Report(/*last=*/false);
  }
  return absl::OkStatus();
}

absl::Status Builder::Take(const SourceSample& sample, const MadeSample& made, SplitState& state) {
  if (absl::IsInternal(made.status)) return made.status;  // not the sample's fault
  if (!made.status.ok()) {
    storage::v1::SkippedSample& skipped = *news_.add_skipped();
    skipped.set_key(sample.key);
    skipped.set_cause(made.cause);
    skipped.set_detail(std::string(made.status.message()));
    return Skip({state.split.name, sample.key, made.cause, skipped.detail()});
  }
  formats::ShardPicture picture;
  picture.key = sample.key;
  picture.label = sample.label;
  picture.size = made.ladder.size;
  picture.source_format = made.ladder.source_format;
  picture.source_orientation = made.ladder.source_orientation;
  picture.source_digest = BytesOf(made.digest);
  picture.rungs.assign(made.ladder.rungs.begin(), made.ladder.rungs.end());
  picture.source = made.ladder.source;
  if (made.annotated) picture.annotation = &made.fitted.annotation;
  CVT_RETURN_IF_ERROR(writer_->Add(picture));

  formats::ShardRecord record;
  record.label = sample.label;
  for (size_t i = 0; i < made.ladder.rungs.size(); ++i) {
    record.extents[i].length = static_cast<int64_t>(made.ladder.rungs[i].size());
  }
  record.extents[made.ladder.rungs.size()].length = static_cast<int64_t>(made.ladder.source.size());
  Count(record, made.fitted.annotation, state);
  digest_.Add(state.split.name, sample.key, sample.label, BytesOf(made.digest),
              made.annotated ? made.fitted.annotation.SerializeAsString() : "");
  if (made.short_side > 0) ++(*news_.mutable_short_sides())[ShortSideClass(made.short_side)];
  const std::pair<const char*, int64_t> fixes[] = {{"boxes_cut", made.fitted.boxes_cut},
                                                   {"boxes_dropped", made.fitted.boxes_dropped},
                                                   {"masks_dropped", made.fitted.masks_dropped}};
  for (const auto& [cause, count] : fixes) {
    if (count > 0) (*news_.mutable_fixes())[cause] += count;
  }
  return absl::OkStatus();
}

// What can be counted from a shard, too.
void Builder::Count(const formats::ShardRecord& record, const storage::v1::Annotation& annotation,
                    SplitState& state) {
  state.counts.set_images(state.counts.images() + 1);
  const int label = static_cast<int>(record.label);
  state.counts.set_class_images(label, state.counts.class_images(label) + 1);
  v1::DatasetVersion& version = build_.version;
  for (int i = 0; i < version.rung_size_bytes_size(); ++i) {
    version.set_rung_size_bytes(
        i, version.rung_size_bytes(i) + record.extents[static_cast<size_t>(i)].length);
  }
  version.set_boxes(version.boxes() + annotation.boxes_size());
  for (const storage::v1::Box& box : annotation.boxes()) {
    if (box.has_mask()) version.set_masks(version.masks() + 1);
  }
}

absl::Status Builder::Skip(SkippedSource skipped) {
  ++causes_[skipped.cause];
  build_.skipped.push_back(std::move(skipped));
  const auto count = static_cast<double>(build_.skipped.size());
  if (count <= options_.bad_share_max * static_cast<double>(total_)) return absl::OkStatus();
  const SkippedSource& first = build_.skipped.front();
  return InvalidArgument(
      Reason::kDataBad,
      absl::StrCat("dataset: ", build_.skipped.size(), " of ", total_, " samples are no good (",
                   absl::StrJoin(causes_, ", ",
                                 [](std::string* out, const auto& cause) {
                                   absl::StrAppend(out, cause.first, " ", cause.second);
                                 }),
                   "), more than the share of ", FormatDouble(options_.bad_share_max),
                   " that may be skipped; the first: ", first.split, first.split.empty() ? "" : "/",
                   SafeText(first.key), ": ", SafeText(first.detail)));
}

absl::Status Builder::WriteShard(SplitState& state) {
  if (build_.shard_paths.size() == limits::kShardsPerDatasetVersionMax) {
    return LimitExceeded("kShardsPerDatasetVersionMax",
                         absl::StrCat("dataset: more than ", limits::kShardsPerDatasetVersionMax,
                                      " shards; make them larger"));
  }
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, folder_.NewShardFile());
  CVT_ASSIGN_OR_RETURN(const formats::ShardSummary summary, writer_->Finish(*file));
  v1::Shard& shard = *build_.version.add_shards();
  shard.set_index(build_.version.shards_size() - 1);
  shard.set_split(state.split.name);
  shard.set_images(summary.records);
  shard.set_size_bytes(summary.file_bytes);
  shard.set_digest(summary.digest);
  shard.set_first_image(state.first_image);
  *news_.mutable_shard() = shard;
  news_.set_samples_read(state.samples_read);
  CVT_RETURN_IF_ERROR(folder_.Add(std::move(file), news_));
  AddNews();
  build_.shard_paths.push_back(folder_.ShardPath(shard));
  state.first_image = state.counts.images();
  return absl::OkStatus();
}

void Builder::AddNews() {
  for (const auto& [side, count] : news_.short_sides()) short_sides_[side] += count;
  for (const auto& [cause, count] : news_.fixes()) build_.fixes[cause] += count;
  news_.Clear();
}

void Builder::Report(bool last) {
  if (!progress_) return;
  const absl::Duration now = clock_.SteadyNow();
  if (!last && reported_.has_value() && now - *reported_ < kProgressInterval) return;
  reported_ = now;
  DatasetProgress progress;
  progress.done = done_;
  progress.total = total_;
  progress.skipped = static_cast<int64_t>(build_.skipped.size());
  progress.resumed = build_.resumed;
  const double seconds = absl::ToDoubleSeconds(now - start_);
  const auto made =
      static_cast<double>(done_ - build_.resumed - static_cast<int64_t>(listing_.skipped.size()));
  if (seconds > 0 && made > 0) {
    progress.samples_per_second = made / seconds;
    progress.remaining =
        absl::Seconds(static_cast<double>(total_ - done_) / progress.samples_per_second);
  }
  progress_(progress);
}

void Builder::Finish() {
  v1::DatasetVersion& version = build_.version;
  version.set_digest(digest_.Finish(listing_.classes, ladder_));
  int64_t size_bytes = 0;
  for (const v1::Shard& shard : version.shards()) size_bytes += shard.size_bytes();
  version.set_size_bytes(size_bytes);
  for (const SkippedSource& one : build_.passed_over) ++causes_[one.cause];
  for (const auto& [cause, count] : causes_) (*version.mutable_skipped())[cause] = count;
  if (!short_sides_.empty()) {
    // From the least to the one behind the greatest, even if they are empty: each ends where the
    // next begins.
    const int greatest = short_sides_.rbegin()->first;
    for (const int side : kShortSides) {
      if (side < short_sides_.begin()->first) continue;
      const auto found = short_sides_.find(side);
      v1::SideCount& entry = *version.add_short_sides();
      entry.set_side(side);
      entry.set_images(found == short_sides_.end() ? 0 : found->second);
      if (side > greatest) break;
    }
  }
  build_.elapsed = clock_.SteadyNow() - start_;
  Report(/*last=*/true);
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
  check(options.threads >= 1 && options.threads <= 256, "threads", "must be in 1 to 256",
        absl::StrCat(options.threads));
  return FieldViolations(violations);
}

std::string BuildFingerprint(const DatasetSource& source, const DatasetOptions& options) {
  Sha256 digest;
  const auto add = [&](absl::string_view text) {
    digest.Update(absl::StrCat(text.size(), ":"));
    digest.Update(text);
  };
  const DatasetListing& listing = source.listing;
  add(GetBuildInfo().build_id);
  add(source.format);
  add(absl::StrJoin(
      {int64_t{options.source_side}, int64_t{options.jpeg_quality}, int64_t{options.keep_originals},
       options.shard_bytes, static_cast<int64_t>(options.seed), int64_t{listing.media},
       int64_t{listing.annotated}, int64_t{listing.keeps_sources}},
      ","));
  add(absl::StrJoin(options.rungs, ","));
  for (const std::string& name : listing.classes) add(name);
  for (const SourceSplit& split : listing.splits) {
    add(split.name);
    add(absl::StrCat(split.samples.size()));
    for (const SourceSample& sample : split.samples) {
      add(sample.key);
      add(absl::StrCat(sample.label, ",", sample.stamp));
      if (sample.annotation == nullptr) continue;
      add(absl::StrCat(sample.annotation->size.width, ",", sample.annotation->size.height));
      add(sample.annotation->annotation.SerializeAsString());
    }
  }
  return ToHex(digest.Finish());
}

absl::StatusOr<DatasetBuild> BuildDataset(FileSystem& files, const Clock& clock,
                                          DatasetSource source, const DatasetOptions& options,
                                          BuildFolder& folder,
                                          const DatasetProgressCallback& progress,
                                          const StopToken& stop) {
  CVT_RETURN_IF_ERROR(Validate(options));
  return Builder(files, clock, std::move(source), options, folder, progress, stop).Build();
}

}  // namespace cvtrain::client
