#include "client/dataset/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/memory_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class ImageFolderTest : public ::testing::Test {
 protected:
  void Put(const std::string& path) {
    CVT_ASSERT_OK(files_.CreateDir(DirName(path)));
    CVT_ASSERT_OK(WriteFileAtomic(files_, path, "x"));
  }
  // Class `label` with `count` files.
  void PutMany(const std::string& folder, int count) {
    for (int i = 0; i < count; ++i) Put(absl::StrCat(folder, "/", i, ".jpg"));
  }

  InMemoryFileSystem files_;
};

std::vector<std::string> Keys(const ImageFolder::Split& split) {
  std::vector<std::string> keys;
  for (const ImageFolder::File& file : split.files) keys.push_back(file.key);
  return keys;
}

TEST_F(ImageFolderTest, ReadsSplitsOfClasses) {
  Put("/d/train/dog/2.jpg");
  Put("/d/train/dog/1.jpg");
  Put("/d/train/cat/9.png");
  Put("/d/test/cat/1.jpg");
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder, ListImageFolder(files_, "/d"));
  EXPECT_THAT(folder.classes, ElementsAre("cat", "dog"));
  ASSERT_EQ(folder.splits.size(), 2u);
  EXPECT_EQ(folder.splits[0].name, "test");
  EXPECT_EQ(folder.splits[1].name, "train");
  EXPECT_THAT(Keys(folder.splits[1]), ElementsAre("cat/9.png", "dog/1.jpg", "dog/2.jpg"));
  EXPECT_EQ(folder.splits[1].files[1].label, 1u);
  EXPECT_EQ(folder.splits[1].files[1].path, "/d/train/dog/1.jpg");
  EXPECT_EQ(folder.splits[0].files[0].label, 0u);
  EXPECT_THAT(folder.passed_over, IsEmpty());
}

TEST_F(ImageFolderTest, ReadsFoldersBelowAClass) {
  Put("/d/train/cat/2019/summer/1.jpg");
  Put("/d/train/cat/1.jpg");
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder, ListImageFolder(files_, "/d"));
  EXPECT_THAT(Keys(folder.splits[0]), ElementsAre("cat/1.jpg", "cat/2019/summer/1.jpg"));
}

TEST_F(ImageFolderTest, TakesTrainForAClassIfItHasNoFolders) {
  Put("/d/train/1.jpg");  // pictures of trains
  Put("/d/plane/1.jpg");
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder,
                           ListImageFolder(files_, "/d", {.train_fraction = 1}));
  EXPECT_THAT(folder.classes, ElementsAre("plane", "train"));
}

TEST_F(ImageFolderTest, HoldsOutAShareOfEachClass) {
  PutMany("/d/cat", 20);
  PutMany("/d/dog", 10);
  PutMany("/d/fox", 2);
  PutMany("/d/owl", 1);
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder,
                           ListImageFolder(files_, "/d", {.train_fraction = 0.8}));
  ASSERT_EQ(folder.splits.size(), 2u);
  std::vector<int> counts[2];
  for (int s = 0; s < 2; ++s) {
    counts[s].resize(4);
    for (const auto& file : folder.splits[static_cast<size_t>(s)].files) ++counts[s][file.label];
  }
  EXPECT_EQ(folder.splits[0].name, "test");
  EXPECT_THAT(counts[0], ElementsAre(4, 2, 1, 0));
  EXPECT_THAT(counts[1], ElementsAre(16, 8, 1, 1));
  std::set<std::string> all;
  for (const auto& split : folder.splits) {
    for (const auto& file : split.files) EXPECT_TRUE(all.insert(file.key).second) << file.key;
  }
  EXPECT_EQ(all.size(), 33u);
}

TEST_F(ImageFolderTest, HoldsOutTheSameFilesForTheSameSeed) {
  PutMany("/d/cat", 40);
  const auto held_out = [&](uint64_t seed) {
    return Keys(ListImageFolder(files_, "/d", {.train_fraction = 0.5, .seed = seed})->splits[0]);
  };
  EXPECT_EQ(held_out(1), held_out(1));
  EXPECT_NE(held_out(1), held_out(2));
}

TEST_F(ImageFolderTest, KeepsEverythingInTrainIfAsked) {
  PutMany("/d/cat", 4);
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder,
                           ListImageFolder(files_, "/d", {.train_fraction = 1}));
  ASSERT_EQ(folder.splits.size(), 1u);
  EXPECT_EQ(folder.splits[0].name, "train");
  EXPECT_EQ(folder.splits[0].files.size(), 4u);
}

TEST_F(ImageFolderTest, CountsWhatLiesInNoClassAndIgnoresHiddenNames) {
  Put("/d/LICENSE");
  Put("/d/train/labels.csv");
  Put("/d/train/cat/1.jpg");
  Put("/d/.git/config");
  Put("/d/train/cat/.DS_Store");
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder, ListImageFolder(files_, "/d"));
  EXPECT_THAT(folder.passed_over, ElementsAre(Pair("outside_class", 2)));
  EXPECT_THAT(Keys(folder.splits[0]), ElementsAre("cat/1.jpg"));
}

TEST_F(ImageFolderTest, RefusesFoldersThatAreNone) {
  CVT_ASSERT_OK(files_.CreateDir("/empty"));
  EXPECT_THAT(ListImageFolder(files_, "/empty"),
              StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr("CLASS/FILE"))));
  Put("/flat/1.jpg");
  EXPECT_THAT(ListImageFolder(files_, "/flat"), StatusIs(kInvalid));
  EXPECT_THAT(ListImageFolder(files_, "/missing"),
              StatusIs(absl::StatusCode::kNotFound, Message(HasSubstr("/missing"))));
}

TEST_F(ImageFolderTest, RefusesAClassWithoutFiles) {
  Put("/d/train/cat/1.jpg");
  CVT_ASSERT_OK(files_.CreateDir("/d/train/dog"));
  EXPECT_THAT(ListImageFolder(files_, "/d"),
              StatusIs(kInvalid, Message(HasSubstr("class dog has no files"))));
  Put("/d/test/dog/1.jpg");  // enough
  CVT_EXPECT_OK(ListImageFolder(files_, "/d"));
}

TEST_F(ImageFolderTest, RefusesNamesThatCannotBeStored) {
  Put("/a/train/cat/1.jpg");
  Put("/a/Test Set/cat/1.jpg");
  EXPECT_THAT(ListImageFolder(files_, "/a"), StatusIs(kInvalid, Message(HasSubstr("Test Set"))));
  Put("/b/c\x1b[31m/1.jpg");
  EXPECT_THAT(ListImageFolder(files_, "/b"),
              StatusIs(kInvalid, Message(::testing::AllOf(HasSubstr("plain UTF-8"),
                                                          ::testing::Not(HasSubstr("\x1b"))))));
}

TEST_F(ImageFolderTest, RefusesAShareOutOfRange) {
  Put("/d/cat/1.jpg");
  for (const double fraction : {0.0, -1.0, 1.5, std::nan("")}) {
    EXPECT_THAT(ListImageFolder(files_, "/d", {.train_fraction = fraction}),
                StatusIs(kInvalid, Message(HasSubstr("train_fraction"))));
  }
}

TEST_F(ImageFolderTest, RefusesFoldersThatAreTooDeep) {
  std::string path = "/d/cat";
  for (int i = 0; i < 16; ++i) path += "/x";
  Put(path + "/1.jpg");
  EXPECT_THAT(ListImageFolder(files_, "/d"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ImageFolderOnDiskTest, FollowsNoLinks) {
  TempDir dir;
  std::filesystem::create_directories(dir / "d/train/cat");
  std::filesystem::create_directories(dir / "elsewhere");
  FileSystem& files = PosixFileSystem();
  CVT_ASSERT_OK(WriteFileAtomic(files, dir / "d/train/cat/1.jpg", "x"));
  CVT_ASSERT_OK(WriteFileAtomic(files, dir / "elsewhere/2.jpg", "x"));
  std::filesystem::create_symlink(dir / "elsewhere/2.jpg", dir / "d/train/cat/2.jpg");
  std::filesystem::create_directory_symlink(dir / "d", dir / "d/train/cat/loop");
  std::filesystem::create_directory_symlink(dir / "elsewhere", dir / "d/train/dog");
  CVT_ASSERT_OK_AND_ASSIGN(const ImageFolder folder, ListImageFolder(files, dir / "d"));
  EXPECT_THAT(folder.classes, ElementsAre("cat"));
  EXPECT_THAT(Keys(folder.splits[0]), ElementsAre("cat/1.jpg"));
  EXPECT_THAT(folder.passed_over, ElementsAre(Pair("link", 3)));
}

}  // namespace
}  // namespace cvtrain::client
