// cvctl dataset create
#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/call/dataset_verbs.h"
#include "client/dataset/build_dataset.h"
#include "client/dataset/build_folder.h"
#include "client/dataset/csv.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/source_files.h"
#include "common/cores.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr size_t kExamplesMax = 10;

struct CreateOptions {
  GlobalOptions global;
  DatasetOptions build;
  ReaderOptions reader;
  std::string from;
  std::string format;
  std::string media = "auto";
  std::string classes_file;
  std::string report;
  std::string rungs = absl::StrJoin(formats::kDefaultRungs, ",");
  std::string work_dir;
  std::string request_id;
  uint64_t shard_bytes = 0;
  int threads = 0;
  bool quiet = false;
};

std::string FormatNames() {
  return absl::StrJoin(DatasetFormats(), ", ", [](std::string* out, const DatasetFormat* format) {
    absl::StrAppend(out, format->name);
  });
}

void Declare(FlagSet& flags, CreateOptions& options) {
  options.shard_bytes = static_cast<uint64_t>(options.build.shard_bytes);
  flags.String("from", 0, &options.from, "PATH", "the folder or the file that holds the data set");
  flags.String("format", 0, &options.format, "NAME",
               absl::StrCat("one of ", FormatNames(), "; default: what it looks like"));
  flags.Choice("media", 0, &options.media, {"auto", "images", "audio", "bytes"},
               "what the files of a csv_manifest are; auto: as the first one looks");
  flags.String("classes", 0, &options.classes_file, "FILE",
               "names of the classes, one a line, in order of their numbers; for labels that are "
               "numbers, or to leave out all others");
  flags.Double("train-fraction", 0, &options.reader.train_fraction, 0, 1,
               "of a set without splits: the share that is trained on");
  flags.Bool("keep-originals", 0, &options.build.keep_originals, "store pictures as they came");
  flags.Double("max-bad", 0, &options.build.bad_share_max, 0, 1,
               "share of the samples that may be skipped for being no good");
  flags.String("report", 0, &options.report, "FILE",
               "a CSV file to write, with each file that was left out, and why");
  flags.Int("threads", 0, &options.threads, 0, 256, "that decode and encode; 0: one for each core");
  flags.String("rungs", 0, &options.rungs, "LIST",
               "short sides of the ladder, pixels, ascending, at most 8; none: sources only");
  flags.Int("source-side", 0, &options.build.source_side, 8, 16'384,
            "greatest short side of a source, pixels, unless originals are kept");
  flags.Int("jpeg-quality", 0, &options.build.jpeg_quality, 1, 100, "of the rungs");
  flags.Bytes("shard-size", 0, &options.shard_bytes,
              "length at which a shard ends, 1 MiB to 2 GiB; what is kept of a run that is broken "
              "off are whole shards");
  flags.String("work-dir", 0, &options.work_dir, "DIR",
               "where a folder for the shards is made, which is gone once they are sent; default: "
               "TMPDIR or /tmp");
  flags.String("request-id", 0, &options.request_id, "UUID",
               "goes on with the upload of another run");
  flags.Bool("quiet", 'q', &options.quiet, "print the name of the version only");
  options.global.Declare(flags, false);
}

// A line that is redrawn on a terminal; elsewhere, one every ten seconds.
class ProgressLine {
 public:
  explicit ProgressLine(const Cli& cli) : cli_(cli) {}

  void Update(const DatasetProgress& progress) {
    const absl::Duration now = cli_.clock.SteadyNow();
    if (!cli_.out_is_terminal && now - last_ < absl::Seconds(10) && progress.done < progress.total)
      return;
    last_ = now;
    const std::string eta = progress.remaining == absl::InfiniteDuration()
                                ? "?"
                                : FormatDuration(absl::Ceil(progress.remaining, absl::Seconds(1)));
    cli_.err << (cli_.out_is_terminal ? "\r\x1b[2K" : "")
             << absl::StrFormat("reading %d of %d samples, %d skipped, %.0f/s, ETA %s",
                                progress.done, progress.total, progress.skipped,
                                progress.samples_per_second, eta)
             << (cli_.out_is_terminal ? "" : "\n");
    cli_.err.flush();
    drawn_ = true;
  }

  void End() {
    if (drawn_ && cli_.out_is_terminal) cli_.err << "\r\x1b[2K";
  }

 private:
  const Cli& cli_;
  absl::Duration last_ = -absl::InfiniteDuration();
  bool drawn_ = false;
};

absl::StatusOr<std::vector<int>> ParseRungs(const std::string& list) {
  std::vector<int> rungs;
  if (list == "none") return rungs;
  for (absl::string_view text : absl::StrSplit(list, ',')) {
    int side = 0;
    if (!absl::SimpleAtoi(text, &side)) {
      return InvalidArgument(Reason::kUsage,
                             absl::StrCat("--rungs ", SafeText(list),
                                          ": must be numbers with commas between, or none"));
    }
    rungs.push_back(side);
  }
  return rungs;
}

absl::Status Prepare(const Cli& cli, CreateOptions& options) {
  if (options.from.empty())
    return InvalidArgument(Reason::kUsage, "--from: names the folder or file, and is required");
  if (!options.request_id.empty()) {
    CVT_RETURN_IF_ERROR(RequestIdOf(cli, options.request_id).status());
  }
  options.build.shard_bytes = static_cast<int64_t>(
      std::min<uint64_t>(options.shard_bytes, std::numeric_limits<int64_t>::max()));
  CVT_ASSIGN_OR_RETURN(options.build.rungs, ParseRungs(options.rungs));
  options.build.threads = options.threads == 0 ? std::min(CoreCount(), 256) : options.threads;
  CVT_RETURN_IF_ERROR(Validate(options.build));
  if (options.media == "images") options.reader.media = v1::DatasetVersion::MEDIA_IMAGES;
  if (options.media == "audio") options.reader.media = v1::DatasetVersion::MEDIA_AUDIO;
  if (options.media == "bytes") options.reader.media = v1::DatasetVersion::MEDIA_BYTES;
  if (options.classes_file.empty()) return absl::OkStatus();
  CVT_ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(cli.files, options.classes_file, kManifestBytesMax));
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    options.reader.classes.emplace_back(absl::StripAsciiWhitespace(line));
    if (!IsClassName(options.reader.classes.back())) {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("--classes ", SafeText(options.classes_file),
                                          ": a class's name must be plain UTF-8 text, got ",
                                          SafeText(options.reader.classes.back())));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const DatasetFormat*> ChooseFormat(const Cli& cli, const CreateOptions& options) {
  if (!options.format.empty()) return FindDatasetFormat(options.format);
  CVT_ASSIGN_OR_RETURN(const DatasetFormat* format, GuessDatasetFormat(cli.files, options.from));
  if (!options.quiet) {
    cli.err << EscapeText(options.from) << " looks like " << format->name
            << "; --format says otherwise\n";
  }
  return format;
}

// The folder of this name, source and these options, locked. Its name can be guessed, so what is in
// it must be ours.
absl::StatusOr<std::unique_ptr<BuildFolder>> OpenFolder(const Cli& cli,
                                                        const CreateOptions& options,
                                                        const std::string& dataset,
                                                        const DatasetFormat& format) {
  const std::string key =
      absl::StrJoin({std::string(format.name), dataset, options.from, options.media,
                     absl::StrJoin(options.reader.classes, "\n"),
                     absl::StrCat(options.reader.train_fraction, ",", options.build.keep_originals,
                                  ",", options.build.jpeg_quality, ",", options.build.shard_bytes)},
                    "\n\n");
  const std::string parent =
      !options.work_dir.empty() ? options.work_dir : cli.env("TMPDIR").value_or("/tmp");
  const std::string path =
      JoinPath(parent, absl::StrCat("cvctl-dataset-", dataset, "-", Sha256Hex(key).substr(0, 16)));
  CVT_RETURN_IF_ERROR(cli.files.CreateDir(path, 0700));
  if (cli.check_private_folder) CVT_RETURN_IF_ERROR(cli.check_private_folder(path));
  auto folder = BuildFolder::Open(cli.files, path);
  if (ReasonOf(folder.status()) == Reason::kStateDirBusy) {
    return Annotate(folder.status(), absl::StrCat("another `cvctl dataset create ", dataset,
                                                  "` reads the same source now; wait for it"));
  }
  return folder;
}

// Sends the shards that have not arrived yet, and commits the version.
absl::StatusOr<v1::DatasetVersion> Send(const Cli& cli, Connection& connection,
                                        const CreateOptions& options, const std::string& dataset,
                                        const DatasetBuild& build) {
  v1::BeginDatasetVersionRequest begin;
  begin.set_dataset(dataset);
  begin.set_request_id(options.request_id);
  CVT_ASSIGN_OR_RETURN(const auto begun, connection.BeginDatasetVersion(begin));
  for (int i = 0; i < build.version.shards_size(); ++i) {
    const v1::Shard& shard = build.version.shards(i);
    if (std::find(begun.arrived().begin(), begun.arrived().end(), shard.digest()) !=
        begun.arrived().end()) {
      continue;
    }
    if (!options.quiet) {
      cli.err << "sending shard " << i + 1 << " of " << build.version.shards_size() << ", "
              << FormatBytes(static_cast<uint64_t>(shard.size_bytes())) << '\n';
    }
    CVT_RETURN_IF_ERROR(connection.UploadShard(options.request_id, shard,
                                               build.shard_paths[static_cast<size_t>(i)]));
  }
  v1::CommitDatasetVersionRequest commit;
  commit.set_request_id(options.request_id);
  commit.set_dataset(dataset);
  *commit.mutable_version() = build.version;
  CVT_ASSIGN_OR_RETURN(const auto response, connection.CommitDatasetVersion(commit));
  return response.version();
}

absl::Status WriteReport(const Cli& cli, const std::string& path, const DatasetBuild& build) {
  return WriteFileAtomic(cli.files, path, [&](WritableFile& file) -> absl::Status {
    CVT_RETURN_IF_ERROR(file.Append("split,key,cause,detail\n"));
    for (const auto* list : {&build.skipped, &build.passed_over}) {
      for (const SkippedSource& one : *list) {
        CVT_RETURN_IF_ERROR(
            file.Append(absl::StrCat(CsvField(one.split), ",", CsvField(one.key), ",",
                                     CsvField(one.cause), ",", CsvField(one.detail), "\n")));
      }
    }
    return absl::OkStatus();
  });
}

void PrintSummary(const Cli& cli, const CreateOptions& options, const DatasetBuild& build) {
  cli.out << DescribeText(build.version, cli.clock.WallNow());
  if (!build.fixes.empty()) {
    cli.out << "\nAnnotations changed: "
            << absl::StrJoin(build.fixes, ", ",
                             [](std::string* out, const auto& fix) {
                               absl::StrAppend(out, fix.first, " ", fix.second);
                             })
            << '\n';
  }
  if (!build.skipped.empty()) {
    cli.out << "\nSkipped, for example:\n";
    for (size_t i = 0; i < std::min(build.skipped.size(), kExamplesMax); ++i) {
      const SkippedSource& one = build.skipped[i];
      cli.out << "  " << (one.split.empty() ? "" : one.split + "/") << SafeText(one.key) << ": "
              << one.cause << ", " << SafeText(one.detail) << '\n';
    }
  }
  const size_t left_out = build.skipped.size() + build.passed_over.size();
  if (!options.report.empty()) {
    cli.out << '\n'
            << (left_out == 0 ? "Nothing was left out"
                              : absl::StrCat("All ", left_out, " that were left out are in ",
                                             EscapeText(options.report)))
            << ".\n";
  } else if (build.skipped.size() > kExamplesMax) {
    cli.out << "  ... --report FILE writes all " << left_out << '\n';
  }
  int64_t samples = 0;
  for (const v1::Split& split : build.version.splits()) samples += split.images();
  cli.out << "\nRead " << samples << " samples in "
          << FormatDuration(absl::Trunc(build.elapsed, absl::Milliseconds(100)));
  if (build.resumed > 0) cli.out << ", after " << build.resumed << " of an earlier run";
  cli.out << ".\n";
}

// Lists the source, and makes its shards in `folder`.
absl::StatusOr<DatasetBuild> Build(const Cli& cli, CreateOptions& options,
                                   const DatasetFormat& format, BuildFolder& folder) {
  const std::unique_ptr<DatasetReader> reader =
      format.make(cli.files, options.from, options.reader);
  CVT_ASSIGN_OR_RETURN(DatasetListing listing, reader->List());
  if (!options.quiet && options.media == "auto" &&
      listing.media != v1::DatasetVersion::MEDIA_IMAGES) {
    cli.err << "its files are stored as "
            << (listing.media == v1::DatasetVersion::MEDIA_AUDIO ? "audio" : "bytes")
            << ", as they came\n";
  }
  DatasetSource source{format.name, *reader, std::move(listing)};
  CVT_ASSIGN_OR_RETURN(const std::string request_id, RequestIdOf(cli, options.request_id));
  CVT_RETURN_IF_ERROR(folder.Begin(BuildFingerprint(source, options.build), request_id));
  if (options.request_id.empty()) options.request_id = folder.request_id();
  if (!folder.finished().empty() && !options.quiet) {
    cli.err << "going on with an earlier run: " << folder.finished().size() << " shards are in "
            << EscapeText(folder.path()) << '\n';
  }
  ProgressLine line(cli);
  absl::StatusOr<DatasetBuild> build = BuildDataset(
      cli.files, cli.clock, std::move(source), options.build, folder,
      [&](const DatasetProgress& progress) {
        if (!options.quiet) line.Update(progress);
      },
      cli.stop);
  line.End();
  return build;
}

// Leaves nothing behind if nothing is worth it.
void LeaveFolder(const Cli& cli, BuildFolder& folder) {
  if (folder.finished().empty()) {
    folder.Remove().IgnoreError();  // it is the system's to clean up, then
  } else {
    cli.err << "cvctl: " << folder.finished().size() << " finished shards are kept in "
            << EscapeText(folder.path()) << "; the same command goes on with them\n";
  }
}

}  // namespace

absl::StatusOr<ExitCode> CreateDataset(const Cli& cli, const Arguments& arguments) {
  CreateOptions options;
  FlagSet flags("cvctl dataset create NAME --from PATH [flags]",
                "Makes a version of a data set: shards, with a ladder of sizes for pictures.");
  Declare(flags, options);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "the NAME of the data set"));
  CVT_RETURN_IF_ERROR(ValidateLabelName("NAME", positional[0]));
  CVT_RETURN_IF_ERROR(Prepare(cli, options));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  // Nobody should read a million images to hear that there is no coordinator.
  CVT_RETURN_IF_ERROR(connection->GetCluster(v1::GetClusterRequest()).status());
  CVT_ASSIGN_OR_RETURN(const DatasetFormat* format, ChooseFormat(cli, options));

  CVT_ASSIGN_OR_RETURN(const auto folder, OpenFolder(cli, options, positional[0], *format));
  absl::StatusOr<DatasetBuild> build = Build(cli, options, *format, *folder);
  if (!build.ok()) {
    LeaveFolder(cli, *folder);
    return build.status();
  }
  if (!options.report.empty()) CVT_RETURN_IF_ERROR(WriteReport(cli, options.report, *build));
  const absl::StatusOr<v1::DatasetVersion> committed =
      Send(cli, *connection, options, positional[0], *build);
  if (IsOutage(committed.status()) || absl::IsCancelled(committed.status())) {
    cli.err << "cvctl: the upload was broken off; `"
            << RepeatCommand("dataset create", arguments, options.request_id)
            << "` goes on with it\n";
  }
  if (!committed.ok()) {
    LeaveFolder(cli, *folder);
    return committed.status();
  }
  const absl::Status removed = folder->Remove();
  if (!removed.ok()) {
    cli.err << "cvctl: " << EscapeText(folder->path())
            << " is of no more use, and stays: " << EscapeText(removed.message()) << '\n';
  }
  const std::string name = ShortName(committed->name());
  if (options.quiet) {
    cli.out << name << '\n';
    return ExitCode::kDone;
  }
  build->version.set_name(committed->name());
  *build->version.mutable_create_time() = committed->create_time();
  PrintSummary(cli, options, *build);
  cli.out << name << " created\n";
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
