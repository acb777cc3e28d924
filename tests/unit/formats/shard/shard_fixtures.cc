#include "tests/unit/formats/shard/shard_fixtures.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/memory_file_system.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace cvtrain::formats::testing {
namespace {

std::string Bytes(KeyedStream* stream, size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(stream->NextU32());
  return bytes;
}

}  // namespace

ShardPicture PictureFixture::View() const {
  ShardPicture view;
  view.key = key;
  view.label = label;
  view.size = size;
  view.source_digest = digest;
  for (const std::string& rung : rungs) view.rungs.push_back(rung);
  view.source = source;
  return view;
}

PictureFixture MakePictureFixture(int index, const std::vector<int>& rungs, size_t bytes) {
  KeyedStream stream("shard-fixture/v1", {static_cast<uint64_t>(index)});
  PictureFixture picture;
  picture.key = absl::StrCat("class", index % 3, "/picture", index, ".jpg");
  picture.label = static_cast<uint32_t>(index % 3);
  picture.size = {60 + 45 * (index % 5), 50 + 60 * (index % 4)};
  picture.source = Bytes(&stream, bytes + stream.UniformInt(bytes + 1));
  const Sha256Digest digest = Sha256Of(picture.source);
  picture.digest = std::string(digest.begin(), digest.end());
  for (const int rung : rungs) {
    const bool absent = std::min(picture.size.width, picture.size.height) <= rung;
    picture.rungs.push_back(absent ? "" : Bytes(&stream, 1 + stream.UniformInt(bytes / 2 + 1)));
  }
  return picture;
}

ShardWriterOptions SmallOptions() {
  ShardWriterOptions options;
  options.split = "train";
  options.rungs = {72, 112};
  options.classes = 3;
  return options;
}

ShardFixture MakeShard(int pictures, size_t source_bytes, const ShardWriterOptions& options) {
  ShardFixture fixture;
  ShardWriter writer(options);
  for (int i = 0; i < pictures; ++i) {
    fixture.pictures.push_back(MakePictureFixture(i, options.rungs, source_bytes));
    CVT_CHECK_OK(writer.Add(fixture.pictures.back().View()));
  }
  InMemoryFileSystem files;
  auto file = files.NewWritableFile("/shard", {});
  CVT_CHECK_OK(file.status());
  auto summary = writer.Finish(**file);
  CVT_CHECK_OK(summary.status());
  CVT_CHECK_OK((*file)->Close());
  fixture.summary = *summary;
  fixture.bytes = *ReadFile(files, "/shard");
  return fixture;
}

void SealSmallShard(std::string* bytes) {
  constexpr size_t kIndexEnd = 4 * 4096;
  const Sha256Digest digest = Sha256Of(absl::string_view(*bytes).substr(4096, kIndexEnd - 4096));
  std::copy(digest.begin(), digest.end(), bytes->begin() + 168);
  std::copy(digest.begin(), digest.begin() + 16, bytes->begin() + 16);
  (*bytes)[22] = static_cast<char>(((*bytes)[22] & 0x0f) | 0x80);
  (*bytes)[24] = static_cast<char>(((*bytes)[24] & 0x3f) | 0x80);
  const absl::string_view view(*bytes);
  StoreLittleEndian<uint32_t>(Crc32c(view.substr(0, 4092)), bytes->data() + 4092);
  const size_t footer = bytes->size() - 24;
  StoreLittleEndian<uint32_t>(Crc32c(view.substr(0, footer)), bytes->data() + footer + 16);
  StoreLittleEndian<uint32_t>(Crc32c(view.substr(footer, 20)), bytes->data() + footer + 20);
}

}  // namespace cvtrain::formats::testing
