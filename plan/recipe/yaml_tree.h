#ifndef CVTRAIN_PLAN_RECIPE_YAML_TREE_H_
#define CVTRAIN_PLAN_RECIPE_YAML_TREE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace cvtrain::plan {

// The YAML library ends in yaml_tree.cc: the rest of this folder sees a tree of
// text. Internal to the folder. Values; thread-compatible.

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  // Counting from 1; 0 if it comes from an override.
  int line = 0;
  // Of a scalar.
  std::string text;
  // Written in quotes or as a block: text, never a number.
  bool is_quoted = false;
  std::vector<YamlNode> items;     // of a sequence
  std::vector<YamlEntry> entries;  // of a map, in the order of the text
};

struct YamlEntry {
  std::string key;
  int line = 0;
  YamlNode value;
};

// Why a text is not YAML as we take it.
struct YamlProblem {
  int line = 0;  // 0: the text as a whole
  std::string rule;
};

// Reads one document; an empty one is null. Returns false and sets `problem` for
// anything that reader.h refuses, and for what is not YAML. Never throws.
bool ParseYaml(absl::string_view text, YamlNode& root, YamlProblem& problem);

// The value of `key` in a map, or nullptr.
YamlNode* FindEntry(YamlNode& map, absl::string_view key);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_YAML_TREE_H_
