#include "client/dataset/json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

// Builds trees from the events of the parser, which does not recurse.
class TreeBuilder {
 public:
  // Values at this depth are handed on and not kept; below it, trees are built. 0: the whole text.
  // At depth 2, items of the lists of an object.
  TreeBuilder(int tree_depth, TakeJsonItem take)
      : tree_depth_(tree_depth), take_(std::move(take)) {}

  bool Null() { return Add(Json()); }
  bool Bool(bool value) { return Add({.kind = Json::Kind::kBool, .number = value ? 1.0 : 0.0}); }
  bool Int(int value) { return Double(value); }
  bool Uint(unsigned value) { return Double(value); }
  bool Int64(int64_t value) { return Double(static_cast<double>(value)); }
  bool Uint64(uint64_t value) { return Double(static_cast<double>(value)); }
  bool Double(double value) { return Add({.kind = Json::Kind::kNumber, .number = value}); }
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    return Add({.kind = Json::Kind::kText, .text = std::string(text, length)});
  }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    (depth_ == 1 && tree_depth_ == 2 ? list_ : key_) = std::string(text, length);
    return true;
  }
  bool StartObject() { return Open({.kind = Json::Kind::kObject}); }
  bool StartArray() { return Open({.kind = Json::Kind::kList}); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

  const absl::Status& status() const { return status_; }
  // Whether the text has the shape that was asked for.
  bool found_object() const { return found_object_; }

 private:
  bool Fail(absl::Status status) {
    status_ = std::move(status);
    return false;
  }

  bool Count() {
    if (++values_ <= kJsonValuesMax) return true;
    return Fail(LimitExceeded("kJsonValuesMax", absl::StrCat("json: more than ", kJsonValuesMax,
                                                             " values in one piece")));
  }

  // Where a new value belongs: within the tree, or it is one.
  Json* Place(Json value) {
    Json& parent = *open_.back();
    if (parent.kind == Json::Kind::kObject) {
      return &parent.members.emplace_back(std::move(key_), std::move(value)).second;
    }
    return &parent.items.emplace_back(std::move(value));
  }

  bool Add(Json value) {
    if (!open_.empty()) {
      if (!Count()) return false;
      Place(std::move(value));
      return true;
    }
    if (depth_ != tree_depth_ || !in_list_) return true;
    status_ = take_(list_, std::move(value));
    return status_.ok();
  }

  bool Open(Json value) {
    if (depth_ == kJsonDepthMax) {
      return Fail(
          LimitExceeded("kJsonDepthMax", absl::StrCat("json: deeper than ", kJsonDepthMax)));
    }
    if (depth_ == 0 && value.kind == Json::Kind::kObject) found_object_ = true;
    if (depth_ == 1 && tree_depth_ == 2) in_list_ = value.kind == Json::Kind::kList;
    if (!open_.empty()) {
      if (!Count()) return false;
      open_.push_back(Place(std::move(value)));
    } else if (depth_ == tree_depth_ && in_list_) {
      values_ = 0;
      root_ = std::move(value);
      open_.push_back(&root_);
    }
    ++depth_;
    return true;
  }

  bool Close() {
    --depth_;
    if (depth_ == 1 && tree_depth_ == 2) in_list_ = false;
    if (open_.empty()) return true;
    open_.pop_back();
    if (!open_.empty()) return true;
    status_ = take_(list_, std::move(root_));
    root_ = Json();
    return status_.ok();
  }

  const int tree_depth_;
  const TakeJsonItem take_;
  absl::Status status_;
  int depth_ = 0;
  bool found_object_ = false;
  bool in_list_ = tree_depth_ == 0;
  std::string list_;
  std::string key_;
  size_t values_ = 0;
  Json root_;
  // From the root to the innermost value that is open. A value moves only when one is added beside
  // it, and then it is not open.
  std::vector<Json*> open_;
};

absl::Status Parse(absl::string_view text, TreeBuilder* builder) {
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseFullPrecisionFlag |
                              rapidjson::kParseNanAndInfFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, *builder);
  CVT_RETURN_IF_ERROR(builder->status());
  if (result) return absl::OkStatus();
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("json: at offset ", result.Offset(), ": ",
                                      rapidjson::GetParseError_En(result.Code())));
}

}  // namespace

const Json* Json::Find(absl::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<int64_t> Json::AsInteger() const {
  constexpr double kMax = 9007199254740992.0;  // 2^53
  if (kind != Kind::kNumber || !(std::abs(number) <= kMax) || number != std::floor(number)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(number);
}

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Json tree;
  TreeBuilder builder(0, [&](absl::string_view, Json value) {
    tree = std::move(value);
    return absl::OkStatus();
  });
  CVT_RETURN_IF_ERROR(Parse(text, &builder));
  return tree;
}

absl::Status ParseJsonLists(absl::string_view text, const TakeJsonItem& take) {
  TreeBuilder builder(2, take);
  CVT_RETURN_IF_ERROR(Parse(text, &builder));
  if (builder.found_object()) return absl::OkStatus();
  return InvalidArgument(Reason::kDataBad, "json: must be an object");
}

}  // namespace cvtrain::client
