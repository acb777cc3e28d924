// cvctl ckpt import FILE
//
// The file is read twice and never held: once for the digest, which the coordinator wants first,
// and once to send what it becomes. If it changes in between, the digest does not fit, and nothing
// is stored.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/call/ckpt_verbs.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/safetensors/imported_weights.h"

namespace cvtrain::client {
namespace {

struct CkptImportOptions {
  GlobalOptions global;
  std::string label;
  std::string request_id;
  formats::ImportOptions weights;
  bool quiet = false;
};

// A line that is redrawn on a terminal; elsewhere, one every ten seconds.
class TransferLine {
 public:
  TransferLine(const Cli& cli, bool quiet, std::string doing, int64_t total)
      : cli_(cli),
        quiet_(quiet),
        doing_(std::move(doing)),
        total_(total),
        last_(cli.clock.SteadyNow()) {}
  ~TransferLine() {
    if (drawn_ && cli_.out_is_terminal) cli_.err << "\r\x1b[2K";
  }
  TransferLine(const TransferLine&) = delete;
  TransferLine& operator=(const TransferLine&) = delete;

  void Add(size_t bytes) {
    done_ += static_cast<int64_t>(bytes);
    const absl::Duration now = cli_.clock.SteadyNow();
    const absl::Duration pause = cli_.out_is_terminal ? absl::Milliseconds(100) : absl::Seconds(10);
    if (quiet_ || now - last_ < pause) return;
    last_ = now;
    drawn_ = true;
    cli_.err << (cli_.out_is_terminal ? "\r\x1b[2K" : "")
             << absl::StrFormat("%s %d%% of %s", doing_, 100 * done_ / total_,
                                FormatBytes(static_cast<uint64_t>(total_)))
             << (cli_.out_is_terminal ? "" : "\n");
    cli_.err.flush();
  }

 private:
  const Cli& cli_;
  const bool quiet_;
  const std::string doing_;
  const int64_t total_;
  int64_t done_ = 0;
  absl::Duration last_;
  bool drawn_ = false;
};

absl::StatusOr<std::string> LabelOf(const std::string& given, const std::string& path) {
  const std::string label = given.empty() ? BaseName(path) : given;
  if (IsPlainText(label, limits::kImportLabelCharactersMax)) return label;
  return InvalidArgument(
      Reason::kUsage, absl::StrCat("--label: must have 1 to ", limits::kImportLabelCharactersMax,
                                   " characters, no control characters, got ", SafeText(label, 64),
                                   given.empty() ? ", the name of the file; give another" : ""));
}

// Reads the file, and hands on what it becomes until Ctrl-C.
absl::StatusOr<formats::CheckpointDigests> Convert(const Cli& cli,
                                                   const formats::ImportedWeights& weights,
                                                   const std::string& name, TransferLine& line,
                                                   const formats::ByteSink& sink) {
  return weights.Write(name, [&](absl::string_view piece) {
    if (cli.stop.stop_requested()) return Interrupted();
    line.Add(piece.size());
    return sink(piece);
  });
}

absl::StatusOr<v1::Checkpoint> Send(const Cli& cli, const CkptImportOptions& options,
                                    Connection& connection,
                                    const formats::ImportedWeights& weights) {
  CVT_ASSIGN_OR_RETURN(const Uuid id, Uuid::Parse(options.request_id));
  const std::string name = CheckpointName(id).ToString();
  v1::ImportCheckpointHeader header;
  header.set_request_id(options.request_id);
  header.set_label(options.label);
  header.set_size_bytes(weights.file_bytes());
  {
    TransferLine line(cli, options.quiet, "reading", weights.file_bytes());
    CVT_ASSIGN_OR_RETURN(
        const formats::CheckpointDigests digests,
        Convert(cli, weights, name, line, [](absl::string_view) { return absl::OkStatus(); }));
    header.set_digest(digests.file_digest);
  }
  return connection.ImportCheckpoint(header, [&](const formats::ByteSink& sink) {
    TransferLine line(cli, options.quiet, "sending", weights.file_bytes());
    return Convert(cli, weights, name, line, sink).status();
  });
}

}  // namespace

absl::StatusOr<ExitCode> ImportCkpt(const Cli& cli, const Arguments& arguments) {
  CkptImportOptions options;
  FlagSet flags("cvctl ckpt import FILE.safetensors [flags]",
                "Stores weights of others, for recipes to begin with (init_from).");
  flags.String("label", 0, &options.label, "TEXT", "what to call them; default: the file's name");
  flags.String("strip-prefix", 0, &options.weights.strip_prefix, "TEXT",
               "taken away from the front of tensors' names, such as module.");
  flags.String("request-id", 0, &options.request_id, "UUID", "repeats another run's import");
  flags.Bool("quiet", 'q', &options.quiet, "print the name of the checkpoint only");
  options.global.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one FILE"));
  const std::string& path = positional[0];
  CVT_ASSIGN_OR_RETURN(options.request_id, RequestIdOf(cli, options.request_id));
  CVT_ASSIGN_OR_RETURN(options.label, LabelOf(options.label, path));
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                       cli.files.NewRandomAccessFile(path));
  CVT_ASSIGN_OR_RETURN(const formats::ImportedWeights weights,
                       formats::ImportedWeights::Open(*file, path, options.weights));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  // Nobody should read gigabytes to hear that there is no coordinator.
  CVT_RETURN_IF_ERROR(connection->GetCluster(v1::GetClusterRequest()).status());

  const absl::StatusOr<v1::Checkpoint> imported = Send(cli, options, *connection, weights);
  if (IsOutage(imported.status()) || absl::IsCancelled(imported.status())) {
    cli.err << "cvctl: the outcome is unknown; `"
            << RepeatCommand("ckpt import", arguments, options.request_id)
            << "` repeats this very import\n";
  }
  CVT_RETURN_IF_ERROR(imported.status());
  cli.out << imported->name();
  if (!options.quiet) {
    cli.out << " imported  " << FormatBytes(static_cast<uint64_t>(imported->size_bytes())) << "  "
            << weights.tensor_count() << " tensors  digest " << imported->digest();
  }
  cli.out << '\n';
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
