// Version 2: pictures with boxes and masks, sounds, other files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/file_system.h"
#include "common/limits.h"
#include "common/little_endian.h"
#include "common/sha256.h"
#include "formats/shard/shard_reader.h"
#include "formats/shard/shard_writer.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::AnnotatedOptions;
using ::cvtrain::formats::testing::MakeAnnotation;
using ::cvtrain::formats::testing::MakePictureFixture;
using ::cvtrain::formats::testing::MakeShard;
using ::cvtrain::formats::testing::PictureFixture;
using ::cvtrain::formats::testing::ShardFixture;
using ::cvtrain::formats::testing::SmallOptions;
using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kGolden[] = "tests/unit/formats/shard/golden/v2.shard";

ShardWriterOptions SoundOptions() {
  ShardWriterOptions options = SmallOptions();
  options.rungs = {};
  options.media = ShardMedia::kSounds;
  return options;
}

uint32_t VersionOf(const std::string& shard) {
  return LoadLittleEndian<uint32_t>(shard.data() + 8);
}

TEST(ShardAnnotatedTest, ReadsTheBoxesThatWereWritten) {
  const ShardFixture shard = MakeShard(5, 200, AnnotatedOptions());
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  EXPECT_EQ(reader->info().version, 2u);
  EXPECT_EQ(reader->info().media, ShardMedia::kPictures);
  CVT_EXPECT_OK(reader->VerifyAll());
  std::string scratch;
  for (int64_t i = 0; i < 5; ++i) {
    const PictureFixture& picture = shard.pictures[static_cast<size_t>(i)];
    EXPECT_EQ(reader->key(i), picture.key);
    EXPECT_EQ(reader->source_digest(i), picture.digest);
    EXPECT_THAT(reader->Read(i, 2, &scratch), IsOkAndHolds(picture.source));
    if (i % 2 == 1) {
      EXPECT_EQ(reader->annotation(i).boxes_size(), 0);
      EXPECT_EQ(reader->annotation_bytes(i), "");
      EXPECT_EQ(reader->record(i).annotation.length, 0);
    } else {
      EXPECT_THAT(reader->annotation(i), EqualsProto(*picture.annotation));
      EXPECT_EQ(reader->annotation(i).boxes_size(), 3);
    }
  }
}

TEST(ShardAnnotatedTest, ReadsThemFromAFile) {
  const ShardFixture shard = MakeShard(3, 200, AnnotatedOptions());
  CVT_ASSERT_OK(
      WriteFileAtomic(PosixFileSystem(), ::testing::TempDir() + "/v2.shard", shard.bytes));
  CVT_ASSERT_OK_AND_ASSIGN(
      auto file, PosixFileSystem().NewRandomAccessFile(::testing::TempDir() + "/v2.shard"));
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(std::move(file), "s"));
  EXPECT_THAT(reader->annotation(2), EqualsProto(*shard.pictures[2].annotation));
  CVT_EXPECT_OK(PosixFileSystem().Remove(::testing::TempDir() + "/v2.shard"));
}

TEST(ShardAnnotatedTest, HoldsSoundsWithoutSizesAndRungs) {
  const ShardFixture shard = MakeShard(3, 200, SoundOptions());
  EXPECT_EQ(VersionOf(shard.bytes), 2u);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  EXPECT_EQ(reader->info().media, ShardMedia::kSounds);
  EXPECT_TRUE(reader->info().rungs.empty());
  EXPECT_EQ(reader->record(1).source, (PictureSize{0, 0}));
  EXPECT_EQ(reader->record(1).source_format, SourceFormat::kOther);
  std::string scratch;
  EXPECT_THAT(reader->Read(1, 0, &scratch), IsOkAndHolds(shard.pictures[1].source));
  CVT_EXPECT_OK(reader->VerifyAll());
}

TEST(ShardAnnotatedTest, IsWrittenOnlyWhereItIsNeeded) {
  EXPECT_EQ(VersionOf(MakeShard(3, 40).bytes), 1u);
  EXPECT_EQ(VersionOf(MakeShard(3, 40, AnnotatedOptions()).bytes), 2u);
  // A shard of a set with boxes is one even if its own pictures have none.
  EXPECT_EQ(VersionOf(MakeShard(1, 40, AnnotatedOptions()).bytes), 2u);
}

TEST(ShardAnnotatedTest, RefusesAnnotationsThatBreakARule) {
  ShardWriter writer(AnnotatedOptions());
  PictureFixture picture = MakePictureFixture(1, {72, 112}, 40);
  picture.annotation = MakeAnnotation(picture.size, 0);
  picture.annotation->mutable_boxes(0)->set_label(3);
  EXPECT_THAT(writer.Add(picture.View()),
              StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr("label"))));
  picture.annotation = MakeAnnotation({1000, 1000}, 0);
  EXPECT_THAT(writer.Add(picture.View()), StatusIs(kInvalid, Message(HasSubstr("lie within"))));
  EXPECT_EQ(writer.records(), 0);
}

TEST(ShardAnnotatedTest, RefusesAnnotationsInVersion1) {
  ShardWriter writer(SmallOptions());
  PictureFixture picture = MakePictureFixture(1, {72, 112}, 40);
  picture.annotation = MakeAnnotation(picture.size, 0);
  EXPECT_THAT(writer.Add(picture.View()),
              StatusIs(kInvalid, Message(HasSubstr("not one with annotations"))));
}

TEST(ShardAnnotatedTest, RefusesSoundsWithASize) {
  ShardWriter writer(SoundOptions());
  EXPECT_THAT(writer.Add(MakePictureFixture(1, {}, 40).View()),
              StatusIs(kInvalid, Message(HasSubstr("only pictures"))));
}

// Else it would write what no reader opens.
TEST(ShardAnnotatedTest, HasABoundForItsIndex) {
  ShardWriter writer(AnnotatedOptions());
  PictureFixture picture = MakePictureFixture(1, {72, 112}, 40);
  storage::v1::Box& box = *picture.annotation.emplace().add_boxes();
  box.set_right(8);
  box.set_bottom(8);
  box.mutable_mask()->add_polygons()->mutable_points()->Resize(600'000, 1);  // 2.4 MB
  absl::Status status;
  int added = 0;
  while (status.ok() && added < 100) {
    status = writer.Add(picture.View());
    added += status.ok() ? 1 : 0;
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_GT(added, 10);
  EXPECT_LE(writer.pending_index_bytes(), static_cast<int64_t>(limits::kShardIndexSizeBytesMax));
}

// The bytes of version 2, as docs/formats/shard.md has them.
TEST(ShardAnnotatedTest, WritesTheGoldenFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::string golden, ReadFile(PosixFileSystem(), kGolden));
  EXPECT_EQ(Sha256Hex(MakeShard(3, 40, AnnotatedOptions()).bytes), Sha256Hex(golden));
}

TEST(ShardAnnotatedTest, ReadsTheGoldenFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::string golden, ReadFile(PosixFileSystem(), kGolden));
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(golden, "golden"));
  EXPECT_EQ(reader->info().records, 3);
  EXPECT_EQ(reader->key(1), "class1/picture1.jpg");
  ASSERT_EQ(reader->annotation(2).boxes_size(), 3);
  EXPECT_THAT(reader->annotation(2).boxes(1), EqualsProto(R"pb(
                left: 1.5
                top: 2.25
                right: 10
                bottom: 20.5
                crowd: true
                mask {
                  run_lengths {
                    width: 150
                    height: 170
                    lengths: [ 7, 11, 25482 ]
                  }
                })pb"));
  CVT_EXPECT_OK(reader->VerifyAll());
}

}  // namespace
}  // namespace cvtrain::formats
