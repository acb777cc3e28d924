#include "common/flags.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/text.h"

namespace cvtrain {
namespace {

absl::Status Bad(absl::string_view rule, absl::string_view got) {
  return InvalidArgument(Reason::kUsage,
                         absl::StrCat("must be ", rule, ", got '", SafeText(got, 64), "'"));
}

template <typename T>
std::function<absl::Status(absl::string_view)> IntSetter(T* value, T min, T max) {
  return [=](absl::string_view text) {
    T number = 0;
    if (!absl::SimpleAtoi(text, &number) || number < min || number > max) {
      return Bad(absl::StrCat("a whole number from ", min, " to ", max), text);
    }
    *value = number;
    return absl::OkStatus();
  };
}

// Breaks `text` into lines of at most `width` columns.
std::vector<std::string> Wrap(absl::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (text.size() > width) {
    size_t cut = text.rfind(' ', width);
    if (cut == absl::string_view::npos) cut = width;
    lines.emplace_back(text.substr(0, cut));
    text.remove_prefix(std::min(text.size(), cut + 1));
  }
  lines.emplace_back(text);
  return lines;
}

}  // namespace

FlagSet::FlagSet(std::string usage, std::string about)
    : usage_(std::move(usage)), about_(std::move(about)) {}

void FlagSet::Add(absl::string_view name, char short_name, absl::string_view placeholder,
                  absl::string_view help, std::string default_text,
                  std::function<absl::Status(absl::string_view)> set) {
  flags_.push_back({.name = std::string(name),
                    .short_name = short_name,
                    .placeholder = std::string(placeholder),
                    .help = std::string(help),
                    .default_text = std::move(default_text),
                    .set = std::move(set)});
}

void FlagSet::String(absl::string_view name, char short_name, std::string* value,
                     absl::string_view placeholder, absl::string_view help) {
  Add(name, short_name, placeholder, help, *value, [=](absl::string_view text) {
    *value = std::string(text);
    return absl::OkStatus();
  });
}

void FlagSet::StringList(absl::string_view name, char short_name, std::vector<std::string>* value,
                         absl::string_view placeholder, absl::string_view help) {
  Add(name, short_name, placeholder, absl::StrCat(help, " (may be repeated)"),
      absl::StrJoin(*value, " "), [=](absl::string_view text) {
        value->emplace_back(text);
        return absl::OkStatus();
      });
}

void FlagSet::Bool(absl::string_view name, char short_name, bool* value, absl::string_view help) {
  Add(name, short_name, "", help, *value ? "true" : "", [=](absl::string_view text) {
    if (text != "true" && text != "false") return Bad("true or false", text);
    *value = text == "true";
    return absl::OkStatus();
  });
}

void FlagSet::Int(absl::string_view name, char short_name, int64_t* value, int64_t min, int64_t max,
                  absl::string_view help) {
  Add(name, short_name, "N", help, absl::StrCat(*value), IntSetter(value, min, max));
}

void FlagSet::Int(absl::string_view name, char short_name, int* value, int min, int max,
                  absl::string_view help) {
  Add(name, short_name, "N", help, absl::StrCat(*value), IntSetter(value, min, max));
}

void FlagSet::Double(absl::string_view name, char short_name, double* value, double min, double max,
                     absl::string_view help) {
  Add(name, short_name, "X", help, FormatDouble(*value), [=](absl::string_view text) {
    double number = 0;
    // Written so that NaN fails.
    if (!absl::SimpleAtod(text, &number) || !(number >= min && number <= max)) {
      return Bad(absl::StrCat("a number from ", FormatDouble(min), " to ", FormatDouble(max)),
                 text);
    }
    *value = number;
    return absl::OkStatus();
  });
}

void FlagSet::Duration(absl::string_view name, char short_name, absl::Duration* value,
                       absl::string_view help) {
  Add(name, short_name, "TIME", help, FormatElapsed(*value),
      [=](absl::string_view text) -> absl::Status {
        const absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
        if (!parsed.ok()) return parsed.status();
        *value = *parsed;
        return absl::OkStatus();
      });
}

void FlagSet::Bytes(absl::string_view name, char short_name, uint64_t* value,
                    absl::string_view help) {
  Add(name, short_name, "SIZE", help, FormatBytes(*value),
      [=](absl::string_view text) -> absl::Status {
        const absl::StatusOr<uint64_t> parsed = ParseBytes(text);
        if (!parsed.ok()) return parsed.status();
        *value = *parsed;
        return absl::OkStatus();
      });
}

void FlagSet::Choice(absl::string_view name, char short_name, std::string* value,
                     const std::vector<std::string>& choices, absl::string_view help) {
  Add(name, short_name, absl::StrJoin(choices, "|"), help, *value, [=](absl::string_view text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      return Bad(absl::StrCat("one of ", absl::StrJoin(choices, ", ")), text);
    }
    *value = std::string(text);
    return absl::OkStatus();
  });
}

FlagSet::Flag* FlagSet::Find(absl::string_view name) {
  const auto found = std::find_if(flags_.begin(), flags_.end(),
                                  [&](const Flag& flag) { return flag.name == name; });
  return found == flags_.end() ? nullptr : &*found;
}

FlagSet::Flag* FlagSet::FindShort(char short_name) {
  const auto found = std::find_if(flags_.begin(), flags_.end(), [&](const Flag& flag) {
    return flag.short_name != 0 && flag.short_name == short_name;
  });
  return found == flags_.end() ? nullptr : &*found;
}

// Both return how many arguments they used.
size_t FlagSet::ParseLong(const std::vector<std::string>& arguments, size_t i,
                          std::vector<std::string>& problems) {
  absl::string_view text = absl::string_view(arguments[i]).substr(2);
  const size_t equals = text.find('=');
  const std::string name = absl::StrReplaceAll(text.substr(0, equals), {{"_", "-"}});
  Flag* flag = Find(name);
  absl::string_view value = "true";
  size_t used = 1;
  if (flag == nullptr && equals == absl::string_view::npos && absl::StartsWith(name, "no-")) {
    flag = Find(absl::StripPrefix(name, "no-"));
    if (flag != nullptr && !flag->placeholder.empty()) flag = nullptr;
    value = "false";
  }
  if (flag == nullptr) {
    const std::vector<std::string> nearest = NearestNames("--" + name, Names());
    problems.push_back(
        absl::StrCat("--", SafeText(name, 64), ": there is no such flag", DidYouMean(nearest)));
    return used;
  }
  if (equals != absl::string_view::npos) {
    value = text.substr(equals + 1);
  } else if (!flag->placeholder.empty()) {
    if (i + 1 >= arguments.size()) {
      problems.push_back(absl::StrCat("--", flag->name, ": needs a value, ", flag->placeholder));
      return used;
    }
    value = arguments[i + 1];
    used = 2;
  }
  flag->given = true;
  if (const absl::Status set = flag->set(value); !set.ok()) {
    problems.push_back(absl::StrCat("--", flag->name, ": ", set.message()));
  }
  return used;
}

size_t FlagSet::ParseShort(const std::vector<std::string>& arguments, size_t i,
                           std::vector<std::string>& problems) {
  const absl::string_view text = arguments[i];
  for (size_t at = 1; at < text.size(); ++at) {
    Flag* flag = FindShort(text[at]);
    if (flag == nullptr) {
      problems.push_back(
          absl::StrCat("-", SafeText(text.substr(at, 1), 8), ": there is no such flag"));
      return 1;
    }
    flag->given = true;
    absl::string_view value = "true";
    size_t used = 1;
    if (!flag->placeholder.empty()) {
      value = text.substr(at + 1);
      absl::ConsumePrefix(&value, "=");
      if (value.empty() && i + 1 >= arguments.size()) {
        problems.push_back(
            absl::StrCat("-", text.substr(at, 1), ": needs a value, ", flag->placeholder));
        return 1;
      }
      if (value.empty()) {
        value = arguments[i + 1];
        used = 2;
      }
    }
    if (const absl::Status set = flag->set(value); !set.ok()) {
      problems.push_back(absl::StrCat("-", text.substr(at, 1), ": ", set.message()));
    }
    if (!flag->placeholder.empty()) return used;
  }
  return 1;
}

absl::StatusOr<FlagSet::Parsed> FlagSet::Parse(const std::vector<std::string>& arguments) {
  for (Flag& flag : flags_) flag.given = false;
  Parsed parsed;
  std::vector<std::string> problems;
  bool only_positional = false;
  for (size_t i = 0; i < arguments.size();) {
    const std::string& argument = arguments[i];
    if (only_positional || argument.size() < 2 || argument[0] != '-') {
      parsed.positional.push_back(argument);
      only_positional = only_positional || stop_at_positional_;
      ++i;
    } else if (argument == "--") {
      only_positional = true;
      ++i;
    } else if (argument == "--help" || (argument == "-h" && FindShort('h') == nullptr)) {
      parsed.help = true;
      ++i;
    } else if (argument[1] == '-') {
      i += ParseLong(arguments, i, problems);
    } else {
      i += ParseShort(arguments, i, problems);
    }
  }
  // Whoever asks for help gets it, whatever else is wrong.
  if (!parsed.help && !problems.empty()) {
    return InvalidArgument(Reason::kUsage, absl::StrJoin(problems, "\n"));
  }
  return parsed;
}

absl::StatusOr<FlagSet::Parsed> FlagSet::Parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
  return Parse(arguments);
}

bool FlagSet::WasGiven(absl::string_view name) const {
  return std::any_of(flags_.begin(), flags_.end(),
                     [&](const Flag& flag) { return flag.name == name && flag.given; });
}

std::string FlagSet::Help() const {
  constexpr size_t kHelpColumn = 30;
  constexpr size_t kHelpWidth = 68;
  std::string text = absl::StrCat("usage: ", usage_, "\n\n", about_, "\n\nflags:\n");
  for (const Flag& flag : flags_) {
    std::string left = flag.short_name != 0
                           ? absl::StrCat("  -", std::string(1, flag.short_name), ", ")
                           : "      ";
    absl::StrAppend(&left, "--", flag.name, flag.placeholder.empty() ? "" : " ", flag.placeholder);
    std::string help = flag.help;
    if (!flag.default_text.empty()) absl::StrAppend(&help, " [", flag.default_text, "]");
    const bool own_line = left.size() + 2 > kHelpColumn;
    if (own_line) absl::StrAppend(&text, left, "\n");
    bool first = !own_line;
    for (const std::string& line : Wrap(help, kHelpWidth)) {
      const std::string lead = first ? left : "";
      absl::StrAppend(&text, lead, std::string(kHelpColumn - lead.size(), ' '), line, "\n");
      first = false;
    }
  }
  absl::StrAppend(&text, "  -h, --help                  show this\n");
  return text;
}

std::vector<std::string> FlagSet::Names() const {
  std::vector<std::string> names;
  for (const Flag& flag : flags_) names.push_back("--" + flag.name);
  names.push_back("--help");
  return names;
}

}  // namespace cvtrain
