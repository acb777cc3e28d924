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
  if (annotation.has_value()) view.annotation = &*annotation;
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
  picture.digest.assign(digest.begin(), digest.end());
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

ShardWriterOptions AnnotatedOptions() {
  ShardWriterOptions options = SmallOptions();
  options.annotated = true;
  return options;
}

storage::v1::Annotation MakeAnnotation(PictureSize size, uint32_t label) {
  const auto width = static_cast<float>(size.width);
  const auto height = static_cast<float>(size.height);
  storage::v1::Annotation annotation;
  storage::v1::Box& whole = *annotation.add_boxes();
  whole.set_right(width);
  whole.set_bottom(height);
  whole.set_label(label);
  storage::v1::Polygon& triangle = *whole.mutable_mask()->add_polygons();
  for (const float number : {0.0f, 0.0f, width, 0.0f, width / 2, height}) {
    triangle.add_points(number);
  }
  storage::v1::Box& crowd = *annotation.add_boxes();
  crowd.set_left(1.5f);
  crowd.set_top(2.25f);
  crowd.set_right(10);
  crowd.set_bottom(20.5f);
  crowd.set_crowd(true);
  storage::v1::RunLengths& runs = *crowd.mutable_mask()->mutable_run_lengths();
  runs.set_width(static_cast<uint32_t>(size.width));
  runs.set_height(static_cast<uint32_t>(size.height));
  const auto pixels = static_cast<uint32_t>(size.width * size.height);
  for (const uint32_t length : {uint32_t{7}, uint32_t{11}, pixels - 18}) runs.add_lengths(length);
  storage::v1::Box& difficult = *annotation.add_boxes();
  difficult.set_left(3);
  difficult.set_top(4);
  difficult.set_right(5);
  difficult.set_bottom(6);
  difficult.set_difficult(true);
  return annotation;
}

ShardFixture MakeShard(int pictures, size_t source_bytes, const ShardWriterOptions& options) {
  ShardFixture fixture;
  ShardWriter writer(options);
  for (int i = 0; i < pictures; ++i) {
    fixture.pictures.push_back(MakePictureFixture(i, options.rungs, source_bytes));
    PictureFixture& picture = fixture.pictures.back();
    if (options.annotated && i % 2 == 0) {
      picture.annotation = MakeAnnotation(picture.size, picture.label);
    }
    ShardPicture view = picture.View();
    if (options.media != ShardMedia::kPictures) {
      picture.size = view.size = {};
      view.source_format = SourceFormat::kOther;
    }
    CVT_CHECK_OK(writer.Add(view));
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

void SealSmallShard(std::string* bytes, size_t index_end) {
  const Sha256Digest digest = Sha256Of(absl::string_view(*bytes).substr(4096, index_end - 4096));
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
