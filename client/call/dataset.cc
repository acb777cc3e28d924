// cvctl dataset create|ls|describe
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/call/verb.h"
#include "client/dataset/build_dataset.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "common/uuid.h"

namespace cvtrain::client {
namespace {

struct CreateOptions {
  GlobalOptions global;
  DatasetOptions build;
  std::string from;
  std::string work_dir;
  std::string request_id;
  bool quiet = false;
};

void Declare(FlagSet& flags, CreateOptions& options) {
  flags.String("from", 0, &options.from, "DIR", "folder of images: SPLIT/CLASS/FILE or CLASS/FILE");
  flags.Double("train-fraction", 0, &options.build.train_fraction, 0, 1,
               "of a folder without splits: the share that is trained on");
  flags.Bool("keep-originals", 0, &options.build.keep_originals, "store the files as they came");
  flags.Double("max-bad", 0, &options.build.bad_share_max, 0, 1,
               "share of the files that may be skipped for being no good");
  flags.Int("threads", 0, &options.build.threads, 1, 256, "that decode and encode");
  flags.Int("jpeg-quality", 0, &options.build.jpeg_quality, 1, 100, "of the rungs");
  flags.String("work-dir", 0, &options.work_dir, "DIR",
               "where shards are built before they are sent; default: a folder in TMPDIR or /tmp");
  flags.String("request-id", 0, &options.request_id, "UUID",
               "goes on with an upload that was interrupted");
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
             << absl::StrFormat("reading %d of %d images, %d skipped, %.0f/s, ETA %s",
                                progress.done, progress.total, progress.skipped,
                                progress.images_per_second, eta)
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

// The folder that holds shards until they are sent; gone afterwards. Its name is
// made here of chance alone, so what is removed is what this process made.
class WorkDir {
 public:
  // ALREADY_EXISTS (FILE_EXISTS) if something is in the way.
  static absl::StatusOr<std::unique_ptr<WorkDir>> Create(const Cli& cli,
                                                         const std::string& parent) {
    const std::string path =
        JoinPath(parent, absl::StrCat("cvctl-dataset-", Uuid::Random(cli.random).ToString()));
    CVT_ASSIGN_OR_RETURN(const bool taken, Exists(cli.files, path));
    if (taken) {
      return AlreadyExists(Reason::kFileExists,
                           absl::StrCat(path, ": exists already; remove it, or try again"));
    }
    CVT_RETURN_IF_ERROR(cli.files.CreateDir(path, 0700));
    return std::unique_ptr<WorkDir>(new WorkDir(cli, path));
  }
  ~WorkDir() { cli_.files.RemoveAll(path_).IgnoreError(); }  // it is the system's to clean up, then
  WorkDir(const WorkDir&) = delete;
  WorkDir& operator=(const WorkDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  WorkDir(const Cli& cli, std::string path) : cli_(cli), path_(std::move(path)) {}

  const Cli& cli_;
  const std::string path_;
};

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

void Report(const Cli& cli, const DatasetBuild& build) {
  Table rungs({"RUNG", "BYTES", "PER-IMAGE"});
  int64_t images = 0;
  for (const v1::Split& split : build.version.splits()) images += split.images();
  for (size_t i = 0; i < build.rung_bytes.size(); ++i) {
    const auto bytes = static_cast<uint64_t>(build.rung_bytes[i]);
    const bool is_source = i == static_cast<size_t>(build.version.rungs_size());
    rungs.AddRow(
        {is_source ? "source" : absl::StrCat(build.version.rungs(static_cast<int>(i)), "px"),
         FormatBytes(bytes), FormatBytes(images == 0 ? 0 : bytes / static_cast<uint64_t>(images))});
  }
  cli.out << DescribeText(build.version, cli.clock.WallNow()) << "\nRungs:\n";
  rungs.Print(cli.out);
  if (!build.skipped_examples.empty()) {
    cli.out << "\nSkipped, for example:\n";
    for (const std::string& example : build.skipped_examples)
      cli.out << "  " << EscapeText(example) << '\n';
  }
  cli.out << "\nRead " << images << " images in "
          << FormatDuration(absl::Trunc(build.elapsed, absl::Milliseconds(100))) << ".\n";
}

absl::StatusOr<ExitCode> Create(const Cli& cli, const Arguments& arguments) {
  CreateOptions options;
  FlagSet flags(
      "cvctl dataset create NAME --from DIR [flags]",
      "Makes a version of a data set from a folder of images: shards with a ladder of sizes.");
  Declare(flags, options);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "the NAME of the data set"));
  CVT_RETURN_IF_ERROR(ValidateLabelName("NAME", positional[0]));
  if (options.from.empty())
    return InvalidArgument(Reason::kUsage, "--from: names the folder, and is required");
  CVT_ASSIGN_OR_RETURN(options.request_id, RequestIdOf(cli, options.request_id));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  // Nobody should read a million images to hear that there is no coordinator.
  CVT_RETURN_IF_ERROR(connection->GetCluster(v1::GetClusterRequest()).status());

  if (options.work_dir.empty()) options.work_dir = cli.env("TMPDIR").value_or("/tmp");
  CVT_ASSIGN_OR_RETURN(const auto work, WorkDir::Create(cli, options.work_dir));
  ProgressLine line(cli);
  absl::StatusOr<DatasetBuild> build = BuildDataset(
      cli.files, cli.clock, options.from, options.build, work->path(),
      [&](const DatasetProgress& progress) {
        if (!options.quiet) line.Update(progress);
      },
      cli.stop);
  line.End();
  CVT_RETURN_IF_ERROR(build.status());
  const absl::StatusOr<v1::DatasetVersion> committed =
      Send(cli, *connection, options, positional[0], *build);
  if (IsOutage(committed.status()) || absl::IsCancelled(committed.status())) {
    cli.err << "cvctl: the upload was broken off; `"
            << RepeatCommand("dataset create", arguments, options.request_id)
            << "` goes on with it\n";
  }
  CVT_RETURN_IF_ERROR(committed.status());
  const std::string name = ShortName(committed->name());
  if (options.quiet) {
    cli.out << name << '\n';
    return ExitCode::kDone;
  }
  build->version.set_name(committed->name());
  *build->version.mutable_create_time() = committed->create_time();
  Report(cli, *build);
  cli.out << name << " created\n";
  return ExitCode::kDone;
}

constexpr Subcommand kSubcommands[] = {
    {"create", "make a version from a folder of images", Create},
    {"ls", "list data sets",
     [](const Cli& cli, const Arguments& rest) { return RunGet(cli, WithFirst("dataset", rest)); }},
    {"describe", "everything about one version",
     [](const Cli& cli, const Arguments& rest) {
       return RunDescribe(cli, WithKind("dataset", rest));
     }},
};

}  // namespace

absl::StatusOr<ExitCode> RunDataset(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "dataset", kSubcommands, arguments);
}

}  // namespace cvtrain::client
