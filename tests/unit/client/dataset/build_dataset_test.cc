#include "client/dataset/build_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "formats/shard/dataset_digest.h"
#include "formats/shard/shard_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::FakeClock;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using formats::ShardReader;
using formats::testing::MakeJpeg;
using formats::testing::MakePicture;
using formats::testing::MakePng;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class BuildDatasetTest : public ::testing::Test {
 protected:
  BuildDatasetTest() {
    options_.rungs = {32, 64};
    options_.source_side = 100;
    CVT_CHECK_OK(files_.CreateDir("/out"));
  }

  void Put(const std::string& path, absl::string_view bytes) {
    CVT_CHECK_OK(files_.CreateDir(DirName(path)));
    CVT_CHECK_OK(WriteFileAtomic(files_, path, bytes));
  }

  // 30 pictures for training and 8 for testing, in 3 classes.
  void PutPictures() {
    for (int i = 0; i < 38; ++i) {
      const bool train = i < 30;
      const formats::Image picture =
          MakePicture(60 + 7 * (i % 13), 50 + 11 * (i % 9), static_cast<uint64_t>(i));
      Put(absl::StrCat("/d/", train ? "train" : "test", "/class", i % 3, "/", i, ".jpg"),
          i % 5 == 0 ? MakePng(picture) : MakeJpeg(picture));
    }
  }

  absl::StatusOr<DatasetBuild> Build() {
    return BuildDataset(files_, clock_, "/d", options_, "/out");
  }

  std::vector<std::string> ShardBytes(const DatasetBuild& build) {
    std::vector<std::string> bytes;
    for (const std::string& path : build.shard_paths) bytes.push_back(*ReadFile(files_, path));
    return bytes;
  }

  FakeClock clock_;
  InMemoryFileSystem files_;
  DatasetOptions options_;
};

TEST_F(BuildDatasetTest, PutsEveryPictureIntoAShardOfItsSplit) {
  PutPictures();
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  const v1::DatasetVersion& version = build.version;
  EXPECT_THAT(version.classes(), ElementsAre("class0", "class1", "class2"));
  EXPECT_THAT(version.rungs(), ElementsAre(32, 64));
  ASSERT_EQ(version.splits_size(), 2);
  EXPECT_THAT(version.splits(0), EqualsProto(R"pb(
                name: "test"
                images: 8
                class_images: [ 3, 3, 2 ])pb"));
  EXPECT_THAT(version.splits(1), EqualsProto(R"pb(
                name: "train"
                images: 30
                class_images: [ 10, 10, 10 ])pb"));
  ASSERT_EQ(version.shards_size(), 2);
  EXPECT_THAT(build.shard_paths, ElementsAre("/out/test-00000.shard", "/out/train-00001.shard"));
  EXPECT_TRUE(version.name().empty());

  std::map<std::string, uint32_t> found;
  int64_t size_bytes = 0;
  for (int s = 0; s < 2; ++s) {
    const std::string bytes = *ReadFile(files_, build.shard_paths[static_cast<size_t>(s)]);
    size_bytes += static_cast<int64_t>(bytes.size());
    EXPECT_EQ(version.shards(s).digest(), Sha256Hex(bytes));
    EXPECT_EQ(version.shards(s).size_bytes(), static_cast<int64_t>(bytes.size()));
    CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
    CVT_EXPECT_OK(reader->VerifyAll());
    EXPECT_EQ(reader->info().split, version.shards(s).split());
    EXPECT_EQ(reader->info().records, version.shards(s).images());
    for (int64_t i = 0; i < reader->info().records; ++i) {
      const std::string path = absl::StrCat("/d/", reader->info().split, "/", reader->key(i));
      const Sha256Digest digest = Sha256Of(*ReadFile(files_, path));
      EXPECT_EQ(reader->source_digest(i), std::string(digest.begin(), digest.end()));
      found[path] = reader->record(i).label;
    }
  }
  EXPECT_EQ(found.size(), 38u);
  EXPECT_EQ(found.at("/d/train/class2/11.jpg"), 2u);
  EXPECT_EQ(version.size_bytes(), size_bytes);
  EXPECT_THAT(version.skipped(), IsEmpty());
  ASSERT_EQ(build.rung_bytes.size(), 3u);
  EXPECT_LT(build.rung_bytes[0], build.rung_bytes[1]);
}

TEST_F(BuildDatasetTest, MixesTheClassesWithinAShard) {
  PutPictures();
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  const std::string bytes = *ReadFile(files_, build.shard_paths[1]);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
  int changes = 0;
  for (int64_t i = 1; i < reader->info().records; ++i) {
    changes += reader->record(i).label != reader->record(i - 1).label ? 1 : 0;
  }
  EXPECT_GT(changes, 10);  // in order of keys there would be 2
}

TEST_F(BuildDatasetTest, DoesNotDependOnTheThreads) {
  PutPictures();
  options_.threads = 1;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild one, Build());
  const std::vector<std::string> bytes = ShardBytes(one);
  for (const int threads : {2, 5}) {
    options_.threads = threads;
    CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild more, Build());
    EXPECT_THAT(more.version, EqualsProto(one.version));
    EXPECT_EQ(ShardBytes(more), bytes);
  }
}

TEST_F(BuildDatasetTest, CutsShardsWithoutChangingTheDigest) {
  for (int i = 0; i < 60; ++i) {
    Put(absl::StrCat("/d/train/a/", i, ".jpg"),
        MakeJpeg(MakePicture(300, 300, static_cast<uint64_t>(i)), {.quality = 98}));
  }
  options_.source_side = 300;
  options_.shard_bytes = int64_t{64} << 20;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild whole, Build());
  ASSERT_EQ(whole.version.shards_size(), 1);
  options_.shard_bytes = int64_t{1} << 20;
  options_.seed = 5;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild cut, Build());
  ASSERT_GT(cut.version.shards_size(), 2);
  EXPECT_EQ(cut.version.digest(), whole.version.digest());
  int64_t images = 0;
  for (int s = 0; s < cut.version.shards_size(); ++s) {
    EXPECT_EQ(cut.version.shards(s).index(), s);
    EXPECT_EQ(cut.version.shards(s).first_image(), images);
    images += cut.version.shards(s).images();
  }
  EXPECT_EQ(images, 60);
}

TEST_F(BuildDatasetTest, ChangesTheDigestWithThePicturesAndTheOptions) {
  PutPictures();
  const std::string base = Build()->version.digest();
  options_.jpeg_quality = 80;
  EXPECT_NE(Build()->version.digest(), base);
  options_.jpeg_quality = 90;
  EXPECT_EQ(Build()->version.digest(), base);
  Put("/d/train/class0/0.jpg", MakeJpeg(MakePicture(70, 70, 99)));
  EXPECT_NE(Build()->version.digest(), base);
}

// So that a version can be checked from its shards alone.
TEST_F(BuildDatasetTest, HasTheDigestThatItsShardsSay) {
  PutPictures();
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  formats::DatasetDigest digest;
  for (const std::string& bytes : ShardBytes(build)) {
    CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
    for (int64_t i = 0; i < reader->info().records; ++i) {
      digest.Add(reader->info().split, reader->key(i), reader->record(i).label,
                 reader->source_digest(i));
    }
  }
  EXPECT_EQ(digest.Finish({"class0", "class1", "class2"}, {{32, 64}, 100, 90, false}),
            build.version.digest());
}

TEST_F(BuildDatasetTest, SkipsAndCountsFilesThatAreNoGood) {
  PutPictures();
  const std::string good = MakeJpeg(MakePicture(60, 60));
  Put("/d/train/class0/truncated.jpg", good.substr(0, good.size() / 2));
  Put("/d/train/class1/zero.jpg", "");
  Put("/d/train/class2/text.png", "no picture at all");
  Put("/d/train/class2/jpeg_in_fact.png", good);  // the name says nothing
  Put("/d/train/class0/bomb.png", formats::testing::MakeFlatPng(3'000, 3'000));
  Put("/d/README.md", "read me");
  options_.bad_share_max = 0.2;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  EXPECT_THAT(build.version.skipped(),
              UnorderedElementsAre(Pair("damaged", 1), Pair("empty", 1), Pair("not_an_image", 1),
                                   Pair("too_large", 1), Pair("outside_class", 1)));
  EXPECT_EQ(build.version.splits(1).images(), 31);
  EXPECT_EQ(build.skipped_examples.size(), 4u);
  EXPECT_THAT(build.skipped_examples,
              ::testing::Contains(HasSubstr("train/class0/truncated.jpg: image: bad JPEG")));
}

TEST_F(BuildDatasetTest, DoesNotDependOnWhatItSkips) {
  PutPictures();
  const std::string digest = Build()->version.digest();
  Put("/d/train/class1/zero.jpg", "");
  EXPECT_EQ(Build()->version.digest(), digest);
}

TEST_F(BuildDatasetTest, EndsWhenTooManyAreNoGood) {
  PutPictures();
  Put("/d/train/class1/zero.jpg", "");
  Put("/d/train/class1/text.jpg", "text");
  options_.bad_share_max = 0.03;  // one of 40
  EXPECT_THAT(Build(), StatusIs(kInvalid, Reason("DATA_BAD"),
                                Message(AllOf(HasSubstr("2 of 40 files"), HasSubstr("empty 1"),
                                              HasSubstr("not_an_image 1"), HasSubstr("0.03")))));
  EXPECT_THAT(*files_.ListDir("/out"), IsEmpty());
}

TEST_F(BuildDatasetTest, RefusesASplitWithoutPictures) {
  PutPictures();
  Put("/d/valid/class0/x.jpg", "");
  options_.bad_share_max = 1;
  EXPECT_THAT(Build(), StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("split valid"))));
  EXPECT_THAT(*files_.ListDir("/out"), IsEmpty()) << "the shards of the other splits are removed";
}

TEST_F(BuildDatasetTest, RefusesAnEmptyFolder) {
  CVT_ASSERT_OK(files_.CreateDir("/d"));
  EXPECT_THAT(Build(), StatusIs(kInvalid, Reason("FIELD_INVALID")));
}

TEST_F(BuildDatasetTest, RemovesItsShardsWhenTheDiskIsFull) {
  PutPictures();
  FaultyFileSystem faulty(files_);
  faulty.SetQuota(100'000);
  EXPECT_THAT(BuildDataset(faulty, clock_, "/d", options_, "/out"),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  EXPECT_THAT(*files_.ListDir("/out"), IsEmpty());
}

TEST_F(BuildDatasetTest, CountsFilesThatCannotBeRead) {
  PutPictures();
  FaultyFileSystem faulty(files_);
  faulty.FailMatching(
      [](absl::string_view operation) {
        return absl::StrContains(operation, "/class1/4.jpg") &&
               !absl::StartsWith(operation, "Stat");
      },
      FaultyFileSystem::Fault::kDeviceError);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build,
                           BuildDataset(faulty, clock_, "/d", options_, "/out"));
  EXPECT_THAT(build.version.skipped(), ElementsAre(Pair("unreadable", 1)));
}

TEST_F(BuildDatasetTest, StopsOnRequest) {
  PutPictures();
  StopSource stop;
  const auto stop_soon = [&](const DatasetProgress& progress) {
    if (progress.done == 1) stop.request_stop();
  };
  EXPECT_THAT(BuildDataset(files_, clock_, "/d", options_, "/out", stop_soon, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_THAT(*files_.ListDir("/out"), IsEmpty());
}

TEST_F(BuildDatasetTest, TellsItsProgressAtAnEvenPace) {
  PutPictures();
  std::vector<DatasetProgress> told;
  const auto tell = [&](const DatasetProgress& progress) {
    told.push_back(progress);
    clock_.Advance(absl::Seconds(1));
  };
  CVT_ASSERT_OK(BuildDataset(files_, clock_, "/d", options_, "/out", tell));
  ASSERT_EQ(told.size(), 39u);  // the clock runs only here: each time is due
  EXPECT_EQ(told[0].total, 38);
  EXPECT_EQ(told[0].remaining, absl::InfiniteDuration());
  EXPECT_EQ(told[19].done, 20);
  EXPECT_NEAR(told[19].images_per_second, 20.0 / 19, 1e-9);
  EXPECT_NEAR(absl::ToDoubleSeconds(told[19].remaining), 18 * 19 / 20.0, 1e-6);
  EXPECT_EQ(told.back().done, 38);

  told.clear();
  const auto just_tell = [&](const DatasetProgress& progress) { told.push_back(progress); };
  CVT_ASSERT_OK(BuildDataset(files_, clock_, "/d", options_, "/out", just_tell));
  EXPECT_EQ(told.size(), 2u);  // the first and the last
}

TEST(DatasetOptionsTest, AreCheckedAllAtOnce) {
  CVT_EXPECT_OK(Validate(DatasetOptions{}));
  DatasetOptions options;
  options.rungs = {64, 64};
  options.source_side = 0;
  options.jpeg_quality = 0;
  options.shard_bytes = 1;
  options.bad_share_max = 2;
  options.train_fraction = 0;
  options.threads = 0;
  const absl::Status status = Validate(options);
  EXPECT_THAT(status, StatusIs(kInvalid, Reason("FIELD_INVALID")));
  EXPECT_EQ(FieldViolationsOf(status).size(), 7u);
}

}  // namespace
}  // namespace cvtrain::client
