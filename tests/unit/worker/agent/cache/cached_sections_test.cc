// ContentCache::GetSections(), on shards of some megabytes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/crc32c.h"
#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/little_endian.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "formats/shard/shard_outline.h"
#include "formats/shard/shard_reader.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/shard/shard_fixtures.h"
#include "worker/agent/cache/content_cache.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kDirectory[] = "/state/cache";
constexpr int32_t kSource = 2;  // of SmallOptions()

// Where a shard comes from.
struct Origin {
  std::string bytes;
  // Of each call.
  std::vector<std::pair<uint64_t, uint64_t>> ranges = {};
  // Ends with UNAVAILABLE after so many bytes, over all calls.
  uint64_t break_after = ~uint64_t{0};
  uint64_t sent = 0;

  ContentKey key() const { return {.digest = Sha256Hex(bytes), .size_bytes = bytes.size()}; }
  ContentCache::Fetch fetch() {
    return [this](uint64_t offset, uint64_t length, const ByteSink& sink) -> absl::Status {
      ranges.emplace_back(offset, length);
      constexpr size_t kPiece = 100'000;  // no divisor of a block
      for (uint64_t at = offset; at < offset + length; at += kPiece) {
        if (sent >= break_after) return Unavailable(cvtrain::Reason::kServerUnreachable, "away");
        const absl::string_view piece =
            absl::string_view(bytes).substr(at, std::min<uint64_t>(kPiece, offset + length - at));
        if (const absl::Status taken = sink(piece); !taken.ok()) return taken;
        sent += piece.size();
      }
      return absl::OkStatus();
    };
  }
};

class CachedSectionsTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    cache_.reset();
    auto cache = ContentCache::Open(files_, kDirectory, {.size_bytes_max = limit_}, telemetry_);
    ASSERT_THAT(cache, IsOk());
    cache_ = *std::move(cache);
  }
  absl::StatusOr<CachedFile> Get(const std::vector<int32_t>& sections) {
    return cache_->GetSections(origin_.key(), sections, origin_.fetch(), StopToken());
  }
  std::string Path(const std::string& suffix) {
    return JoinPath(kDirectory, origin_.key().digest + suffix);
  }
  // Reads all pictures of a section as a trainer does.
  absl::Status ReadSection(const CachedFile& file, int section) {
    std::string bytes(*file.file()->Size(), '\0');
    EXPECT_THAT(file.file()->Read(0, absl::MakeSpan(bytes)), IsOk());
    const auto reader = formats::ShardReader::Open(bytes, "test");
    if (!reader.ok()) return reader.status();
    std::string scratch;
    for (int64_t record = 0; record < (*reader)->info().records; ++record) {
      const bool is_rung = section < kSource;
      if (is_rung && !(*reader)->record(record).HasRung(section)) continue;
      const auto picture = (*reader)->Read(record, section, &scratch);
      if (!picture.ok()) return picture.status();
      const formats::testing::PictureFixture& wanted = shard_.pictures[static_cast<size_t>(record)];
      EXPECT_EQ(*picture, is_rung ? wanted.rungs[static_cast<size_t>(section)] : wanted.source);
    }
    return absl::OkStatus();
  }

  testing::LogCapture log_;
  InMemoryFileSystem files_;
  InMemoryTelemetry telemetry_;
  uint64_t limit_ = uint64_t{1} << 30;
  formats::testing::ShardFixture shard_ = formats::testing::MakeShard(40, 150'000);
  Origin origin_{.bytes = shard_.bytes};
  std::unique_ptr<ContentCache> cache_;
};

TEST_F(CachedSectionsTest, BringsTheSectionAndLittleElse) {
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile file, Get({0}));
  EXPECT_THAT(ReadSection(file, 0), IsOk());
  EXPECT_THAT(ReadSection(file, kSource), StatusIs(absl::StatusCode::kDataLoss))
      << "the whole shard has come";
  EXPECT_LT(origin_.sent, origin_.bytes.size() / 3);
  EXPECT_EQ(cache_->size_bytes(), origin_.sent);
}

TEST_F(CachedSectionsTest, MoreSectionsComeIntoTheSameFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile file, Get({0}));
  const uint64_t before = origin_.sent;
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_EQ(origin_.sent, before) << "it came again";
  EXPECT_THAT(Get({0, 1}), IsOk());
  EXPECT_GT(origin_.sent, before);
  EXPECT_LT(origin_.sent, origin_.bytes.size() / 2);
  EXPECT_THAT(ReadSection(file, 1), IsOk()) << "who has it open does not see the new section";
}

TEST_F(CachedSectionsTest, AShardThatIsCompleteIsAFileLikeAnyOther) {
  EXPECT_THAT(Get({0}), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile file, Get({0, 1, kSource}));
  EXPECT_EQ(origin_.sent, origin_.bytes.size()) << "something came twice";
  EXPECT_TRUE(cache_->Contains(origin_.key().digest));
  EXPECT_TRUE(*Exists(files_, Path("")));
  EXPECT_FALSE(*Exists(files_, Path(".parts")));
  EXPECT_THAT(cache_->Get(origin_.key(), origin_.fetch(), StopToken()), IsOk());
  EXPECT_EQ(origin_.sent, origin_.bytes.size());
  EXPECT_EQ(cache_->size_bytes(), origin_.bytes.size());
}

TEST_F(CachedSectionsTest, FindsItsBlocksAfterARestart) {
  EXPECT_THAT(Get({0}), IsOk());
  const uint64_t before = origin_.sent;
  Reopen();
  CVT_ASSERT_OK_AND_ASSIGN(const auto here, cache_->GetIfHere(origin_.key(), {0}));
  ASSERT_TRUE(here.has_value());
  EXPECT_THAT(ReadSection(*here, 0), IsOk());
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_EQ(origin_.sent, before);
}

TEST_F(CachedSectionsTest, SaysWhatIsNotHere) {
  EXPECT_THAT(Get({0}), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const auto absent, cache_->GetIfHere(origin_.key(), {0, 1}));
  EXPECT_FALSE(absent.has_value());
  CVT_ASSERT_OK_AND_ASSIGN(const auto whole, cache_->GetIfHere(origin_.key()));
  EXPECT_FALSE(whole.has_value());
}

TEST_F(CachedSectionsTest, GoesOnWhereADownloadBroke) {
  origin_.break_after = origin_.bytes.size() / 2;
  EXPECT_THAT(Get({0, 1, kSource}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  Reopen();
  origin_.break_after = ~uint64_t{0};
  EXPECT_THAT(Get({0, 1, kSource}), IsOk());
  EXPECT_LT(origin_.sent, origin_.bytes.size() + 2 * formats::kShardBlockBytes)
      << "more came again than the block that was cut off";
}

TEST_F(CachedSectionsTest, RefusesABlockThatCameDamaged) {
  const ContentKey key = origin_.key();
  const std::string good = origin_.bytes;
  origin_.bytes[good.size() / 2] = static_cast<char>(origin_.bytes[good.size() / 2] ^ 1);
  const auto get = [&] {
    return cache_->GetSections(key, {0, 1, kSource}, origin_.fetch(), StopToken());
  };
  EXPECT_THAT(get(), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  origin_.bytes = good;
  EXPECT_THAT(get(), IsOk());
  EXPECT_TRUE(cache_->Contains(key.digest));
}

TEST_F(CachedSectionsTest, RefusesAnotherShardOfTheSameSize) {
  // Sound in itself, so that only the digest tells it from the one that was asked for.
  ContentKey key = origin_.key();
  key.digest = std::string(64, '7');
  EXPECT_THAT(cache_->GetSections(key, {0, 1, kSource}, origin_.fetch(), StopToken()),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_EQ(cache_->size_bytes(), 0u);
  EXPECT_THAT(*files_.ListDir(kDirectory), IsEmpty());
}

TEST_F(CachedSectionsTest, AnOutlineThatTheBlocksDoNotFitIsNotKept) {
  // A place serves the outline of another sound shard of the same length, then another serves the
  // blocks of the right one.
  const ContentKey key = origin_.key();
  std::string other = origin_.bytes;
  const size_t at = other.size() / 2;
  other[at] = static_cast<char>(other[at] ^ 1);
  {
    const auto outline =
        formats::OutlineOfPage(absl::string_view(other).substr(0, formats::kShardPageBytes),
                               static_cast<int64_t>(other.size()), "other");
    ASSERT_THAT(outline, IsOk());
    const auto footer_at = static_cast<size_t>(outline->footer_at);
    const size_t block = at / static_cast<size_t>(formats::kShardBlockBytes);
    const size_t begin = block * static_cast<size_t>(formats::kShardBlockBytes);
    const size_t bytes = static_cast<size_t>(outline->BlockBytes(static_cast<int64_t>(block)));
    StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(other).substr(begin, bytes)),
                                &other[footer_at + 16 + 4 * block]);
    const size_t end = other.size() - 4;
    StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(other).substr(footer_at, end - footer_at)),
                                &other[end]);
  }
  Origin wrong = {.bytes = other};
  const auto mixed = [&](uint64_t offset, uint64_t length, const ByteSink& sink) {
    const bool outline = offset == 0 || offset + length == other.size();
    return (outline ? wrong : origin_).fetch()(offset, length, sink);
  };
  EXPECT_THAT(cache_->GetSections(key, {0, 1, kSource}, mixed, StopToken()),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(Get({0, 1, kSource}), IsOk()) << "the wrong outline was kept";
}

TEST_F(CachedSectionsTest, TakesThePlaceOfADownloadThatBrokeOff) {
  ASSERT_THAT(WriteFileAtomic(files_, Path(".part"), origin_.bytes.substr(0, 1'000)), IsOk());
  Reopen();
  EXPECT_EQ(cache_->size_bytes(), 1'000u);
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_THAT(*files_.ListDir(kDirectory), SizeIs(1));
  EXPECT_EQ(cache_->size_bytes(), origin_.sent);
}

TEST_F(CachedSectionsTest, AFullDiskLeavesWhatCameBefore) {
  FaultyFileSystem faulty(files_);
  auto cache = ContentCache::Open(faulty, "/other/cache", {.size_bytes_max = limit_}, telemetry_);
  ASSERT_THAT(cache, IsOk());
  faulty.SetQuota(3'000'000);
  const auto get = [&] {
    return (*cache)->GetSections(origin_.key(), {0, 1, kSource}, origin_.fetch(), StopToken());
  };
  EXPECT_THAT(get(), StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  const uint64_t sent = origin_.sent;
  faulty.SetQuota(~uint64_t{0});
  EXPECT_THAT(get(), IsOk());
  EXPECT_LT(origin_.sent - sent, origin_.bytes.size() - 1'000'000) << "all of it came again";
}

TEST_F(CachedSectionsTest, RefusesWhatIsNoShard) {
  origin_.bytes.assign(3'000'000, 'x');
  EXPECT_THAT(Get({0}), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  origin_.bytes.assign(100, 'x');
  EXPECT_THAT(Get({0}), StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
  EXPECT_THAT(*files_.ListDir(kDirectory), IsEmpty());
}

TEST_F(CachedSectionsTest, RefusesASectionThatIsNotThere) {
  EXPECT_THAT(Get({3}), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  EXPECT_THAT(Get({-1}), StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
}

TEST_F(CachedSectionsTest, FindsABlockThatWasDamagedHere) {
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_EQ(cache_->Verify(origin_.key()), ContentCache::Verdict::kGood);
  {
    CVT_ASSERT_OK_AND_ASSIGN(const auto file, files_.NewReadWriteFile(Path(".parts")));
    std::string byte(1, '\0');
    ASSERT_THAT(file->ReadAt(20'000, absl::MakeSpan(byte)), IsOk());
    byte[0] = static_cast<char>(byte[0] ^ 0x10);
    ASSERT_THAT(file->WriteAt(20'000, byte), IsOk());
  }
  EXPECT_EQ(cache_->Verify(origin_.key()), ContentCache::Verdict::kDamaged);
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile file, Get({0}));
  EXPECT_THAT(ReadSection(file, 0), IsOk());
}

TEST_F(CachedSectionsTest, ComesAgainWhenSomebodyHasRemovedTheDirectory) {
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile first, Get({0}));
  ASSERT_THAT(files_.RemoveAll(kDirectory), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const CachedFile second, Get({0, 1}));
  EXPECT_THAT(ReadSection(second, 0), IsOk());
  EXPECT_THAT(ReadSection(second, 1), IsOk());
  EXPECT_EQ(cache_->Verify(origin_.key()), ContentCache::Verdict::kGood);
}

TEST_F(CachedSectionsTest, CountsWhatIsHereAndMakesRoomForIt) {
  EXPECT_THAT(Get({0}), IsOk());
  limit_ = cache_->size_bytes() + formats::kShardBlockBytes;
  Reopen();
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_THAT(Get({0, kSource}),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_THAT(Get({0}), IsOk()) << "what did not fit has cost what did";
  Origin other = {.bytes = formats::testing::MakeShard(30, 150'000).bytes};
  EXPECT_THAT(cache_->GetSections(other.key(), {0}, other.fetch(), StopToken()), IsOk());
  EXPECT_THAT(*files_.ListDir(kDirectory), SizeIs(1)) << "the one before was not given up";
}

TEST_F(CachedSectionsTest, AWholeFileTakesThePlaceOfParts) {
  EXPECT_THAT(Get({0}), IsOk());
  EXPECT_THAT(cache_->Get(origin_.key(), origin_.fetch(), StopToken()), IsOk());
  EXPECT_THAT(*files_.ListDir(kDirectory), SizeIs(1));
  EXPECT_EQ(cache_->size_bytes(), origin_.bytes.size());
}

}  // namespace
}  // namespace cvtrain::worker
