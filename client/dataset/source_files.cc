#include "client/dataset/source_files.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/image/image.h"

namespace cvtrain::client {
namespace {

constexpr size_t kFirstBytes = 64;
constexpr int kLookDepthMax = 4;
constexpr size_t kLookNamesMax = 64;  // of one folder

bool HasEnding(absl::string_view name, absl::Span<const absl::string_view> endings) {
  const size_t dot = name.rfind('.');
  if (dot == absl::string_view::npos) return false;
  const std::string ending = absl::AsciiStrToLower(name.substr(dot + 1));
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

bool IsSoundByContent(absl::string_view bytes) {
  if (bytes.size() >= 12 && bytes.substr(0, 4) == "RIFF" && bytes.substr(8, 4) == "WAVE") {
    return true;
  }
  return absl::StartsWith(bytes, "fLaC") || absl::StartsWith(bytes, "ID3");
}

std::string FirstBytes(FileSystem& files, const std::string& path) {
  const auto file = files.NewRandomAccessFile(path);
  if (!file.ok()) return "";
  std::string bytes(kFirstBytes, '\0');
  const auto got = (*file)->Read(0, absl::MakeSpan(bytes));
  bytes.resize(got.ok() ? *got : 0);
  return bytes;
}

void Look(FileSystem& files, const std::string& folder, int depth, int* left, KindCounts* counts) {
  size_t seen = 0;
  for (const std::string& name : NamesIn(files, folder)) {
    if (*left == 0 || ++seen > kLookNamesMax) return;
    if (name[0] == '.') continue;
    const std::string path = JoinPath(folder, name);
    if (IsFolder(files, path)) {
      // Each folder gets a share, so that the first does not speak for all.
      int share = std::max(1, *left / 4);
      const int given = share;
      if (depth < kLookDepthMax) Look(files, path, depth + 1, &share, counts);
      *left -= given - share;
    } else if (depth > 0 && IsFile(files, path)) {
      --*left;
      switch (KindOfSource(name, FirstBytes(files, path))) {
        case SourceKind::kPicture:
          ++counts->pictures;
          break;
        case SourceKind::kSound:
          ++counts->sounds;
          break;
        case SourceKind::kOther:
          ++counts->others;
          break;
      }
    }
  }
}

}  // namespace

SourceKind KindOfName(absl::string_view name) {
  constexpr std::array<absl::string_view, 8> kPictures = {"jpg", "jpeg", "png", "webp",
                                                          "tif", "tiff", "bmp", "ppm"};
  constexpr std::array<absl::string_view, 3> kSounds = {"wav", "flac", "mp3"};
  if (HasEnding(name, kPictures)) return SourceKind::kPicture;
  return HasEnding(name, kSounds) ? SourceKind::kSound : SourceKind::kOther;
}

SourceKind KindOfSource(absl::string_view name, absl::string_view first_bytes) {
  if (formats::SniffImageKind(first_bytes) != formats::ImageKind::kUnknown) {
    return SourceKind::kPicture;
  }
  return IsSoundByContent(first_bytes) ? SourceKind::kSound : KindOfName(name);
}

v1::DatasetVersion::Media MediaOf(SourceKind kind) {
  switch (kind) {
    case SourceKind::kPicture:
      return v1::DatasetVersion::MEDIA_IMAGES;
    case SourceKind::kSound:
      return v1::DatasetVersion::MEDIA_AUDIO;
    case SourceKind::kOther:
      break;
  }
  return v1::DatasetVersion::MEDIA_BYTES;
}

KindCounts LookAround(FileSystem& files, const std::string& root, int files_max) {
  KindCounts counts;
  Look(files, root, 0, &files_max, &counts);
  return counts;
}

std::vector<std::string> NamesIn(FileSystem& files, const std::string& folder) {
  auto names = files.ListDir(folder);
  return names.ok() ? *std::move(names) : std::vector<std::string>();
}

bool IsFolder(FileSystem& files, const std::string& path) {
  const auto info = files.Stat(path);
  return info.ok() && info->type == FileInfo::Type::kDirectory;
}

bool IsFile(FileSystem& files, const std::string& path) {
  const auto info = files.Stat(path);
  return info.ok() && info->type == FileInfo::Type::kFile;
}

uint64_t StampOf(const FileInfo& info) {
  constexpr uint64_t kPrime = 0x100000001b3;  // of FNV-1a
  return (info.size_bytes * kPrime) ^ static_cast<uint64_t>(absl::ToUnixNanos(info.modified));
}

bool IsSplitName(absl::string_view name) {
  if (name.empty() || name.size() > limits::kLabelSizeBytesMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

bool IsClassName(absl::string_view name) {
  return !name.empty() && name.size() <= limits::kStringSizeBytesMax && IsValidUtf8(name) &&
         EscapeText(name) == name;
}

bool IsSampleKey(absl::string_view key) {
  return !key.empty() && static_cast<int64_t>(key.size()) <= formats::kShardKeyBytesMax;
}

absl::Status BadSource(absl::string_view format, absl::string_view path,
                       absl::string_view problem) {
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat(format, " ", SafeText(path), ": ", problem));
}

absl::StatusOr<std::string> ReadBeneath(FileSystem& files, const std::string& root,
                                        absl::string_view name, uint64_t size_bytes_max) {
  CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file, files.OpenBeneath(root, name));
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > size_bytes_max) {
    return LimitExceeded("size_bytes_max", absl::StrCat(SafeText(name), ": ", size,
                                                        " bytes, at most ", size_bytes_max));
  }
  return ReadRange(*file, 0, size);
}

absl::StatusOr<std::string> ReadRange(const RandomAccessFile& file, uint64_t offset,
                                      uint64_t length) {
  std::string bytes(static_cast<size_t>(length), '\0');
  CVT_ASSIGN_OR_RETURN(const size_t got, file.Read(offset, absl::MakeSpan(bytes)));
  if (got != bytes.size()) {
    return Unavailable(Reason::kStorageFailed,
                       absl::StrCat("the file ends at ", offset + got, ", ", offset + length,
                                    " bytes are needed: was it changed?"));
  }
  return bytes;
}

bool IsGzip(absl::string_view bytes) { return absl::StartsWith(bytes, "\x1f\x8b"); }

absl::StatusOr<std::string> Gunzip(absl::string_view bytes, uint64_t size_bytes_max) {
  constexpr size_t kPiece = size_t{1} << 16;
  z_stream stream = {};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) {
    return Internal(Reason::kOutOfMemory, "gzip: no memory");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(std::min<size_t>(bytes.size(), kManifestBytesMax));
  std::string out;
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    const size_t before = out.size();
    if (before > size_bytes_max) {
      return LimitExceeded("size_bytes_max",
                           absl::StrCat("gzip: unpacks to more than ", size_bytes_max, " bytes"));
    }
    out.resize(before + kPiece);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kPiece;
    result = inflate(&stream, Z_NO_FLUSH);
    out.resize(before + kPiece - stream.avail_out);
    // Z_BUF_ERROR: nothing more comes of what there is.
    if (result != Z_OK && result != Z_STREAM_END) {
      return InvalidArgument(Reason::kDataBad, "gzip: damaged or cut off");
    }
  }
  return out;
}

SourceBytes WithDigest(std::string bytes) {
  SourceBytes source;
  source.digest = Sha256Of(bytes);
  source.bytes = std::move(bytes);
  return source;
}

}  // namespace cvtrain::client
