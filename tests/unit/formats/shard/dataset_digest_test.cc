#include "formats/shard/dataset_digest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/sha256.h"

namespace cvtrain::formats {
namespace {

struct Entry {
  std::string split = "train";
  std::string key = "cat/1.jpg";
  uint32_t label = 0;
  std::string source = std::string(32, 'a');
};

const std::vector<std::string> kClasses = {"cat", "dog"};
const LadderOptions kOptions = {{72, 112}, 500, 90, false};

std::string DigestOf(const std::vector<Entry>& entries,
                     const std::vector<std::string>& classes = kClasses,
                     const LadderOptions& options = kOptions) {
  DatasetDigest digest;
  for (const Entry& entry : entries) {
    digest.Add(entry.split, entry.key, entry.label, entry.source);
  }
  return digest.Finish(classes, options);
}

TEST(DatasetDigestTest, DoesNotDependOnTheOrder) {
  const Entry a, b{.key = "cat/2.jpg"}, c{.split = "test"};
  EXPECT_EQ(DigestOf({a, b, c}), DigestOf({c, a, b}));
}

TEST(DatasetDigestTest, DependsOnEverythingElse) {
  const std::string base = DigestOf({Entry{}, Entry{.key = "z"}});
  EXPECT_NE(base, DigestOf({Entry{}}));
  EXPECT_NE(base, DigestOf({Entry{}, Entry{.split = "test", .key = "z"}}));
  EXPECT_NE(base, DigestOf({Entry{}, Entry{.key = "y"}}));
  EXPECT_NE(base, DigestOf({Entry{}, Entry{.key = "z", .label = 1}}));
  EXPECT_NE(base, DigestOf({Entry{}, Entry{.key = "z", .source = std::string(32, 'b')}}));
  const std::vector<Entry> entries = {Entry{}, Entry{.key = "z"}};
  EXPECT_NE(base, DigestOf(entries, {"cat", "fox"}));
  EXPECT_NE(base, DigestOf(entries, {"cat", "dog", "fox"}));
  EXPECT_NE(base, DigestOf(entries, kClasses, {{72, 144}, 500, 90, false}));
  EXPECT_NE(base, DigestOf(entries, kClasses, {{72, 112}, 400, 90, false}));
  EXPECT_NE(base, DigestOf(entries, kClasses, {{72, 112}, 500, 91, false}));
  EXPECT_NE(base, DigestOf(entries, kClasses, {{72, 112}, 500, 90, true}));
}

std::string AnnotatedDigestOf(const std::string& annotation, LadderOptions options = kOptions) {
  options.annotated = true;
  DatasetDigest digest;
  digest.Add("train", "cat/1.jpg", 0, std::string(32, 'a'), annotation);
  return digest.Finish(kClasses, options);
}

TEST(DatasetDigestTest, DependsOnAnnotationsAndMedia) {
  EXPECT_NE(AnnotatedDigestOf(""), DigestOf({Entry{}}));
  EXPECT_NE(AnnotatedDigestOf("boxes"), AnnotatedDigestOf(""));
  EXPECT_NE(AnnotatedDigestOf("boxes"), AnnotatedDigestOf("other boxes"));
  LadderOptions sounds = kOptions;
  sounds.media = ShardMedia::kSounds;
  EXPECT_NE(DigestOf({Entry{}}, kClasses, sounds), DigestOf({Entry{}}));
}

// Or versions that are there already would be made again.
TEST(DatasetDigestTest, OfPlainPicturesDoesNotKnowAnnotations) {
  DatasetDigest digest;
  digest.Add("train", "cat/1.jpg", 0, std::string(32, 'a'), "not looked at");
  EXPECT_EQ(digest.Finish(kClasses, kOptions), DigestOf({Entry{}}));
}

TEST(DatasetDigestTest, KeepsNeighbouringTextsApart) {
  EXPECT_NE(DigestOf({Entry{.split = "ab", .key = "c"}}),
            DigestOf({Entry{.split = "a", .key = "bc"}}));
}

// Written out: the bytes that docs/formats/shard.md says are hashed.
TEST(DatasetDigestTest, HashesTheDocumentedBytes) {
  const auto u64 = [](char low) { return std::string(1, low) + std::string(7, '\0'); };
  const std::string bytes = "cvtrain dataset digest v1\n" + u64(1) + u64(72) +
                            std::string("\xf4\x01\0\0\0\0\0\0", 8) + u64(90) + u64(0) + u64(1) +
                            u64(3) + "cat" + u64(1) + u64(5) + "train" + u64(9) + "cat/1.jpg" +
                            u64(0) + std::string(32, 'a');
  EXPECT_EQ(DigestOf({Entry{}}, {"cat"}, {{72}, 500, 90, false}), Sha256Hex(bytes));
}

TEST(DatasetDigestTest, HashesTheDocumentedBytesOfVersion2) {
  const auto u64 = [](char low) { return std::string(1, low) + std::string(7, '\0'); };
  const Sha256Digest boxes = Sha256Of("boxes");
  const std::string bytes = "cvtrain dataset digest v2\n" + u64(1) + u64(1) + u64(1) + u64(72) +
                            std::string("\xf4\x01\0\0\0\0\0\0", 8) + u64(90) + u64(0) + u64(1) +
                            u64(3) + "cat" + u64(1) + u64(5) + "train" + u64(9) + "cat/1.jpg" +
                            u64(0) + std::string(32, 'a') + std::string(boxes.begin(), boxes.end());
  LadderOptions options = {{72}, 500, 90, false};
  options.annotated = true;
  DatasetDigest digest;
  digest.Add("train", "cat/1.jpg", 0, std::string(32, 'a'), "boxes");
  EXPECT_EQ(digest.Finish({"cat"}, options), Sha256Hex(bytes));
}

}  // namespace
}  // namespace cvtrain::formats
