// cvctl dataset create|ls|describe|preview|verify
#include "client/call/dataset_verbs.h"
#include "client/call/verb.h"

namespace cvtrain::client {
namespace {

constexpr Subcommand kDatasetSubcommands[] = {
    {"create", "make a version from pictures, sounds or other files", CreateDataset},
    {"ls", "list data sets",
     [](const Cli& cli, const Arguments& rest) { return RunGet(cli, WithFirst("dataset", rest)); }},
    {"describe", "everything about one version",
     [](const Cli& cli, const Arguments& rest) {
       return RunDescribe(cli, WithKind("dataset", rest));
     }},
    {"preview", "a contact sheet of what a recipe's stages feed", PreviewDataset},
    {"verify", "check a version's entry, or shard files at hand", VerifyDataset},
};

}  // namespace

absl::StatusOr<ExitCode> RunDataset(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "dataset", kDatasetSubcommands, arguments);
}

}  // namespace cvtrain::client
