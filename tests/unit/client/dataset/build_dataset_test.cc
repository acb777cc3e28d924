#include "client/dataset/build_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/dataset/dataset_formats.h"
#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "formats/image/png.h"
#include "formats/shard/dataset_digest.h"
#include "formats/shard/shard_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::FakeClock;
using ::cvtrain::testing::kInvalid;
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

class BuildDatasetTest : public ::testing::Test {
 protected:
  BuildDatasetTest() {
    options_.rungs = {32, 64};
    options_.source_side = 100;
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

  // A build of `/d` in `/out`, from the beginning.
  absl::StatusOr<DatasetBuild> Build() {
    CVT_CHECK_OK(files_.RemoveAll("/out"));
    return Resume();
  }
  // The same with what is there.
  absl::StatusOr<DatasetBuild> Resume() { return BuildOn(files_); }
  absl::StatusOr<DatasetBuild> BuildOn(FileSystem& files,
                                       const DatasetProgressCallback& progress = {},
                                       const StopToken& stop = {}) {
    CVT_ASSIGN_OR_RETURN(const DatasetFormat* format, FindDatasetFormat(format_));
    const auto reader = format->make(files, "/d", reader_options_);
    CVT_ASSIGN_OR_RETURN(DatasetListing listing, reader->List());
    DatasetSource source{format_, *reader, std::move(listing)};
    CVT_ASSIGN_OR_RETURN(const auto folder, BuildFolder::Open(files, "/out"));
    CVT_RETURN_IF_ERROR(folder->Begin(BuildFingerprint(source, options_), "id"));
    return BuildDataset(files, clock_, std::move(source), options_, *folder, progress, stop);
  }

  // Names of the shards that are there.
  std::vector<std::string> Shards() {
    std::vector<std::string> names = *files_.ListDir("/out");
    std::erase_if(names, [](const std::string& name) { return !absl::EndsWith(name, ".shard"); });
    return names;
  }

  std::vector<std::string> ShardBytes(const DatasetBuild& build) {
    std::vector<std::string> bytes;
    for (const std::string& path : build.shard_paths) bytes.push_back(*ReadFile(files_, path));
    return bytes;
  }

  FakeClock clock_;
  InMemoryFileSystem files_;
  DatasetOptions options_;
  std::string format_ = "image_folder";
  ReaderOptions reader_options_;
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
  ASSERT_EQ(version.rung_size_bytes_size(), 3);
  EXPECT_LT(version.rung_size_bytes(0), version.rung_size_bytes(1));
  EXPECT_EQ(version.media(), v1::DatasetVersion::MEDIA_IMAGES);
  EXPECT_EQ(version.format(), "image_folder");
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
  ASSERT_EQ(build.skipped.size(), 4u);
  EXPECT_THAT(build.skipped,
              ::testing::Contains(
                  AllOf(::testing::Field(&SkippedSource::split, "train"),
                        ::testing::Field(&SkippedSource::key, "class0/truncated.jpg"),
                        ::testing::Field(&SkippedSource::cause, "damaged"),
                        ::testing::Field(&SkippedSource::detail, HasSubstr("image: bad JPEG")))));
  ASSERT_EQ(build.passed_over.size(), 1u);
  EXPECT_EQ(build.passed_over[0].key, "/d/README.md");
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
                                Message(AllOf(HasSubstr("2 of 40 samples"), HasSubstr("empty 1"),
                                              HasSubstr("not_an_image 1"), HasSubstr("0.03")))));
}

TEST_F(BuildDatasetTest, RefusesASplitWithoutPictures) {
  PutPictures();
  Put("/d/valid/class0/x.jpg", "");
  options_.bad_share_max = 1;
  EXPECT_THAT(Build(), StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("split valid"))));
}

TEST_F(BuildDatasetTest, RefusesAnEmptyFolder) {
  CVT_ASSERT_OK(files_.CreateDir("/d"));
  EXPECT_THAT(Build(), StatusIs(kInvalid, Reason("FIELD_INVALID")));
}

TEST_F(BuildDatasetTest, EndsWhenTheDiskIsFullAndGoesOnWhenItIsNot) {
  PutPictures();
  const std::string digest = Build()->version.digest();
  CVT_ASSERT_OK(files_.RemoveAll("/out"));
  FaultyFileSystem faulty(files_);
  faulty.SetQuota(100'000);
  EXPECT_THAT(BuildOn(faulty), StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Resume());
  EXPECT_EQ(build.version.digest(), digest);
  EXPECT_EQ(Shards().size(), 2u) << "what was half written is gone";
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
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, BuildOn(faulty));
  EXPECT_THAT(build.version.skipped(), ElementsAre(Pair("unreadable", 1)));
}

TEST_F(BuildDatasetTest, StopsOnRequest) {
  PutPictures();
  StopSource stop;
  const auto stop_soon = [&](const DatasetProgress& progress) {
    if (progress.done == 1) stop.request_stop();
  };
  EXPECT_THAT(BuildOn(files_, stop_soon, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

// --- Going on
// -------------------------------------------------------------------------------------

class ResumeTest : public BuildDatasetTest {
 protected:
  ResumeTest() {
    for (int i = 0; i < 60; ++i) {
      Put(absl::StrCat("/d/", i < 45 ? "train" : "test", "/a/", i, ".jpg"),
          MakeJpeg(MakePicture(300, 300, static_cast<uint64_t>(i)), {.quality = 98}));
    }
    // Some are no good, so that what the log says of them counts.
    for (const int i : {3, 20, 40}) Put(absl::StrCat("/d/train/a/", i, ".jpg"), "no picture");
    options_.source_side = 300;
    options_.shard_bytes = int64_t{1} << 20;
    options_.bad_share_max = 0.2;
  }

  // Ends a build once `done` samples are read.
  void Break(int64_t done) {
    StopSource stop;
    const auto stop_there = [&](const DatasetProgress& progress) {
      clock_.Advance(absl::Seconds(1));
      if (progress.done == done) stop.request_stop();
    };
    ASSERT_THAT(BuildOn(files_, stop_there, stop.get_token()),
                StatusIs(absl::StatusCode::kCancelled));
  }
};

TEST_F(ResumeTest, MakesTheSameShardsWhereverItWasBrokenOff) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild whole, Build());
  const std::vector<std::string> bytes = ShardBytes(whole);
  ASSERT_GE(bytes.size(), 4u);
  int64_t resumed = 0;
  for (const int64_t done : {1, 14, 20, 33, 59}) {
    CVT_ASSERT_OK(files_.RemoveAll("/out"));
    Break(done);
    CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Resume());
    EXPECT_THAT(build.version, EqualsProto(whole.version)) << done;
    EXPECT_EQ(ShardBytes(build), bytes) << done;
    EXPECT_EQ(build.skipped.size(), whole.skipped.size());
    EXPECT_GE(build.resumed, resumed);
    resumed = build.resumed;
  }
  EXPECT_GT(resumed, 30);
}

TEST_F(ResumeTest, GoesOnAgainAndAgain) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild whole, Build());
  const std::vector<std::string> bytes = ShardBytes(whole);
  CVT_ASSERT_OK(files_.RemoveAll("/out"));
  for (const int64_t done : {20, 40, 58}) Break(done);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Resume());
  EXPECT_EQ(ShardBytes(build), bytes);
  // And once all is there, nothing is read.
  FaultyFileSystem faulty(files_);
  faulty.FailMatching(
      [](absl::string_view operation) {
        return absl::StrContains(operation, ".jpg") && !absl::StartsWith(operation, "Stat");
      },
      FaultyFileSystem::Fault::kDeviceError);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild again, BuildOn(faulty));
  EXPECT_THAT(again.version, EqualsProto(whole.version));
}

TEST_F(ResumeTest, MakesDamagedShardsAgain) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild whole, Build());
  const std::vector<std::string> bytes = ShardBytes(whole);
  std::string damaged = bytes[2];
  damaged[damaged.size() / 2] ^= 1;
  Put(whole.shard_paths[2], damaged);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Resume());
  EXPECT_EQ(ShardBytes(build), bytes);
  CVT_ASSERT_OK(files_.Remove(whole.shard_paths[0]));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild once_more, Resume());
  EXPECT_EQ(once_more.resumed, 0);
  EXPECT_EQ(ShardBytes(once_more), bytes);
}

TEST_F(ResumeTest, StartsAgainIfTheSourceOrTheOptionsChanged) {
  Break(40);
  Put("/d/train/a/7.jpg", MakeJpeg(MakePicture(310, 300, 99)));
  EXPECT_EQ(Resume()->resumed, 0);
  options_.jpeg_quality = 80;
  EXPECT_EQ(Resume()->resumed, 0);
  EXPECT_GT(Resume()->resumed, 0);
}

TEST_F(ResumeTest, MayTolerateMoreTheSecondTime) {
  options_.bad_share_max = 0;
  CVT_ASSERT_OK(files_.RemoveAll("/out"));
  EXPECT_THAT(Resume(), StatusIs(kInvalid, Reason("DATA_BAD")));
  options_.bad_share_max = 0.1;
  CVT_EXPECT_OK(Resume());
}

// --- What is no plain picture
// ---------------------------------------------------------------------

TEST_F(BuildDatasetTest, PutsSoundsIntoShardsAsTheyAre) {
  format_ = "audio_folder";
  for (int i = 0; i < 8; ++i) {
    Put(absl::StrCat("/d/train/", i % 2, "/", i, ".wav"), testing::MakeWav(100 + i));
    Put(absl::StrCat("/d/test/", i % 2, "/", i, ".wav"), testing::MakeWav(200 + i));
  }
  Put("/d/train/0/silent.wav", testing::MakeWav(0));
  options_.bad_share_max = 0.1;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  const v1::DatasetVersion& version = build.version;
  EXPECT_EQ(version.media(), v1::DatasetVersion::MEDIA_AUDIO);
  EXPECT_THAT(version.rungs(), IsEmpty());
  EXPECT_THAT(version.short_sides(), IsEmpty());
  EXPECT_THAT(version.skipped(), ElementsAre(Pair("no_samples", 1)));
  const std::string bytes = *ReadFile(files_, build.shard_paths[1]);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
  EXPECT_EQ(reader->info().media, formats::ShardMedia::kSounds);
  std::string scratch;
  for (int64_t i = 0; i < reader->info().records; ++i) {
    EXPECT_EQ(*reader->Read(i, 0, &scratch),
              *ReadFile(files_, absl::StrCat("/d/train/", reader->key(i))));
  }
}

TEST_F(BuildDatasetTest, KeepsRawPixelsWithoutLoss) {
  format_ = "idx";
  std::string pixels;
  for (int i = 0; i < 3 * 12 * 12; ++i) pixels.push_back(static_cast<char>(i * 7));
  Put("/d/train-images-idx3-ubyte", testing::MakeIdx({3, 12, 12}, pixels));
  Put("/d/train-labels-idx1-ubyte", testing::MakeIdx({3}, std::string("\0\1\1", 3)));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  const std::string bytes = *ReadFile(files_, build.shard_paths[0]);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
  EXPECT_EQ(reader->info().version, 1u);
  EXPECT_EQ(reader->record(0).source_format, formats::SourceFormat::kPng);
  std::string scratch;
  for (int64_t i = 0; i < 3; ++i) {
    formats::Image image;
    CVT_ASSERT_OK(formats::DecodePng(*reader->Read(i, 2, &scratch), {}, &image));
    const size_t at = static_cast<size_t>(reader->key(i).back() - '0') * 144;
    for (size_t p = 0; p < 144; ++p) {
      ASSERT_EQ(image.pixels[3 * p], static_cast<uint8_t>(pixels[at + p]));
    }
  }
}

class DetectionBuildTest : public BuildDatasetTest {
 protected:
  DetectionBuildTest() {
    format_ = "voc";
    reader_options_.train_fraction = 1;
    for (int i = 0; i < 6; ++i) {
      Put(absl::StrCat("/d/JPEGImages/", i, ".jpg"),
          MakeJpeg(MakePicture(400, 200, static_cast<uint64_t>(i))));
      Put(absl::StrCat("/d/Annotations/", i, ".xml"),
          testing::MakeVoc(400, 200,
                           {testing::VocObject("dog", 1, 1, 200, 100),
                            testing::VocObject("cat", 301, 101, 420, 200),
                            testing::VocObject("cat", 500, 1, 600, 2)}));
    }
  }
};

TEST_F(DetectionBuildTest, ShrinksBoxesWithThePictures) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  EXPECT_EQ(build.version.boxes(), 12);
  EXPECT_EQ(build.version.masks(), 0);
  EXPECT_THAT(build.fixes, ElementsAre(Pair("boxes_cut", 6), Pair("boxes_dropped", 6)));
  EXPECT_THAT(build.version.classes(), ElementsAre("cat", "dog"));
  const std::string bytes = *ReadFile(files_, build.shard_paths[0]);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
  EXPECT_EQ(reader->info().version, 2u);
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(reader->record(i).label, 1u);  // of the largest box
    EXPECT_EQ(reader->record(i).source, (formats::PictureSize{200, 100}));
    EXPECT_THAT(reader->annotation(i), EqualsProto(R"pb(
                  boxes { right: 100 bottom: 50 label: 1 }
                  boxes { left: 150 top: 50 right: 200 bottom: 100 })pb"));
  }
}

TEST_F(DetectionBuildTest, HasTheDigestThatItsShardsSay) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  formats::DatasetDigest digest;
  const std::string bytes = *ReadFile(files_, build.shard_paths[0]);
  CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
  for (int64_t i = 0; i < reader->info().records; ++i) {
    digest.Add("train", reader->key(i), reader->record(i).label, reader->source_digest(i),
               reader->annotation_bytes(i));
  }
  formats::LadderOptions ladder{{32, 64}, 100, 90, false};
  ladder.annotated = true;
  EXPECT_EQ(digest.Finish({"cat", "dog"}, ladder), build.version.digest());
}

TEST_F(DetectionBuildTest, TurnsBoxesWithPicturesThatExifTurns) {
  // Stored lying, shown standing: what is at the upper left comes to the upper right.
  Put("/d/JPEGImages/turned.jpg",
      MakeJpeg(MakePicture(400, 200), {.exif = formats::testing::MakeExif(6)}));
  Put("/d/Annotations/turned.xml",
      testing::MakeVoc(400, 200, {testing::VocObject("dog", 1, 1, 200, 100)}));
  for (const bool keep : {false, true}) {
    options_.keep_originals = keep;
    CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
    const std::string bytes = *ReadFile(files_, build.shard_paths[0]);
    CVT_ASSERT_OK_AND_ASSIGN(auto reader, ShardReader::Open(bytes, "s"));
    int found = 0;
    for (int64_t i = 0; i < reader->info().records; ++i) {
      if (reader->key(i) != "turned.jpg") continue;
      ++found;
      const float scale = keep ? 2 : 1;
      EXPECT_EQ(reader->record(i).source,
                (keep ? formats::PictureSize{200, 400} : formats::PictureSize{100, 200}));
      const storage::v1::Box box = reader->annotation(i).boxes(0);
      EXPECT_THAT((std::vector<float>{box.left(), box.top(), box.right(), box.bottom()}),
                  ElementsAre(50 * scale, 0, 100 * scale, 100 * scale));
    }
    EXPECT_EQ(found, 1);
  }
}

TEST_F(DetectionBuildTest, CountsBoxesOfShardsThatWereThere) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild again, Resume());
  EXPECT_EQ(again.resumed, 6);
  EXPECT_THAT(again.version, EqualsProto(build.version));
  EXPECT_EQ(again.fixes, build.fixes);
}

TEST_F(DetectionBuildTest, SkipsAnnotationsOfOtherPictures) {
  Put("/d/Annotations/2.xml", testing::MakeVoc(300, 200, {testing::VocObject("dog", 1, 1, 9, 9)}));
  options_.bad_share_max = 0.2;
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  EXPECT_THAT(build.version.skipped(), ElementsAre(Pair("bad_annotation", 1)));
}

TEST_F(BuildDatasetTest, CountsShortSides) {
  Put("/d/train/a/1.jpg", MakeJpeg(MakePicture(300, 40)));
  Put("/d/train/a/2.jpg", MakeJpeg(MakePicture(200, 300)));
  Put("/d/train/a/3.png", MakePng(MakePicture(250, 240)));
  Put("/d/train/a/4.jpg", MakeJpeg(MakePicture(130, 63)));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetBuild build, Build());
  std::vector<std::string> sides;
  for (const v1::SideCount& entry : build.version.short_sides()) {
    sides.push_back(absl::StrCat(entry.side(), ":", entry.images()));
  }
  // As they were read, though what is stored has at most 100.
  EXPECT_THAT(sides, ElementsAre("32:1", "48:1", "64:0", "96:0", "128:0", "192:2", "256:0"));
}

// --- The rest
// -------------------------------------------------------------------------------------

TEST_F(BuildDatasetTest, TellsItsProgressAtAnEvenPace) {
  PutPictures();
  std::vector<DatasetProgress> told;
  const auto tell = [&](const DatasetProgress& progress) {
    told.push_back(progress);
    clock_.Advance(absl::Seconds(1));
  };
  CVT_ASSERT_OK(BuildOn(files_, tell));
  ASSERT_EQ(told.size(), 39u);  // the clock runs only here: each time is due
  EXPECT_EQ(told[0].total, 38);
  EXPECT_EQ(told[0].remaining, absl::InfiniteDuration());
  EXPECT_EQ(told[19].done, 20);
  EXPECT_NEAR(told[19].samples_per_second, 20.0 / 19, 1e-9);
  EXPECT_NEAR(absl::ToDoubleSeconds(told[19].remaining), 18 * 19 / 20.0, 1e-6);
  EXPECT_EQ(told.back().done, 38);

  told.clear();
  const auto just_tell = [&](const DatasetProgress& progress) { told.push_back(progress); };
  CVT_ASSERT_OK(files_.RemoveAll("/out"));
  CVT_ASSERT_OK(BuildOn(files_, just_tell));
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
  options.threads = 0;
  const absl::Status status = Validate(options);
  EXPECT_THAT(status, StatusIs(kInvalid, Reason("FIELD_INVALID")));
  EXPECT_EQ(FieldViolationsOf(status).size(), 6u);
}

}  // namespace
}  // namespace cvtrain::client
