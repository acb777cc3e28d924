#include "plan/recipe/reader.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/text.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/recipe/message_reader.h"
#include "plan/recipe/validate.h"
#include "plan/recipe/yaml_tree.h"

namespace cvtrain::plan {
namespace {

using google::protobuf::Message;

void ClearLines(YamlNode& node) {
  node.line = 0;
  for (YamlNode& item : node.items) ClearLines(item);
  for (YamlEntry& entry : node.entries) {
    entry.line = 0;
    ClearLines(entry.value);
  }
}

// The node at one step of a path, made where a map lacks it; nullptr if there
// cannot be one.
YamlNode* Child(YamlNode& node, absl::string_view name) {
  if (node.kind == YamlNode::Kind::kSequence) {
    size_t index = 0;
    const bool is_entry = absl::SimpleAtoi(name, &index) && index < node.items.size();
    return is_entry ? &node.items[index] : nullptr;
  }
  if (node.kind == YamlNode::Kind::kNull) node.kind = YamlNode::Kind::kMap;
  if (node.kind != YamlNode::Kind::kMap) return nullptr;
  if (YamlNode* value = FindEntry(node, name)) return value;
  node.entries.push_back({std::string(name), 0, {}});
  return &node.entries.back().value;
}

// Returns what is wrong with the override, or nothing.
std::vector<ReadProblem> ApplyOverride(const Override& change, YamlNode& root) {
  const std::string shown = SafeText(change.path);
  YamlNode value;
  YamlProblem problem;
  if (!ParseYaml(change.value, value, problem)) {
    return {{{absl::StrCat("--set ", shown), problem.rule, SafeText(change.value, 64)}}};
  }
  ClearLines(value);
  const std::vector<std::string> steps = absl::StrSplit(change.path, '.');
  if (steps.size() > limits::kRecipeDepthMax) {
    return {{{absl::StrCat("--set ", TruncateText(shown, 64)), "is too deep", ""}}};
  }
  YamlNode* node = &root;
  for (const std::string& step : steps) {
    node = step.empty() ? nullptr : Child(*node, step);
    if (node == nullptr) return {{{absl::StrCat("--set ", shown), "is no path of a field", ""}}};
  }
  *node = std::move(value);
  return {};
}

struct ReadResult {
  std::vector<ReadProblem> problems;
  std::map<std::string, int> lines;
};

ReadResult ReadInto(absl::string_view yaml, absl::Span<const Override> overrides,
                    Message& message) {
  message.Clear();
  YamlNode root;
  YamlProblem problem;
  if (!ParseYaml(yaml, root, problem)) {
    return {{{{"recipe file", problem.rule, ""}, problem.line}}, {}};
  }
  ReadResult result;
  for (const Override& change : overrides) {
    for (ReadProblem& found : ApplyOverride(change, root)) {
      result.problems.push_back(std::move(found));
    }
  }
  MessageReader reader;
  reader.Read(root, message);
  result.problems.insert(result.problems.end(), reader.problems().begin(), reader.problems().end());
  result.lines = reader.lines();
  return result;
}

// True if one path is the other or contains it.
bool Overlap(absl::string_view a, absl::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return absl::ConsumePrefix(&b, a) && (b.empty() || b[0] == '.');
}

// The line of `path`, or of the nearest field around it that the text has.
int LineOf(const std::map<std::string, int>& lines, std::string path) {
  while (!path.empty()) {
    if (auto it = lines.find(path); it != lines.end()) return it->second;
    const size_t dot = path.rfind('.');
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
  return 0;
}

// Adds what Validate() finds, but not again where reading has failed.
void AddRuleProblems(const v1::ExperimentSpec& spec, ReadResult& result) {
  const size_t read_problem_count = result.problems.size();
  for (FieldViolation& violation : Validate(spec)) {
    const auto end = result.problems.begin() + static_cast<std::ptrdiff_t>(read_problem_count);
    const bool is_known =
        std::any_of(result.problems.begin(), end, [&](const ReadProblem& problem) {
          return Overlap(problem.violation.field, violation.field);
        });
    if (is_known) continue;
    const int line = LineOf(result.lines, violation.field);
    result.problems.push_back({std::move(violation), line});
  }
}

Reason ReasonFor(const std::vector<ReadProblem>& problems,
                 const std::vector<FieldViolation>& violations) {
  const bool all_unknown = std::all_of(
      problems.begin(), problems.end(),
      [](const ReadProblem& problem) { return problem.kind == ReadProblem::Kind::kUnknownName; });
  if (all_unknown) return Reason::kUnknownName;
  return ReasonOf(ViolationsToStatus(violations)).value_or(Reason::kRecipeInvalid);
}

// The violations as a status whose message has a line number for each, too.
absl::Status ToStatus(std::vector<ReadProblem> problems) {
  if (problems.empty()) return absl::OkStatus();
  std::stable_sort(problems.begin(), problems.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  std::vector<FieldViolation> violations;
  std::string message;
  for (const ReadProblem& problem : problems) {
    if (violations.size() < limits::kFieldViolationsMax) {
      const std::string place = problem.line > 0 ? absl::StrCat("line ", problem.line, ": ") : "";
      absl::StrAppend(&message, message.empty() ? "" : "\n", place, ToString(problem.violation));
    }
    violations.push_back(problem.violation);
  }
  if (violations.size() > limits::kFieldViolationsMax) {
    absl::StrAppend(&message, "\nand ", violations.size() - limits::kFieldViolationsMax, " more");
  }
  const absl::Status plain = FieldViolations(violations, ReasonFor(problems, violations));
  absl::Status status(plain.code(), message);
  plain.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
  return status;
}

}  // namespace

absl::StatusOr<Override> ParseOverride(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return InvalidArgument(
        Reason::kUsage, absl::StrCat("--set: must be PATH=VALUE, got '", SafeText(text, 64), "'"));
  }
  return Override{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

absl::StatusOr<v1::ExperimentSpec> ReadExperiment(absl::string_view yaml,
                                                  absl::Span<const Override> overrides) {
  v1::ExperimentSpec spec;
  ReadResult result = ReadInto(yaml, overrides, spec);
  // What is not YAML at all has no fields to judge.
  if (result.problems.empty() || !result.lines.empty()) AddRuleProblems(spec, result);
  absl::Status status = ToStatus(std::move(result.problems));
  if (!status.ok()) return status;
  return spec;
}

absl::Status ReadMessage(absl::string_view yaml, absl::Span<const Override> overrides,
                         Message* message) {
  return ToStatus(ReadInto(yaml, overrides, *message).problems);
}

}  // namespace cvtrain::plan
