// cvctl ckpt ls|describe|verify|export|import|delete
#include "absl/strings/str_cat.h"
#include "client/call/ckpt_verbs.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "common/uuid.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::client {
namespace {

absl::StatusOr<ExitCode> Verify(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl ckpt verify CKPT... [flags]", "Reads every byte and compares the digests.");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "checkpoints, such as ckpt/9f3c"));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  for (const std::string& id : positional) {
    v1::VerifyCheckpointRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), CheckpointNameOf(*connection, id));
    CVT_ASSIGN_OR_RETURN(const auto response, connection->VerifyCheckpoint(request));
    cli.out << ShortName(request.name()) << " ok  "
            << FormatBytes(static_cast<uint64_t>(response.size_bytes())) << "  "
            << response.tensors() << " tensors  digest " << response.digest() << '\n';
  }
  return ExitCode::kDone;
}

absl::StatusOr<std::string> Download(Connection& connection, const std::string& name) {
  std::string bytes;
  CVT_RETURN_IF_ERROR(connection.DownloadCheckpoint(name, [&bytes](absl::string_view chunk) {
    if (bytes.size() + chunk.size() > limits::kCheckpointSizeBytesMax) {
      return LimitExceeded("checkpoint_size_bytes_max", "the checkpoint is larger than allowed");
    }
    bytes.append(chunk.data(), chunk.size());
    return absl::OkStatus();
  }));
  return bytes;
}

absl::StatusOr<ExitCode> Export(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  std::string path;
  std::string format = "safetensors";
  std::string weights = "evaluated";
  FlagSet flags("cvctl ckpt export CKPT --to FILE [flags]",
                "Writes a checkpoint's weights as a safetensors file, under torchvision's names.");
  flags.String("to", 0, &path, "FILE", "where to write it");
  flags.Choice("format", 0, &format, {"safetensors", "cvtrain"},
               "weights for others, or the whole checkpoint as stored");
  flags.Choice("weights", 0, &weights, {"evaluated", "averaged", "trained"},
               "those that its evaluations are of, the averages of ema, or the weights themselves");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one checkpoint, such as ckpt/9f3c"));
  if (path.empty())
    return InvalidArgument(Reason::kUsage, "--to: names the file to write, and is required");
  if (format == "cvtrain" && weights != "evaluated") {
    return InvalidArgument(Reason::kUsage,
                           "--weights: is for --format safetensors; the whole checkpoint has all");
  }
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  CVT_ASSIGN_OR_RETURN(const std::string name, CheckpointNameOf(*connection, positional[0]));
  CVT_ASSIGN_OR_RETURN(const std::string bytes, Download(*connection, name));
  CVT_ASSIGN_OR_RETURN(const formats::CheckpointView view,
                       formats::CheckpointView::Open(bytes, name));
  // The file appears whole or not at all.
  if (format == "safetensors") {
    formats::Weights which = formats::EvaluatedWeights(view);
    if (weights == "averaged") which = formats::Weights::kAveraged;
    if (weights == "trained") which = formats::Weights::kTrained;
    CVT_RETURN_IF_ERROR(WriteFileAtomic(cli.files, path, [&](WritableFile& file) {
      return formats::WriteSafetensors(
          view, which, [&file](absl::string_view piece) { return file.Append(piece); });
    }));
  } else {
    CVT_RETURN_IF_ERROR(WriteFileAtomic(cli.files, path, bytes));
  }
  cli.out << "wrote " << EscapeText(path) << '\n';
  return ExitCode::kDone;
}

absl::StatusOr<ExitCode> Delete(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  FlagSet flags("cvctl ckpt delete CKPT... [flags]",
                "Deletes imported checkpoints; what trials made is up to their recipes.");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1000, "checkpoints, such as ckpt/9f3c"));
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
  for (const std::string& id : positional) {
    v1::DeleteCheckpointRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), CheckpointNameOf(*connection, id));
    request.set_request_id(Uuid::Random(cli.random).ToString());
    CVT_RETURN_IF_ERROR(connection->DeleteCheckpoint(request).status());
    cli.out << ShortName(request.name()) << " deleted\n";
  }
  return ExitCode::kDone;
}

constexpr Subcommand kCkptSubcommands[] = {
    {"ls", "list checkpoints: all, of trials or experiments that are named, or `imported`",
     [](const Cli& cli, const Arguments& rest) { return RunGet(cli, WithFirst("ckpt", rest)); }},
    {"describe", "everything about one checkpoint",
     [](const Cli& cli, const Arguments& rest) {
       return RunDescribe(cli, WithKind("ckpt", rest));
     }},
    {"verify", "read every byte and compare the digests", Verify},
    {"export", "write a checkpoint's weights to a file", Export},
    {"import", "store weights of others, for recipes to begin with", ImportCkpt},
    {"delete", "delete imported checkpoints", Delete},
};

}  // namespace

absl::StatusOr<ExitCode> RunCkpt(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "ckpt", kCkptSubcommands, arguments);
}

}  // namespace cvtrain::client
