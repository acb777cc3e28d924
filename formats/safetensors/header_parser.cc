#include "formats/safetensors/header_parser.h"

#include <cstddef>
#include <set>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::formats::internal {
namespace {

constexpr int64_t kIntegerMax = int64_t{1} << 53;
constexpr absl::string_view kMetadataName = "__metadata__";

// A parser by recursive descent whose depth is that of the form: objects in an object, no more.
class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<SafetensorsHeader> Parse() {
    if (!IsValidUtf8(text_)) return Bad("not UTF-8");
    SafetensorsHeader header;
    CVT_RETURN_IF_ERROR(ParseObject([&](std::string name) -> absl::Status {
      if (name == kMetadataName) return ParseMetadata(&header.metadata);
      if (header.entries.size() == limits::kTensorsPerCheckpointMax) {
        return Bad(absl::StrCat("more than ", limits::kTensorsPerCheckpointMax, " tensors"));
      }
      header.entries.emplace_back().name = std::move(name);
      return ParseEntry(&header.entries.back());
    }));
    if (text_.find_first_not_of(' ', at_) != absl::string_view::npos) {
      return Bad("only spaces may follow");
    }
    return header;
  }

 private:
  absl::Status Bad(absl::string_view problem) const {
    return InvalidArgument(Reason::kDataBad, absl::StrCat("header at offset ", at_, ": ", problem));
  }

  void SkipSpace() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  // Whether the next character that is no space is `c`; then it is taken.
  bool Take(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  absl::Status Expect(char c) {
    if (Take(c)) return absl::OkStatus();
    return Bad(absl::StrCat("expected '", absl::string_view(&c, 1), "'"));
  }

  // Calls `value` after each name and its colon.
  template <typename Value>
  absl::Status ParseObject(const Value& value) {
    absl::flat_hash_set<std::string> names;
    CVT_RETURN_IF_ERROR(Expect('{'));
    if (Take('}')) return absl::OkStatus();
    do {
      CVT_ASSIGN_OR_RETURN(std::string name, ParseString());
      if (!names.insert(name).second) {
        return Bad(absl::StrCat("the name ", SafeText(name), " occurs twice"));
      }
      CVT_RETURN_IF_ERROR(Expect(':'));
      CVT_RETURN_IF_ERROR(value(std::move(name)));
    } while (Take(','));
    return Expect('}');
  }

  template <typename Value>
  absl::Status ParseArray(const Value& value) {
    CVT_RETURN_IF_ERROR(Expect('['));
    if (Take(']')) return absl::OkStatus();
    do {
      CVT_RETURN_IF_ERROR(value());
    } while (Take(','));
    return Expect(']');
  }

  absl::Status ParseMetadata(std::map<std::string, std::string>* metadata) {
    return ParseObject([&](const std::string& name) -> absl::Status {
      std::string& value = (*metadata)[name];
      CVT_ASSIGN_OR_RETURN(value, ParseString());
      return absl::OkStatus();
    });
  }

  absl::Status ParseEntry(SafetensorsHeader::Entry* entry) {
    int keys = 0;
    CVT_RETURN_IF_ERROR(ParseObject([&](const std::string& key) -> absl::Status {
      ++keys;
      if (key == "dtype") {
        CVT_ASSIGN_OR_RETURN(entry->dtype, ParseString());
        return absl::OkStatus();
      }
      if (key == "shape") return ParseShape(entry);
      if (key == "data_offsets") return ParseOffsets(entry);
      return Bad(absl::StrCat("unknown key ", SafeText(key)));
    }));
    if (keys == 3) return absl::OkStatus();
    return Bad(
        absl::StrCat("tensor ", SafeText(entry->name), " needs dtype, shape and data_offsets"));
  }

  absl::Status ParseShape(SafetensorsHeader::Entry* entry) {
    return ParseArray([&]() -> absl::Status {
      if (entry->shape.size() == static_cast<size_t>(limits::kTensorRankMax)) {
        return Bad(absl::StrCat("more than ", limits::kTensorRankMax, " dimensions"));
      }
      CVT_ASSIGN_OR_RETURN(const int64_t side, ParseInteger());
      entry->shape.push_back(side);
      return absl::OkStatus();
    });
  }

  absl::Status ParseOffsets(SafetensorsHeader::Entry* entry) {
    size_t count = 0;
    CVT_RETURN_IF_ERROR(ParseArray([&]() -> absl::Status {
      if (count == 2) return Bad("data_offsets must be two numbers");
      CVT_ASSIGN_OR_RETURN(entry->data_offsets[count++], ParseInteger());
      return absl::OkStatus();
    }));
    return count == 2 ? absl::OkStatus() : Bad("data_offsets must be two numbers");
  }

  absl::StatusOr<int64_t> ParseInteger() {
    SkipSpace();
    const size_t begin = at_;
    int64_t value = 0;
    while (at_ < text_.size() && absl::ascii_isdigit(static_cast<unsigned char>(text_[at_]))) {
      value = value * 10 + (text_[at_++] - '0');
      if (value > kIntegerMax) return Bad("the number is too large");
    }
    if (at_ == begin) return Bad("expected an integer that is not negative");
    if (at_ - begin > 1 && text_[begin] == '0') return Bad("a number must not begin with 0");
    return value;
  }

  absl::StatusOr<std::string> ParseString() {
    CVT_RETURN_IF_ERROR(Expect('"'));
    std::string value;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return value;
      if (static_cast<unsigned char>(c) < 0x20) return Bad("control character in a string");
      if (c != '\\') {
        value.push_back(c);
        continue;
      }
      CVT_RETURN_IF_ERROR(ParseEscape(&value));
    }
    return Bad("the string does not end");
  }

  absl::Status ParseEscape(std::string* value) {
    static constexpr absl::string_view kNames = "\"\\/bfnrt";
    static constexpr absl::string_view kValues = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    const size_t found = kNames.find(c);
    if (found != absl::string_view::npos) {
      value->push_back(kValues[found]);
      return absl::OkStatus();
    }
    if (c != 'u') return Bad("unknown escape");
    CVT_ASSIGN_OR_RETURN(uint32_t code, ParseHex4());
    if (code >= 0xdc00 && code < 0xe000) return Bad("half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") return Bad("half of a surrogate pair");
      at_ += 2;
      CVT_ASSIGN_OR_RETURN(const uint32_t low, ParseHex4());
      if (low < 0xdc00 || low >= 0xe000) return Bad("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(code, value);
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> ParseHex4() {
    uint32_t code = 0;
    const absl::string_view digits = text_.substr(at_, 4);
    for (const char c : digits) {
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(c)))
        return Bad("expected four hex digits");
    }
    if (digits.size() != 4 || !absl::SimpleHexAtoi(digits, &code)) {
      return Bad("expected four hex digits");
    }
    at_ += 4;
    return code;
  }

  static void AppendUtf8(uint32_t code, std::string* to) {
    const auto push = [to](uint32_t byte) { to->push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      push(code);
    } else if (code < 0x800) {
      push(0xc0 | code >> 6);
      push(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      push(0xe0 | code >> 12);
      push(0x80 | (code >> 6 & 0x3f));
      push(0x80 | (code & 0x3f));
    } else {
      push(0xf0 | code >> 18);
      push(0x80 | (code >> 12 & 0x3f));
      push(0x80 | (code >> 6 & 0x3f));
      push(0x80 | (code & 0x3f));
    }
  }

  const absl::string_view text_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json) {
  return Parser(json).Parse();
}

}  // namespace cvtrain::formats::internal
