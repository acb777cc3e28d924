#include "plan/recipe/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/text.h"

namespace cvtrain::plan {
namespace {

// Thrown by TreeBuilder through the parser, caught in ParseYaml().
class Refusal : public std::exception {
 public:
  Refusal(const YAML::Mark& mark, std::string rule) : problem_{mark.line + 1, std::move(rule)} {}
  const char* what() const noexcept override { return problem_.rule.c_str(); }

  const YamlProblem& problem() const { return problem_; }

 private:
  YamlProblem problem_;
};

// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlNode& root) : root_(root) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    RefuseAnchor(mark, anchor);
    if (IsKeyNext()) throw Refusal(mark, "a key must not be empty");
    Place(mark).kind = YamlNode::Kind::kNull;
    Close();
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refusal(mark, "aliases (*name) are not allowed: write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    if (IsKeyNext()) {
      AddKey(mark, value);
      return;
    }
    YamlNode& node = Place(mark);
    node.kind = YamlNode::Kind::kScalar;
    node.text = value;
    node.is_quoted = tag == "!";
    Close();
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { CloseOpened(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { CloseOpened(); }

 private:
  // A map or sequence whose end has not come.
  struct Frame {
    YamlNode* node;
    bool has_key = false;        // of a map: the value of the last entry comes next
    std::set<std::string> keys;  // of a map
  };

  static void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      throw Refusal(mark, "anchors (&name) are not allowed: write the value out");
    }
  }

  // "?" and "!" are what the parser gives to values without a tag.
  static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refusal(mark, "tags (!name) are not allowed: the field says the type");
    }
  }

  bool IsKeyNext() const {
    return !frames_.empty() && frames_.back().node->kind == YamlNode::Kind::kMap &&
           !frames_.back().has_key;
  }

  void AddKey(const YAML::Mark& mark, const std::string& key) {
    YamlNode& map = *frames_.back().node;
    if (!frames_.back().keys.insert(key).second) {
      throw Refusal(mark, absl::StrCat("key '", SafeText(key, 64), "' is given twice"));
    }
    map.entries.push_back({key, mark.line + 1, {}});
    frames_.back().has_key = true;
  }

  // The node that the next value becomes. Nodes of open frames do not move: only
  // the innermost one grows.
  YamlNode& Place(const YAML::Mark& mark) {
    YamlNode* node = &root_;
    if (!frames_.empty()) {
      YamlNode& parent = *frames_.back().node;
      node = parent.kind == YamlNode::Kind::kMap ? &parent.entries.back().value
                                                 : &parent.items.emplace_back();
    }
    node->line = mark.line + 1;
    return *node;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    RefuseAnchor(mark, anchor);
    RefuseTag(mark, tag);
    if (IsKeyNext()) throw Refusal(mark, "a key must be plain text");
    if (frames_.size() >= limits::kRecipeDepthMax) {
      throw Refusal(mark, absl::StrCat("nested deeper than ", limits::kRecipeDepthMax, " levels"));
    }
    YamlNode& node = Place(mark);
    node.kind = kind;
    frames_.push_back({.node = &node, .keys = {}});
  }

  void CloseOpened() {
    frames_.pop_back();
    Close();
  }

  // A value is complete.
  void Close() {
    if (!frames_.empty()) frames_.back().has_key = false;
  }

  YamlNode& root_;
  std::vector<Frame> frames_;
};

// Returns the line, counting from 1, of the first character that YAML files must
// not hold, or 0.
int LineOfControlCharacter(absl::string_view text) {
  int line = 1;
  for (char c : text) {
    if (c == '\n') ++line;
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) return line;
  }
  return 0;
}

bool CheckText(absl::string_view text, YamlProblem& problem) {
  if (text.size() > limits::kRecipeSizeBytesMax) {
    problem = {0, absl::StrCat("is larger than ", FormatBytes(limits::kRecipeSizeBytesMax),
                               " (limit recipe_size_bytes_max), got ", FormatBytes(text.size()))};
    return false;
  }
  if (!IsValidUtf8(text)) {
    problem = {0, "is not UTF-8"};
    return false;
  }
  if (const int line = LineOfControlCharacter(text); line != 0) {
    problem = {line, "holds a control character"};
    return false;
  }
  return true;
}

}  // namespace

bool ParseYaml(absl::string_view text, YamlNode& root, YamlProblem& problem) {
  root = {};
  if (!CheckText(text, problem)) return false;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(root);
    parser.HandleNextDocument(builder);
    YamlNode more;
    TreeBuilder next(more);
    if (parser.HandleNextDocument(next)) {
      problem = {more.line, "holds more than one document: submit one file for each"};
      return false;
    }
    return true;
  } catch (const Refusal& refusal) {
    problem = refusal.problem();
  } catch (const YAML::Exception& exception) {
    const int line = exception.mark.is_null() ? 0 : exception.mark.line + 1;
    problem = {line, absl::StrCat("is not YAML: ", SafeText(exception.msg))};
  } catch (const std::exception& exception) {
    problem = {0, absl::StrCat("is not YAML: ", SafeText(exception.what()))};
  }
  return false;
}

YamlNode* FindEntry(YamlNode& map, absl::string_view key) {
  for (YamlEntry& entry : map.entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

}  // namespace cvtrain::plan
