// cvctl completion bash|zsh|fish
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call/verb.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

std::string VerbNames() {
  return absl::StrJoin(Verbs(), " ",
                       [](std::string* out, const Verb& verb) { absl::StrAppend(out, verb.name); });
}

// Words that follow a verb: "local" -> "up down status".
constexpr std::pair<const char*, const char*> kSecondWords[] = {
    {"local", "up down status"},
    {"get", "exp trial ckpt worker dataset"},
    {"list", "exp trial ckpt worker dataset"},
    {"ls", "exp trial ckpt worker dataset"},
    {"ckpt", "ls verify export describe"},
    {"dataset", "create ls describe"},
    {"worker", "ls describe"},
    {"completion", "bash zsh fish"},
};

std::string BashScript() {
  std::string cases;
  for (const auto& [verb, words] : kSecondWords) {
    absl::StrAppend(&cases, "    ", verb, ") words=\"", words, "\" ;;\n");
  }
  return absl::StrCat(
      "# bash completion for cvctl: source <(cvctl completion bash)\n"
      "_cvctl() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    words=\"",
      VerbNames(),
      " list ls help\"\n"
      "  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
      "    case \"${COMP_WORDS[1]}\" in\n",
      cases,
      "    esac\n"
      "  fi\n"
      "  if [[ \"$current\" == -* ]]; then\n"
      "    words=\"$(cvctl \"${COMP_WORDS[1]}\" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | "
      "sort -u)\"\n"
      "  fi\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  [ \"${#COMPREPLY[@]}\" -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "}\n"
      "complete -o filenames -F _cvctl cvctl\n");
}

std::string ZshScript() {
  return absl::StrCat(
      "#compdef cvctl\n# zsh completion for cvctl: source <(cvctl completion zsh)\n",
      "autoload -U +X bashcompinit && bashcompinit\n", BashScript());
}

std::string FishScript() {
  std::string script =
      "# fish completion for cvctl: cvctl completion fish | source\ncomplete -c cvctl -f\n";
  for (const Verb& verb : Verbs()) {
    absl::StrAppend(&script, "complete -c cvctl -n __fish_use_subcommand -a ", verb.name, " -d '",
                    verb.summary, "'\n");
  }
  for (const auto& [verb, words] : kSecondWords) {
    absl::StrAppend(&script, "complete -c cvctl -n '__fish_seen_subcommand_from ", verb, "' -a '",
                    words, "'\n");
  }
  return script;
}

}  // namespace

absl::StatusOr<ExitCode> RunCompletion(const Cli& cli, const Arguments& arguments) {
  CVT_RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "one shell: bash, zsh or fish"));
  if (arguments[0] == "bash") {
    cli.out << BashScript();
  } else if (arguments[0] == "zsh") {
    cli.out << ZshScript();
  } else if (arguments[0] == "fish") {
    cli.out << FishScript();
  } else {
    return InvalidArgument(
        Reason::kUsage, absl::StrCat("completion: must be bash, zsh or fish, got ", arguments[0]));
  }
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
