// Verbs of a noun: `cvctl ckpt ls`.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

std::string Help(const std::string& noun, absl::Span<const Subcommand> subcommands) {
  std::string text = absl::StrCat("usage: cvctl ", noun, " WORD [arguments] [flags]; `cvctl ", noun,
                                  " WORD --help` says more\n\n");
  for (const Subcommand& one : subcommands)
    absl::StrAppend(&text, absl::StrFormat("  %-9s %s\n", one.name, one.summary));
  return text;
}

}  // namespace

absl::StatusOr<ExitCode> RunSubcommand(const Cli& cli, const std::string& noun,
                                       absl::Span<const Subcommand> subcommands,
                                       const Arguments& arguments) {
  std::string word = arguments.empty() ? "" : arguments[0];
  if (word == "--help" || word == "-h" || word == "help") {
    cli.out << Help(noun, subcommands);
    return ExitCode::kDone;
  }
  if (word == "list") word = "ls";
  std::vector<std::string> names;
  for (const Subcommand& one : subcommands) {
    if (word == one.name) return one.run(cli, {arguments.begin() + 1, arguments.end()});
    names.emplace_back(one.name);
  }
  return InvalidArgument(
      Reason::kUsage, absl::StrCat("cvctl ", noun, ": expected one of ", absl::StrJoin(names, ", "),
                                   ", got ", word.empty() ? "nothing" : word,
                                   DidYouMean(NearestNames(word, names)), "; see --help"));
}

}  // namespace cvtrain::client
