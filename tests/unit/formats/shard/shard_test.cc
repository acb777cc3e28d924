#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/shard/shard_reader.h"
#include "formats/shard/shard_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakePictureFixture;
using ::cvtrain::formats::testing::MakeShard;
using ::cvtrain::formats::testing::PictureFixture;
using ::cvtrain::formats::testing::ShardFixture;
using ::cvtrain::formats::testing::SmallOptions;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<RandomAccessFile> FileOf(InMemoryFileSystem& files, absl::string_view bytes) {
  CVT_CHECK_OK(WriteFileAtomic(files, "/shard", bytes));
  return *files.NewRandomAccessFile("/shard");
}

void ExpectSame(ShardReader& reader, const std::vector<PictureFixture>& pictures) {
  ASSERT_EQ(reader.info().records, static_cast<int64_t>(pictures.size()));
  std::string scratch;
  const int source = static_cast<int>(reader.info().rungs.size());
  for (int64_t i = 0; i < reader.info().records; ++i) {
    const PictureFixture& picture = pictures[static_cast<size_t>(i)];
    EXPECT_EQ(reader.key(i), picture.key);
    EXPECT_EQ(reader.source_digest(i), picture.digest);
    const ShardRecord record = reader.record(i);
    EXPECT_EQ(record.label, picture.label);
    EXPECT_EQ(record.source, picture.size);
    EXPECT_EQ(record.source_format, SourceFormat::kJpeg);
    for (int rung = 0; rung < source; ++rung) {
      const std::string& bytes = picture.rungs[static_cast<size_t>(rung)];
      EXPECT_EQ(record.HasRung(rung), !bytes.empty());
      if (bytes.empty()) {
        EXPECT_THAT(reader.Read(i, rung, &scratch), StatusIs(absl::StatusCode::kNotFound));
      } else {
        EXPECT_THAT(reader.Read(i, rung, &scratch), IsOkAndHolds(bytes));
      }
    }
    EXPECT_THAT(reader.Read(i, source, &scratch), IsOkAndHolds(picture.source));
  }
  CVT_EXPECT_OK(reader.VerifyAll());
}

TEST(ShardTest, ReadsFromMemoryWhatWasWritten) {
  const ShardFixture shard = MakeShard(25, 300);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  ExpectSame(*reader, shard.pictures);
}

TEST(ShardTest, ReadsFromAFileWhatWasWritten) {
  const ShardFixture shard = MakeShard(25, 300);
  InMemoryFileSystem files;
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(FileOf(files, shard.bytes), "s"));
  ExpectSame(*reader, shard.pictures);
}

TEST(ShardTest, ReadsPicturesThatCrossBlocks) {
  const ShardFixture shard = MakeShard(7, 700'000);
  ASSERT_GT(shard.bytes.size(), 5u << 20);
  CVT_ASSERT_OK_AND_ASSIGN(auto memory, ShardReader::Open(shard.bytes, "s"));
  ExpectSame(*memory, shard.pictures);
  InMemoryFileSystem files;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, ShardReader::Open(FileOf(files, shard.bytes), "s"));
  ExpectSame(*file, shard.pictures);
}

TEST(ShardTest, SaysWhatItIs) {
  const ShardFixture shard = MakeShard(4, 100);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  const ShardInfo& info = reader->info();
  EXPECT_EQ(info.split, "train");
  EXPECT_EQ(info.classes, 3u);
  EXPECT_THAT(info.rungs, ElementsAre(72, 112));
  EXPECT_EQ(info.uuid, shard.summary.uuid);
  EXPECT_EQ(info.file_bytes, static_cast<int64_t>(shard.bytes.size()));
  EXPECT_EQ(shard.summary.file_bytes, info.file_bytes);
  EXPECT_EQ(shard.summary.records, 4);
  EXPECT_EQ(shard.summary.digest, Sha256Hex(shard.bytes));
}

TEST(ShardTest, LaysRungsOneAfterTheOther) {
  const ShardFixture shard = MakeShard(30, 100);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  int64_t end = 0;
  for (const ShardRecord::Extent& section : reader->info().sections) {
    EXPECT_EQ(section.offset % kShardPageBytes, 0);
    EXPECT_GE(section.offset, end);
    end = section.offset + section.length;
  }
  const ShardRecord::Extent& rung = reader->info().sections[0];
  for (int64_t i = 0; i < reader->info().records; ++i) {
    const ShardRecord::Extent extent = reader->record(i).extents[0];
    EXPECT_GE(extent.offset, rung.offset);
    EXPECT_LE(extent.offset + extent.length, rung.offset + rung.length);
  }
}

TEST(ShardTest, IsAFunctionOfItsPicturesAndOptions) {
  EXPECT_EQ(MakeShard(5, 100).bytes, MakeShard(5, 100).bytes);
  EXPECT_NE(MakeShard(5, 100).summary.uuid, MakeShard(6, 100).summary.uuid);
}

TEST(ShardTest, HoldsSourcesWithoutRungs) {
  ShardWriterOptions options = SmallOptions();
  options.rungs = {};
  options.split = std::string(63, 's');
  const ShardFixture shard = MakeShard(3, 100, options);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "s"));
  ExpectSame(*reader, shard.pictures);
  EXPECT_EQ(reader->info().split, options.split);
}

TEST(ShardWriterTest, IsEmptyAgainAfterFinish) {
  ShardWriter writer(SmallOptions());
  const PictureFixture picture = MakePictureFixture(0, {72, 112}, 500);
  InMemoryFileSystem files;
  std::string first, second;
  for (std::string* bytes : {&first, &second}) {
    CVT_ASSERT_OK(writer.Add(picture.View()));
    EXPECT_EQ(writer.records(), 1);
    EXPECT_GT(writer.pending_bytes(), 500);
    CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/s", {}));
    CVT_ASSERT_OK(writer.Finish(*file).status());
    EXPECT_EQ(writer.records(), 0);
    *bytes = *ReadFile(files, "/s");
  }
  EXPECT_EQ(first, second);
}

TEST(ShardWriterTest, RefusesAShardWithoutPictures) {
  ShardWriter writer(SmallOptions());
  InMemoryFileSystem files;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/s", {}));
  EXPECT_THAT(writer.Finish(*file), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(ShardWriterTest, RefusesPicturesThatBreakARule) {
  const PictureFixture good = MakePictureFixture(3, {72, 112}, 100);
  ASSERT_FALSE(good.rungs[1].empty());
  ShardWriter writer(SmallOptions());
  const std::string long_key(1025, 'k');
  const auto refuses = [&](const char* rule, auto change) {
    ShardPicture picture = good.View();
    change(picture);
    EXPECT_THAT(writer.Add(picture),
                StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr(rule))));
    EXPECT_EQ(writer.records(), 0);
  };
  refuses("the key", [&](ShardPicture& p) { p.key = ""; });
  refuses("the key", [&](ShardPicture& p) { p.key = long_key; });
  refuses("below 3, got 3", [](ShardPicture& p) { p.label = 3; });
  refuses("got 0x10", [](ShardPicture& p) { p.size = {0, 10}; });
  refuses("got 10x16385", [](ShardPicture& p) { p.size = {10, 16385}; });
  refuses("orientation", [](ShardPicture& p) { p.source_orientation = 9; });
  refuses("32 bytes", [](ShardPicture& p) { p.source_digest = "short"; });
  refuses("the source", [](ShardPicture& p) { p.source = ""; });
  refuses("must have 2 rungs, got 1", [](ShardPicture& p) { p.rungs.pop_back(); });
  refuses("rung 112 must have bytes", [](ShardPicture& p) { p.rungs[1] = ""; });
  refuses("rung 112 must be empty", [](ShardPicture& p) { p.size = {112, 500}; });
  CVT_EXPECT_OK(writer.Add(good.View()));
}

TEST(ShardWriterTest, ReturnsTheErrorsOfTheFile) {
  InMemoryFileSystem memory;
  for (uint64_t quota = 0; quota < 20'000; quota += 1'777) {
    FaultyFileSystem files(memory);
    ShardWriter writer(SmallOptions());
    CVT_ASSERT_OK(writer.Add(MakePictureFixture(3, {72, 112}, 10'000).View()));
    CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/s", {}));
    files.SetQuota(quota);
    EXPECT_THAT(writer.Finish(*file),
                StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  }
}

TEST(ShardReaderTest, ReturnsTheErrorsOfTheFile) {
  const ShardFixture shard = MakeShard(3, 100);
  InMemoryFileSystem memory;
  CVT_ASSERT_OK(WriteFileAtomic(memory, "/shard", shard.bytes));
  FaultyFileSystem files(memory);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader,
                           ShardReader::Open(*files.NewRandomAccessFile("/shard"), "s"));
  files.FailMatching(
      [](absl::string_view operation) { return absl::StrContains(operation, "Read"); },
      FaultyFileSystem::Fault::kDeviceError);
  std::string scratch;
  EXPECT_THAT(reader->Read(0, 2, &scratch), StatusIs(absl::StatusCode::kUnavailable));
  files.ClearFaults();
  EXPECT_THAT(reader->Read(0, 2, &scratch), IsOkAndHolds(shard.pictures[0].source));
}

// The bytes of version 1, as docs/formats/shard.md has them. A program that writes others must call
// them version 2.
TEST(ShardTest, WritesTheGoldenFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::string golden,
                           ReadFile(PosixFileSystem(), "tests/unit/formats/shard/golden/v1.shard"));
  EXPECT_EQ(Sha256Hex(MakeShard(3, 40).bytes), Sha256Hex(golden));
}

TEST(ShardTest, ReadsTheGoldenFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::string golden,
                           ReadFile(PosixFileSystem(), "tests/unit/formats/shard/golden/v1.shard"));
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(golden, "golden"));
  EXPECT_EQ(reader->info().uuid, "2a96a42c-3cf5-8403-8565-473ec49b36f4");
  EXPECT_EQ(reader->info().records, 3);
  EXPECT_EQ(reader->key(1), "class1/picture1.jpg");
  EXPECT_EQ(reader->record(2).label, 2u);
  EXPECT_EQ(reader->record(2).source, (PictureSize{150, 170}));
  std::string scratch;
  CVT_ASSERT_OK_AND_ASSIGN(const absl::string_view rung, reader->Read(2, 1, &scratch));
  EXPECT_EQ(HexEncode(rung), "8f73a6f9c7278ad7c29cb51ac29ae03fcf435a75");
}

}  // namespace
}  // namespace cvtrain::formats
