#include "client/dataset/tar.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/dataset/source_files.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr uint64_t kBlockBytes = 512;
// Of a long name or of pax records.
constexpr uint64_t kExtensionBytesMax = uint64_t{64} << 10;
// Headers in a row that only say something about the next.
constexpr int kExtensionsMax = 16;

absl::string_view Text(absl::string_view field) { return field.substr(0, field.find('\0')); }

// Octal digits, or GNU's base 256, which begins with 0x80.
std::optional<uint64_t> Number(absl::string_view field) {
  if (static_cast<uint8_t>(field[0]) == 0x80) {
    uint64_t value = 0;
    for (const char c : field.substr(1)) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | static_cast<uint8_t>(c);
    }
    return value;
  }
  uint64_t value = 0;
  bool ended = false;
  for (const char c : field) {
    if (c == ' ' || c == '\0') {
      ended = ended || value != 0;
      continue;
    }
    if (c < '0' || c > '7' || ended) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  return value;
}

// The sum of all bytes, those of the sum itself taken as spaces; some wrote it with signed ones.
bool HasRightSum(absl::string_view block) {
  const std::optional<uint64_t> said = Number(block.substr(148, 8));
  if (!said.has_value()) return false;
  int64_t plain = 0;
  int64_t with_sign = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const char c = i >= 148 && i < 156 ? ' ' : block[i];
    plain += static_cast<uint8_t>(c);
    with_sign += static_cast<signed char>(c);
  }
  return static_cast<int64_t>(*said) == plain || static_cast<int64_t>(*said) == with_sign;
}

uint64_t RoundUp(uint64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

}  // namespace

struct TarWalker::Block {
  std::array<char, kBlockBytes> bytes;
  absl::string_view view() const { return {bytes.data(), bytes.size()}; }
};

absl::Status TarWalker::Bad(absl::string_view problem) const {
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("tar ", SafeText(name_), " at offset ", at_, ": ", problem));
}

absl::StatusOr<std::optional<TarMember>> TarWalker::Next() {
  next_name_.reset();
  next_size_.reset();
  for (int extensions = 0; extensions <= kExtensionsMax; ++extensions) {
    Block block;
    CVT_ASSIGN_OR_RETURN(const size_t got, archive_.Read(at_, absl::MakeSpan(block.bytes)));
    if (got == 0 && at_ > 0 && extensions == 0) {
      CVT_ASSIGN_OR_RETURN(const uint64_t size, archive_.Size());
      if (at_ == size) return std::nullopt;
    }
    if (got < kBlockBytes) return Bad("the archive is cut off");
    if (block.view().find_first_not_of('\0') == absl::string_view::npos) return std::nullopt;
    CVT_ASSIGN_OR_RETURN(TarMember member, Parse(block));
    const char type = block.bytes[156];
    if (type == 'x' || type == 'L') {
      CVT_ASSIGN_OR_RETURN(const std::string text, ReadExtension(member));
      if (type == 'x') {
        CVT_RETURN_IF_ERROR(TakePax(text));
      } else {
        next_name_ = std::string(Text(text));
      }
    }
    at_ = member.offset + RoundUp(member.size);
    if (type == 'x' || type == 'L' || type == 'K' || type == 'g') continue;
    return member;
  }
  return Bad("too many headers that say something about the next");
}

absl::StatusOr<TarMember> TarWalker::Parse(const Block& block) {
  const absl::string_view bytes = block.view();
  if (!HasRightSum(bytes)) return Bad("the sum of a header is wrong");
  TarMember member;
  const std::optional<uint64_t> size = Number(bytes.substr(124, 12));
  if (!size.has_value()) return Bad("the size of a member is no number");
  const char type = bytes[156];
  const bool about_next = type == 'x' || type == 'L' || type == 'K' || type == 'g';
  member.size = about_next ? *size : next_size_.value_or(*size);
  member.offset = at_ + kBlockBytes;
  CVT_ASSIGN_OR_RETURN(const uint64_t archive_size, archive_.Size());
  if (member.offset > archive_size || member.size > archive_size - member.offset) {
    return Bad("the archive is cut off within a member");
  }
  if (next_name_.has_value() && !about_next) {
    member.name = *next_name_;
  } else {
    const absl::string_view prefix =
        bytes.substr(257, 6) == absl::string_view("ustar\0", 6) ? Text(bytes.substr(345, 155)) : "";
    member.name = prefix.empty() ? std::string(Text(bytes.substr(0, 100)))
                                 : absl::StrCat(prefix, "/", Text(bytes.substr(0, 100)));
  }
  switch (type) {
    case '0':
    case '7':
    case '\0':
      member.type =
          absl::EndsWith(member.name, "/") ? TarMember::Type::kFolder : TarMember::Type::kFile;
      break;
    case '5':
      member.type = TarMember::Type::kFolder;
      break;
    case '1':
    case '2':
      member.type = TarMember::Type::kLink;
      if (type == '1') member.size = 0;  // some say the size of what it links to
      break;
    default:
      member.type = TarMember::Type::kOther;
      break;
  }
  return member;
}

absl::StatusOr<std::string> TarWalker::ReadExtension(const TarMember& member) {
  if (member.size > kExtensionBytesMax) {
    return Bad(
        absl::StrCat("a long name or its like has more than ", kExtensionBytesMax, " bytes"));
  }
  return ReadRange(archive_, member.offset, member.size);
}

// "LENGTH KEY=VALUE\n", where LENGTH counts all of it.
absl::Status TarWalker::TakePax(absl::string_view records) {
  while (!records.empty() && records[0] != '\0') {
    const size_t space = records.find(' ');
    uint64_t length = 0;
    if (space == absl::string_view::npos || !absl::SimpleAtoi(records.substr(0, space), &length) ||
        length <= space + 1 || length > records.size() || records[length - 1] != '\n') {
      return Bad("a pax record is damaged");
    }
    const std::pair<absl::string_view, absl::string_view> record =
        absl::StrSplit(records.substr(space + 1, length - space - 2), absl::MaxSplits('=', 1));
    if (record.first == "path") next_name_ = std::string(record.second);
    if (record.first == "size") {
      uint64_t size = 0;
      if (!absl::SimpleAtoi(record.second, &size)) return Bad("a pax size is no number");
      next_size_ = size;
    }
    records.remove_prefix(length);
  }
  return absl::OkStatus();
}

std::string ProblemOfMemberName(std::string* name) {
  while (absl::StartsWith(*name, "./")) name->erase(0, 2);
  if (name->empty()) return "is empty";
  if ((*name)[0] == '/') return "is absolute";
  if (name->find('\0') != std::string::npos) return "has a zero byte";
  for (const absl::string_view part : absl::StrSplit(*name, '/')) {
    if (part == "..") return "has `..`";
  }
  return IsSampleKey(*name) ? "" : "is too long";
}

bool IsTar(absl::string_view first_bytes) {
  return first_bytes.size() >= kBlockBytes && HasRightSum(first_bytes.substr(0, kBlockBytes)) &&
         first_bytes.find_first_not_of('\0') != absl::string_view::npos;
}

}  // namespace cvtrain::client
