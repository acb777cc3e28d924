// Formats of plain files: `image_folder`, `audio_folder` and `csv_manifest`.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "client/dataset/sound_check.h"
#include "common/little_endian.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"
#include "tests/unit/formats/audio/audio_fixtures.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeWav;
using ::testing::Pair;
using testing::PassedOver;
using testing::Samples;
using testing::Skipped;

class FolderFormatsTest : public ::testing::Test {
 protected:
  testing::SourceFiles source_;
};

TEST_F(FolderFormatsTest, ListsClassFolders) {
  source_.Put("/d/train/dog/1.wav", MakeWav(3));
  source_.Put("/d/train/cat/1.wav", MakeWav(4));
  source_.Put("/d/test/cat/2.wav", MakeWav(5));
  source_.Put("/d/train/readme.txt", "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("audio_folder", "/d"));
  EXPECT_EQ(listing.media, v1::DatasetVersion::MEDIA_AUDIO);
  EXPECT_THAT(listing.classes, ElementsAre("cat", "dog"));
  EXPECT_EQ(Samples(listing, "train"), "train: cat/1.wav=0 dog/1.wav=1");
  EXPECT_EQ(source_.Read(listing.splits[0].samples[0])->bytes, MakeWav(5));
  EXPECT_THAT(PassedOver(listing), ElementsAre(Pair("outside_class", 1)));
  EXPECT_EQ(source_.List("image_folder", "/d")->media, v1::DatasetVersion::MEDIA_IMAGES);
}

TEST_F(FolderFormatsTest, TakesClassesOfOneFile) {
  source_.Put("/d/dog/1.jpg", "x");
  source_.Put("/d/cat/1.jpg", "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("image_folder", "/d"));
  ASSERT_EQ(listing.splits.size(), 1u);
  EXPECT_EQ(Samples(listing, "train"), "train: cat/1.jpg=0 dog/1.jpg=1");
}

TEST_F(FolderFormatsTest, GivesAFileThatChangesAnotherStamp) {
  source_.Put("/d/dog/1.jpg", "x");
  const uint64_t stamp = source_.List("image_folder", "/d")->splits[0].samples[0].stamp;
  EXPECT_EQ(source_.List("image_folder", "/d")->splits[0].samples[0].stamp, stamp);
  source_.Put("/d/dog/1.jpg", "xy");
  EXPECT_NE(source_.List("image_folder", "/d")->splits[0].samples[0].stamp, stamp);
}

TEST_F(FolderFormatsTest, ReadsACsvWithSplits) {
  source_.Put("/d/set.csv",
              "id,Label,path,split\n1,dog,a/1.bin,train\n2,cat,2.bin,train\n3,dog,3.bin,test\n");
  for (const char* name : {"a/1.bin", "2.bin", "3.bin"})
    source_.Put(absl::StrCat("/d/", name), name);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing,
                           source_.List("csv_manifest", "/d/set.csv"));
  EXPECT_THAT(listing.classes, ElementsAre("cat", "dog"));
  EXPECT_EQ(listing.media, v1::DatasetVersion::MEDIA_BYTES);
  EXPECT_EQ(Samples(listing, "train"), "train: 2.bin=0 a/1.bin=1");
  EXPECT_EQ(Samples(listing, "test"), "test: 3.bin=1");
  EXPECT_EQ(source_.Read(listing.splits[1].samples[1])->bytes, "a/1.bin");
}

TEST_F(FolderFormatsTest, OrdersClassesThatAreNumbersByNumber) {
  source_.Put("/d/manifest.csv", "path,label\na,10\nb,9\nc,2\n");
  for (const char* name : {"a", "b", "c"}) source_.Put(absl::StrCat("/d/", name), "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("csv_manifest", "/d"));
  EXPECT_THAT(listing.classes, ElementsAre("2", "9", "10"));
}

TEST_F(FolderFormatsTest, TakesWhatTheFirstFileOfACsvIs) {
  source_.Put("/d/manifest.csv", "path,label\n1,a\n");
  source_.Put("/d/1", MakeWav(4));
  EXPECT_EQ(source_.List("csv_manifest", "/d")->media, v1::DatasetVersion::MEDIA_AUDIO);
  source_.Put("/d/1", formats::testing::MakeJpeg(formats::testing::MakePicture(8, 8)));
  EXPECT_EQ(source_.List("csv_manifest", "/d")->media, v1::DatasetVersion::MEDIA_IMAGES);
  ReaderOptions options;
  options.media = v1::DatasetVersion::MEDIA_BYTES;
  EXPECT_EQ(source_.List("csv_manifest", "/d", options)->media, v1::DatasetVersion::MEDIA_BYTES);
}

TEST_F(FolderFormatsTest, TakesNoPathOutOfTheFolderOfTheCsv) {
  source_.Put("/d/manifest.csv",
              "path,label\ngood,a\n../secret,a\n/secret,a\nsub/../../secret,a\ngood,a\nmissing,a\n"
              "folder,a\n,a\n");
  source_.Put("/d/good", "x");
  source_.Put("/d/folder/x", "x");
  source_.Put("/secret", "s");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("csv_manifest", "/d"));
  EXPECT_EQ(Samples(listing, "train"), "train: good=0");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("bad_name", 4), Pair("duplicate", 1),
                                            Pair("link", 1), Pair("missing", 1)));
  EXPECT_THAT(listing.skipped, ::testing::Contains(AllOf(
                                   ::testing::Field(&SkippedSource::cause, "missing"),
                                   ::testing::Field(&SkippedSource::detail, HasSubstr("line 7")))));
}

TEST_F(FolderFormatsTest, RefusesCsvFilesOfAnotherShape) {
  const auto problem = [&](const std::string& text) {
    source_.Put("/d/manifest.csv", text);
    source_.Put("/d/a", "x");
    return source_.List("csv_manifest", "/d").status();
  };
  EXPECT_THAT(problem(""), StatusIs(kInvalid, Message(HasSubstr("is empty"))));
  EXPECT_THAT(problem("a,cat\n"), StatusIs(kInvalid, Reason("FIELD_INVALID"),
                                           Message(HasSubstr("line 1: the first row must name"))));
  EXPECT_THAT(problem("path,label\na\n"), StatusIs(kInvalid, Message(HasSubstr("line 2"))));
  EXPECT_THAT(problem("path,label,split\na,b,No Split\n"),
              StatusIs(kInvalid, Message(HasSubstr("a split's name"))));
  EXPECT_THAT(problem("path,label\na,\x07\n"),
              StatusIs(kInvalid, Message(HasSubstr("plain UTF-8"))));
  EXPECT_THAT(problem("path,label\na,\"b\n"), StatusIs(kInvalid, Reason("DATA_BAD")));
  EXPECT_THAT(problem("path,label\n"), StatusIs(kInvalid, Message(HasSubstr("no samples"))));
  EXPECT_THAT(problem("path,label\nmissing,a\n"),
              StatusIs(kInvalid, Message(HasSubstr("none of 1 samples"))));
}

TEST_F(FolderFormatsTest, SkipsLabelsThatAreNotAskedFor) {
  source_.Put("/d/manifest.csv", "path,label\na,cat\nb,emu\n");
  source_.Put("/d/a", "x");
  source_.Put("/d/b", "x");
  ReaderOptions options;
  options.classes = {"dog", "cat"};
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing,
                           source_.List("csv_manifest", "/d", options));
  EXPECT_EQ(Samples(listing, "train"), "train: a=1");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("label_out_of_range", 1)));
}

TEST(SoundCheckTest, TakesSoundsAndNamesWhatIsWrong) {
  const auto cause = [](const std::string& bytes) { return CheckSound(bytes).cause; };
  EXPECT_EQ(cause(MakeWav(1)), "");
  EXPECT_EQ(cause(MakeWav(0)), "no_samples");
  EXPECT_EQ(cause(""), "empty");
  EXPECT_EQ(cause("text"), "not_a_sound");
  EXPECT_EQ(cause(MakeWav(9).substr(0, 50)), "damaged");
  EXPECT_EQ(cause(MakeWav(9).substr(0, 36)), "no_samples");  // no data at all
  std::string wav = MakeWav(9);
  StoreLittleEndian<uint16_t>(0, wav.data() + 22);
  EXPECT_EQ(cause(wav), "damaged");  // no channels
  wav = MakeWav(9);
  StoreLittleEndian<uint32_t>(0xffffffff, wav.data() + 40);
  EXPECT_EQ(cause(wav), "");  // written to a pipe
  wav = MakeWav(9);
  wav.replace(12, 4, "LIST");
  EXPECT_EQ(cause(wav), "damaged");  // no format before the samples

  const std::string info = std::string("fLaC\x80\x00\x00\x22", 8) + std::string(34, 'i');
  EXPECT_EQ(cause(info + "\xff\xf8 frame"), "damaged");
  EXPECT_EQ(cause(info), "no_samples");
  EXPECT_EQ(cause(info + "text"), "damaged");
  EXPECT_EQ(cause(info.substr(0, 20)), "damaged");

  const std::string tag = std::string("ID3\x04\x00\x00\x00\x00\x00\x05", 10) + "tag..";
  EXPECT_EQ(cause("\xff\xfb\x90\x64 frame"), "damaged");
  EXPECT_EQ(cause(tag), "no_samples");
  using formats::AudioKind;
  for (const AudioKind kind : {AudioKind::kWav, AudioKind::kFlac, AudioKind::kMp3}) {
    EXPECT_EQ(cause(formats::testing::MakeSound({.kind = kind})), "");
  }
  EXPECT_EQ(cause(tag + "text"), "damaged");
  EXPECT_EQ(cause("ID3"), "damaged");
}

}  // namespace
}  // namespace cvtrain::client
