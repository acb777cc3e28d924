#include "client/dataset/build_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::DatasetBuildShard;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BuildFolderTest : public ::testing::Test {
 protected:
  std::unique_ptr<BuildFolder> Open(const std::string& fingerprint = "one",
                                    const std::string& request_id = "id") {
    auto folder = BuildFolder::Open(files_, "/w/build");
    CVT_CHECK_OK(folder.status());
    CVT_CHECK_OK((*folder)->Begin(fingerprint, request_id));
    return *std::move(folder);
  }

  DatasetBuildShard Add(BuildFolder& folder, int index) {
    const std::string bytes = absl::StrCat("bytes of shard ", index);
    DatasetBuildShard entry;
    entry.mutable_shard()->set_index(index);
    entry.mutable_shard()->set_split("train");
    entry.mutable_shard()->set_digest(Sha256Hex(bytes));
    entry.mutable_shard()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    entry.set_samples_read(10 * (index + 1));
    entry.add_skipped()->set_key("not UTF-8: \xff");
    auto file = folder.NewShardFile();
    CVT_CHECK_OK(file.status());
    CVT_CHECK_OK((*file)->Append(bytes));
    CVT_CHECK_OK(folder.Add(*std::move(file), entry));
    return entry;
  }

  void Edit(const std::string& name, const std::function<void(std::string&)>& edit) {
    std::string bytes = *ReadFile(files_, "/w/build/" + name);
    edit(bytes);
    CVT_CHECK_OK(WriteFileAtomic(files_, "/w/build/" + name, bytes));
  }

  InMemoryFileSystem files_;
};

TEST_F(BuildFolderTest, KnowsItsShardsInTheNextProcess) {
  std::vector<DatasetBuildShard> added;
  {
    const auto folder = Open();
    EXPECT_THAT(folder->finished(), IsEmpty());
    for (int i = 0; i < 3; ++i) added.push_back(Add(*folder, i));
  }
  const auto folder = Open("one", "another id");
  ASSERT_EQ(folder->finished().size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_THAT(folder->finished()[i], EqualsProto(added[i]));
  EXPECT_EQ(folder->request_id(), "id");
  EXPECT_EQ(folder->ShardPath(added[1].shard()), "/w/build/train-00001.shard");
}

TEST_F(BuildFolderTest, IsEmptiedForAnotherSource) {
  { Add(*Open(), 0); }
  const auto folder = Open("two", "new id");
  EXPECT_THAT(folder->finished(), IsEmpty());
  EXPECT_EQ(folder->request_id(), "new id");
  EXPECT_THAT(*files_.ListDir("/w/build"), ElementsAre("LOCK", "log"));
}

TEST_F(BuildFolderTest, BelongsToOneProcess) {
  const auto folder = Open();
  EXPECT_THAT(BuildFolder::Open(files_, "/w/build"),
              StatusIs(absl::StatusCode::kFailedPrecondition, Reason("STATE_DIR_BUSY")));
}

TEST_F(BuildFolderTest, BelievesTheLogUpToItsFirstDamage) {
  {
    const auto folder = Open();
    for (int i = 0; i < 3; ++i) Add(*folder, i);
  }
  const std::string whole = *ReadFile(files_, "/w/build/log");
  // Wherever it is cut, what is left is some of the shards, in order.
  size_t most = 0;
  for (size_t length = 0; length <= whole.size(); length += 7) {
    CVT_ASSERT_OK(WriteFileAtomic(files_, "/w/copy", whole.substr(0, length)));
    Edit("log", [&](std::string& log) { log = whole.substr(0, length); });
    for (int i = 0; i < 3; ++i) {
      CVT_ASSERT_OK(WriteFileAtomic(files_, absl::StrCat("/w/build/train-0000", i, ".shard"),
                                    absl::StrCat("bytes of shard ", i)));
    }
    const auto folder = Open();
    EXPECT_GE(folder->finished().size(), most);
    most = folder->finished().size();
    for (size_t i = 0; i < most; ++i) {
      EXPECT_EQ(folder->finished()[i].shard().index(), static_cast<int>(i));
    }
  }
  EXPECT_GE(most, 2u);
}

TEST_F(BuildFolderTest, FindsEveryFlippedBitOfTheLog) {
  {
    const auto folder = Open();
    Add(*folder, 0);
  }
  const std::string whole = *ReadFile(files_, "/w/build/log");
  for (size_t at = 0; at < whole.size(); ++at) {
    Edit("log", [&](std::string& log) {
      log = whole;
      log[at] = static_cast<char>(log[at] ^ 4);
    });
    CVT_ASSERT_OK(WriteFileAtomic(files_, "/w/build/train-00000.shard", "bytes of shard 0"));
    EXPECT_THAT(Open()->finished(), IsEmpty()) << at;
  }
}

TEST_F(BuildFolderTest, BelievesNoShardThatIsMissingOrOther) {
  for (const bool remove : {true, false}) {
    {
      const auto folder = Open(remove ? "a" : "b");
      for (int i = 0; i < 3; ++i) Add(*folder, i);
    }
    if (remove) {
      CVT_ASSERT_OK(files_.Remove("/w/build/train-00001.shard"));
    } else {
      Edit("train-00001.shard", [](std::string& bytes) { bytes[3] ^= 1; });
    }
    const auto folder = Open(remove ? "a" : "b");
    EXPECT_EQ(folder->finished().size(), 1u);
    EXPECT_THAT(*files_.ListDir("/w/build"), ElementsAre("LOCK", "log", "train-00000.shard"));
  }
}

TEST_F(BuildFolderTest, RemovesWhatItMadeAndNothingElse) {
  auto folder = Open();
  Add(*folder, 0);
  CVT_ASSERT_OK(folder->Remove());
  EXPECT_THAT(*files_.ListDir("/w"), IsEmpty());

  folder = Open();
  Add(*folder, 0);
  CVT_ASSERT_OK(WriteFileAtomic(files_, "/w/build/thesis", "years of work"));
  EXPECT_THAT(folder->Remove(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(*files_.ListDir("/w/build"), ElementsAre("thesis"));
}

// A source that cannot be listed ends it there.
TEST_F(BuildFolderTest, RemovesItselfBeforeAndAmidABuild) {
  auto folder = BuildFolder::Open(files_, "/w/build");
  CVT_ASSERT_OK(folder);
  CVT_EXPECT_OK((*folder)->Remove());
  EXPECT_THAT(*files_.ListDir("/w"), IsEmpty());

  auto begun = Open();
  CVT_ASSERT_OK(begun->NewShardFile());
  CVT_EXPECT_OK(begun->Remove());
  EXPECT_THAT(*files_.ListDir("/w"), IsEmpty());
}

TEST_F(BuildFolderTest, ForgetsAShardWhoseEntryWasNotWritten) {
  FaultyFileSystem faulty(files_);
  auto folder = BuildFolder::Open(faulty, "/w/build");
  CVT_ASSERT_OK(folder);
  CVT_ASSERT_OK((*folder)->Begin("one", "id"));
  Add(**folder, 0);
  faulty.FailMatching([](absl::string_view operation) { return absl::EndsWith(operation, "/log"); },
                      FaultyFileSystem::Fault::kDeviceError);
  auto file = (*folder)->NewShardFile();
  CVT_ASSERT_OK(file);
  DatasetBuildShard entry;
  entry.mutable_shard()->set_index(1);
  entry.mutable_shard()->set_split("train");
  EXPECT_THAT((*folder)->Add(*std::move(file), entry),
              StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED")));
  EXPECT_EQ((*folder)->finished().size(), 1u);
  folder->reset();
  EXPECT_EQ(Open()->finished().size(), 1u);
}

}  // namespace
}  // namespace cvtrain::client
