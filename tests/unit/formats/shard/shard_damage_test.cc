// Whatever happens to the bytes of a shard is found before a byte of it is used (promise D5).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/little_endian.h"
#include "common/memory_file_system.h"
#include "common/random.h"
#include "formats/shard/annotation_rules.h"
#include "formats/shard/shard_reader.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::AnnotatedOptions;
using ::cvtrain::formats::testing::MakeShard;
using ::cvtrain::formats::testing::PictureFixture;
using ::cvtrain::formats::testing::SealSmallShard;
using ::cvtrain::formats::testing::ShardFixture;
using ::cvtrain::formats::testing::SmallOptions;
using ::cvtrain::testing::kDataLoss;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Opens and reads everything. Sets `*wrong` if any byte came out that was not written.
absl::Status UseAll(absl::string_view bytes, const std::vector<PictureFixture>& pictures,
                    bool* wrong) {
  absl::StatusOr<std::unique_ptr<ShardReader>> reader = ShardReader::Open(bytes, "s");
  if (!reader.ok()) return reader.status();
  absl::Status first = absl::OkStatus();
  std::string scratch;
  for (int64_t i = 0; i < (*reader)->info().records; ++i) {
    const PictureFixture& picture = pictures[static_cast<size_t>(i)];
    if ((*reader)->key(i) != picture.key || (*reader)->record(i).label != picture.label ||
        (*reader)->annotation_bytes(i) !=
            (picture.annotation.has_value() ? picture.annotation->SerializeAsString() : "")) {
      *wrong = true;
    }
    for (int rung = 0; rung <= static_cast<int>(picture.rungs.size()); ++rung) {
      if (!(*reader)->record(i).HasRung(rung)) continue;
      const auto read = (*reader)->Read(i, rung, &scratch);
      first.Update(read.status());
      if (!read.ok()) continue;
      const auto index = static_cast<size_t>(rung);
      const bool source = index == picture.rungs.size();
      if (*read != (source ? picture.source : picture.rungs[index])) *wrong = true;
    }
  }
  first.Update((*reader)->VerifyAll());
  return first;
}

void FindEveryFlippedBit(ShardFixture shard) {
  std::string& bytes = shard.bytes;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    // Padding is long and all alike: every bit of what carries something, one in 64 of the rest.
    if (bytes[bit / 8] == 0 && bit % 64 != 0) continue;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    bool wrong = false;
    ASSERT_THAT(UseAll(bytes, shard.pictures, &wrong), StatusIs(kDataLoss, Reason("SHARD_BAD")))
        << "bit " << bit % 8 << " of byte " << bit / 8;
    ASSERT_FALSE(wrong) << "bit " << bit % 8 << " of byte " << bit / 8;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
  }
}

TEST(ShardDamageTest, FindsEveryFlippedBit) { FindEveryFlippedBit(MakeShard(2, 40)); }

TEST(ShardDamageTest, FindsEveryFlippedBitOfVersion2) {
  FindEveryFlippedBit(MakeShard(2, 40, AnnotatedOptions()));
}

TEST(ShardDamageTest, FindsFlippedBitsOfALargeOne) {
  KeyedStream random("shard-damage-test/v1", {cvtrain::testing::TestSeed()});
  ShardFixture shard = MakeShard(8, 500'000);
  for (int i = 0; i < 30; ++i) {
    const size_t at = random.UniformInt(shard.bytes.size());
    const char flip = static_cast<char>(1 << random.UniformInt(8));
    shard.bytes[at] = static_cast<char>(shard.bytes[at] ^ flip);
    bool wrong = false;
    ASSERT_THAT(UseAll(shard.bytes, shard.pictures, &wrong),
                StatusIs(kDataLoss, Reason("SHARD_BAD")))
        << "byte " << at;
    ASSERT_FALSE(wrong);
    shard.bytes[at] = static_cast<char>(shard.bytes[at] ^ flip);
  }
}

TEST(ShardDamageTest, NamesShardBlockAndOffset) {
  ShardFixture shard = MakeShard(8, 500'000);
  shard.bytes[(3 << 20) + 17] ^= 1;
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(shard.bytes, "train-00003"));
  EXPECT_THAT(
      reader->VerifyAll(),
      StatusIs(kDataLoss, Message(AllOf(HasSubstr("shard train-00003"), HasSubstr("block 3"),
                                        HasSubstr("offset 3145728")))));
}

TEST(ShardDamageTest, LosesOnlyThePicturesOfADamagedBlock) {
  ShardFixture shard = MakeShard(8, 500'000);
  shard.bytes[(3 << 20) + 17] ^= 1;
  InMemoryFileSystem files;
  CVT_ASSERT_OK(WriteFileAtomic(files, "/s", shard.bytes));
  CVT_ASSERT_OK_AND_ASSIGN(auto memory, ShardReader::Open(shard.bytes, "s"));
  CVT_ASSERT_OK_AND_ASSIGN(auto file, ShardReader::Open(*files.NewRandomAccessFile("/s"), "s"));
  int lost = 0;
  std::string scratch;
  for (int64_t i = 0; i < 8; ++i) {
    const ShardRecord::Extent extent = memory->record(i).extents[2];
    const bool touched = extent.offset < 4 << 20 && extent.offset + extent.length > 3 << 20;
    lost += touched ? 1 : 0;
    EXPECT_EQ(memory->Read(i, 2, &scratch).ok(), !touched) << i;
    EXPECT_EQ(file->Read(i, 2, &scratch).ok(), !touched) << i;
  }
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, 8);
}

TEST(ShardDamageTest, FindsATruncationAtEachLength) {
  const ShardFixture shard = MakeShard(2, 40);
  for (size_t length = 0; length < shard.bytes.size(); ++length) {
    ASSERT_THAT(ShardReader::Open(absl::string_view(shard.bytes).substr(0, length), "s"),
                StatusIs(kDataLoss, Reason("SHARD_BAD")))
        << length;
  }
  EXPECT_THAT(ShardReader::Open(shard.bytes + '\0', "s"), StatusIs(kDataLoss));
}

TEST(ShardDamageTest, FindsATruncationOfVersion2) {
  const ShardFixture shard = MakeShard(2, 40, AnnotatedOptions());
  for (size_t length = 0; length < shard.bytes.size(); length += 61) {
    ASSERT_THAT(ShardReader::Open(absl::string_view(shard.bytes).substr(0, length), "s"),
                StatusIs(kDataLoss, Reason("SHARD_BAD")))
        << length;
  }
}

TEST(ShardDamageTest, FindsATruncatedFile) {
  const ShardFixture shard = MakeShard(2, 40);
  InMemoryFileSystem files;
  for (size_t length = 0; length < shard.bytes.size(); length += 509) {
    CVT_ASSERT_OK(WriteFileAtomic(files, "/s", shard.bytes.substr(0, length)));
    ASSERT_THAT(ShardReader::Open(*files.NewRandomAccessFile("/s"), "s"), StatusIs(kDataLoss))
        << length;
  }
}

// --- Files that lie: every digest is right, the content is not.
// -----------------------------------

// Three pictures: the record table, the keys and the digests are a page each, from 4,096 on.
constexpr size_t kTable = 4096;
constexpr size_t kRecord = 16 + 3 * 8;

TEST(ShardDamageTest, SealingChangesNothingOfAGoodShard) {
  ShardFixture shard = MakeShard(3, 40);
  std::string sealed = shard.bytes;
  SealSmallShard(&sealed);
  EXPECT_EQ(sealed, shard.bytes);
}

struct Lie {
  const char* what;
  const char* found;
  std::function<void(char*)> tell;
};

template <typename T>
std::function<void(char*)> Put(size_t at, T value) {
  return [at, value](char* bytes) { StoreLittleEndian<T>(value, bytes + at); };
}

TEST(ShardDamageTest, RefusesFilesThatLie) {
  const ShardFixture shard = MakeShard(3, 40);
  const size_t r1 = kTable + kRecord;
  const uint64_t huge = uint64_t{1} << 62;
  const Lie lies[] = {
      {"magic", "not a shard", Put<uint64_t>(0, 1)},
      {"newer version", "version 3", Put<uint32_t>(8, 3)},
      {"another version", "unknown media 0", Put<uint32_t>(8, 2)},
      {"page size", "page size", Put<uint32_t>(12, 512)},
      {"file length", "must have", Put<uint64_t>(32, 1)},
      {"no records", "number of records", Put<uint64_t>(40, 0)},
      {"too many records", "number of records", Put<uint64_t>(40, huge)},
      {"negative records", "number of records", Put<int64_t>(40, -1)},
      {"more records", "record 3", Put<uint64_t>(40, 57)},
      {"one record less", "do not follow",
       [](char* b) {
         StoreLittleEndian<uint64_t>(2, b + 40);
         StoreLittleEndian<uint32_t>(7, b + kTable + 16);
       }},
      {"long keys", "length of the keys", Put<uint64_t>(48, huge)},
      {"short keys", "length of the keys", Put<uint64_t>(48, 2)},
      {"other keys", "other keys", Put<uint64_t>(48, 58)},
      {"no classes", "must be a class", Put<uint32_t>(56, 0)},
      {"fewer classes", "not below the number of classes", Put<uint32_t>(56, 2)},
      {"too many rungs", "too many rungs", Put<uint32_t>(60, 9)},
      {"one rung less", "must ascend", Put<uint32_t>(60, 1)},
      {"rungs that descend", "must ascend", Put<uint32_t>(64, 200)},
      {"a rung of 0", "must ascend", Put<uint32_t>(64, 0)},
      {"a huge rung", "must ascend", Put<uint32_t>(68, 1 << 20)},
      {"another rung", "must be absent", Put<uint32_t>(68, 300)},
      {"a negative section", "length of a section", Put<int64_t>(96, -4096)},
      {"a huge section", "length of a section", Put<uint64_t>(104, huge)},
      {"a section of no rung", "length of a section", Put<uint64_t>(120, 1)},
      {"a longer section", "other bytes than its records",
       [](char* b) {
         StoreLittleEndian<uint64_t>(LoadLittleEndian<uint64_t>(b + 112) + 1, b + 112);
       }},
      {"no split", "the split", Put<uint8_t>(200, 0)},
      {"a split that goes on", "the split", Put<uint8_t>(210, 'x')},
      {"a split without end", "the split", [](char* b) { std::fill(b + 200, b + 264, 'x'); }},
      {"reserved bytes", "reserved", Put<uint8_t>(264, 1)},
      {"reserved bytes at the end", "reserved", Put<uint8_t>(4091, 1)},
      {"label", "not below the number of classes", Put<uint32_t>(r1, 3)},
      {"width of 0", "impossible size", Put<uint16_t>(r1 + 4, 0)},
      {"height of 65,535", "impossible size", Put<uint16_t>(r1 + 6, 65'535)},
      {"key elsewhere", "does not follow", Put<uint32_t>(r1 + 8, 0)},
      {"key outside", "does not follow", Put<uint32_t>(r1 + 8, 0xffffffff)},
      {"key of no bytes", "does not follow", Put<uint16_t>(r1 + 12, 0)},
      {"key that is long", "does not follow", Put<uint16_t>(r1 + 12, 1'025)},
      {"format", "unknown format", Put<uint8_t>(r1 + 14, 4)},
      {"orientation", "unknown format or orientation", Put<uint8_t>(r1 + 15, 0)},
      {"offset that overlaps", "do not follow", Put<uint32_t>(r1 + 32, 0)},
      {"offset outside", "do not follow", Put<uint32_t>(r1 + 32, 0xffffffff)},
      {"length outside", "do not follow", Put<uint32_t>(r1 + 36, 0xffffffff)},
      {"length of 0", "must be absent", Put<uint32_t>(r1 + 36, 0)},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.what);
    std::string bytes = shard.bytes;
    lie.tell(bytes.data());
    ASSERT_NE(bytes, shard.bytes) << "this lie is the truth";
    SealSmallShard(&bytes);
    EXPECT_THAT(ShardReader::Open(bytes, "s"),
                StatusIs(kDataLoss, Reason("SHARD_BAD"), Message(HasSubstr(lie.found))));
  }
}

// Version 2 has records that are 8 bytes longer, and a page of annotations behind the digests.
constexpr size_t kAnnotatedRecord = kRecord + 8;
constexpr size_t kAnnotations = 4 * 4096;
constexpr size_t kAnnotatedIndexEnd = 5 * 4096;

TEST(ShardDamageTest, SealingChangesNothingOfAGoodShardOfVersion2) {
  const ShardFixture shard = MakeShard(3, 40, AnnotatedOptions());
  std::string sealed = shard.bytes;
  SealSmallShard(&sealed, kAnnotatedIndexEnd);
  EXPECT_EQ(sealed, shard.bytes);
}

TEST(ShardDamageTest, RefusesFilesOfVersion2ThatLie) {
  const ShardFixture shard = MakeShard(3, 40, AnnotatedOptions());
  const size_t r0 = kTable + kRecord;  // where its annotation is
  const size_t r1 = r0 + kAnnotatedRecord;
  const auto first = static_cast<uint32_t>(shard.pictures[0].annotation->ByteSizeLong());
  const Lie lies[] = {
      {"media", "unknown media 4", Put<uint32_t>(264, 4)},
      {"sounds with rungs", "annotations", Put<uint32_t>(264, 2)},
      {"reserved bytes before", "reserved", Put<uint32_t>(268, 1)},
      {"reserved bytes behind", "reserved", Put<uint8_t>(280, 1)},
      {"negative annotations", "length of the annotations", Put<int64_t>(272, -1)},
      {"huge annotations", "length of the annotations", Put<uint64_t>(272, uint64_t{1} << 62)},
      {"fewer annotations", "does not follow", Put<uint64_t>(272, 3)},
      {"more annotations", "other annotations", Put<uint64_t>(272, 4'000)},
      {"annotation elsewhere", "does not follow", Put<uint32_t>(r1, 0)},
      {"annotation outside", "does not follow", Put<uint32_t>(r1, 0xffffffff)},
      {"length outside", "does not follow", Put<uint32_t>(r0 + 4, 0xffffffff)},
      {"a shorter annotation", "no message", Put<uint32_t>(r0 + 4, first - 1)},
      {"no message", "no message", Put<uint8_t>(kAnnotations, 0xff)},
      {"another message", "must have an area",
       [](char* b) {
         for (size_t i = 0; i < 64; ++i) {
           // The first number of the first box is `right` (tag 0x1d), as the others are 0: NaN.
           if (b[kAnnotations + i] == 0x1d) {
             StoreLittleEndian<uint32_t>(0x7fc00000, b + kAnnotations + i + 1);
             return;
           }
         }
       }},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.what);
    std::string bytes = shard.bytes;
    lie.tell(bytes.data());
    ASSERT_NE(bytes, shard.bytes) << "this lie is the truth";
    SealSmallShard(&bytes, kAnnotatedIndexEnd);
    EXPECT_THAT(ShardReader::Open(bytes, "s"),
                StatusIs(kDataLoss, Reason("SHARD_BAD"), Message(HasSubstr(lie.found))));
  }
}

TEST(ShardDamageTest, RefusesSoundsThatArePictures) {
  ShardWriterOptions options = SmallOptions();
  options.rungs = {};
  options.media = ShardMedia::kSounds;
  const ShardFixture shard = MakeShard(3, 40, options);
  const Lie lies[] = {
      {"a rung", "only pictures have rungs", Put<uint32_t>(60, 1)},
      {"annotations", "length of the annotations", Put<uint64_t>(272, 1)},
      {"a size", "only pictures have a size", Put<uint16_t>(kTable + 4, 8)},
      {"an orientation", "only pictures", Put<uint8_t>(kTable + 15, 2)},
      {"a format", "only pictures", Put<uint8_t>(kTable + 14, 1)},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.what);
    std::string bytes = shard.bytes;
    lie.tell(bytes.data());
    SealSmallShard(&bytes);
    EXPECT_THAT(ShardReader::Open(bytes, "s"),
                StatusIs(kDataLoss, Reason("SHARD_BAD"), Message(HasSubstr(lie.found))));
  }
}

TEST(ShardDamageTest, SurvivesRandomLiesOfVersion2) {
  KeyedStream random("shard-damage-test/v1", {cvtrain::testing::TestSeed(), 2});
  const ShardFixture shard = MakeShard(3, 40, AnnotatedOptions());
  int opened = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes = shard.bytes;
    const size_t at = random.Bernoulli(0.7) ? kAnnotations + random.UniformInt(400)
                                            : kTable + random.UniformInt(3 * kAnnotatedRecord);
    bytes[at] = static_cast<char>(random.NextU32());
    SealSmallShard(&bytes, kAnnotatedIndexEnd);
    const auto reader = ShardReader::Open(bytes, "s");
    if (!reader.ok()) continue;
    ++opened;
    for (int64_t r = 0; r < (*reader)->info().records; ++r) {
      const storage::v1::Annotation annotation = (*reader)->annotation(r);
      EXPECT_EQ(ProblemOf(annotation, (*reader)->record(r).source, (*reader)->info().classes), "");
    }
  }
  EXPECT_GT(opened, 0);
}

TEST(ShardDamageTest, SurvivesRandomLies) {
  KeyedStream random("shard-damage-test/v1", {cvtrain::testing::TestSeed(), 1});
  const ShardFixture shard = MakeShard(3, 40);
  std::string scratch;
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes = shard.bytes;
    for (uint64_t k = 0; k <= random.UniformInt(3); ++k) {
      const size_t at =
          random.Bernoulli(0.5) ? random.UniformInt(264) : kTable + random.UniformInt(3 * kRecord);
      bytes[at] = static_cast<char>(random.NextU32());
    }
    SealSmallShard(&bytes);
    const auto reader = ShardReader::Open(bytes, "s");
    if (!reader.ok()) continue;
    for (int64_t r = 0; r < (*reader)->info().records; ++r) {
      for (int rung = 0; rung <= static_cast<int>((*reader)->info().rungs.size()); ++rung) {
        (*reader)->Read(r, rung, &scratch).IgnoreError();  // no crash, no read outside
      }
    }
  }
}

}  // namespace
}  // namespace cvtrain::formats
