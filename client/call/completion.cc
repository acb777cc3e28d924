// cvctl completion bash|zsh|fish
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call/verb.h"
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
    {"get", "exp sweep trial ckpt worker dataset"},
    {"list", "exp sweep trial ckpt worker dataset"},
    {"ls", "exp sweep trial ckpt worker dataset"},
    {"ckpt", "ls describe verify export import delete"},
    {"dataset", "create ls describe preview verify"},
    {"worker", "ls describe"},
    {"completion", "bash zsh fish"},
};

// Verbs of which the second word has flags of its own.
constexpr char kNouns[] = "ckpt|dataset|worker";

// "    ckpt) NAME=(ls verify) ;;" for each verb; `open` and `close` are what the shell
// puts around the words.
std::string Cases(const std::string& open, const std::string& close) {
  std::string cases;
  for (const auto& [verb, words] : kSecondWords)
    absl::StrAppend(&cases, "    ", verb, ") ", open, words, close, " ;;\n");
  return cases;
}

std::string BashScript() {
  return absl::StrCat(
      "# bash completion for cvctl: source <(cvctl completion bash)\n"
      "_cvctl() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\" help=(\"${COMP_WORDS[1]}\")\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    words=\"",
      VerbNames(),
      " list ls help\"\n"
      "  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
      "    case \"${COMP_WORDS[1]}\" in\n",
      Cases("words=\"", "\""),
      "    esac\n"
      "  else\n"
      "    case \"${COMP_WORDS[1]}\" in ",
      kNouns,
      ") help+=(\"${COMP_WORDS[2]}\") ;; esac\n"
      "  fi\n"
      "  if [[ \"$current\" == -* ]]; then\n"
      "    words=\"$(cvctl \"${help[@]}\" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | "
      "sort -u)\"\n"
      "  fi\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  [ \"${#COMPREPLY[@]}\" -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "}\n"
      "complete -o filenames -F _cvctl cvctl\n");
}

// zsh has no mapfile, and counts words from 1.
std::string ZshScript() {
  return absl::StrCat(
      "#compdef cvctl\n"
      "# zsh completion for cvctl: source <(cvctl completion zsh)\n"
      "_cvctl() {\n"
      "  local -a candidates help\n"
      "  help=(\"${words[2]}\")\n"
      "  if (( CURRENT == 2 )); then\n"
      "    candidates=(",
      VerbNames(),
      " list ls help)\n"
      "  elif (( CURRENT == 3 )); then\n"
      "    case \"${words[2]}\" in\n",
      Cases("candidates=(", ")"),
      "    esac\n"
      "  else\n"
      "    case \"${words[2]}\" in ",
      kNouns,
      ") help+=(\"${words[3]}\") ;; esac\n"
      "  fi\n"
      "  if [[ \"${words[CURRENT]}\" == -* ]]; then\n"
      "    candidates=(${(f)\"$(cvctl \"${help[@]}\" --help 2>/dev/null | "
      "grep -oE -- '--[a-z-]+' | sort -u)\"})\n"
      "  fi\n"
      "  if (( ${#candidates} )); then compadd -a candidates; else _files; fi\n"
      "}\n"
      "if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit; fi\n"
      "if [[ \"${funcstack[1]}\" == _cvctl ]]; then _cvctl \"$@\"; else compdef _cvctl cvctl; "
      "fi\n");
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

absl::StatusOr<ExitCode> Print(const Cli& cli, const Arguments& rest, const std::string& script) {
  CVT_RETURN_IF_ERROR(CheckCount(rest, 0, 0, "one shell"));
  cli.out << script;
  return ExitCode::kDone;
}

constexpr Subcommand kShells[] = {
    {"bash", "source <(cvctl completion bash)",
     [](const Cli& cli, const Arguments& rest) { return Print(cli, rest, BashScript()); }},
    {"zsh", "source <(cvctl completion zsh)",
     [](const Cli& cli, const Arguments& rest) { return Print(cli, rest, ZshScript()); }},
    {"fish", "cvctl completion fish | source",
     [](const Cli& cli, const Arguments& rest) { return Print(cli, rest, FishScript()); }},
};

}  // namespace

absl::StatusOr<ExitCode> RunCompletion(const Cli& cli, const Arguments& arguments) {
  return RunSubcommand(cli, "completion", kShells, arguments);
}

}  // namespace cvtrain::client
