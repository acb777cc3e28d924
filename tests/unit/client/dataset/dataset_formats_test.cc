#include "client/dataset/dataset_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MakeTar;
using testing::MakeWav;
using ::testing::Not;

class DatasetFormatsTest : public ::testing::Test {
 protected:
  void PutPicture(const std::string& path) {
    source_.Put(path, formats::testing::MakeJpeg(formats::testing::MakePicture(8, 8)));
  }

  testing::SourceFiles source_;
};

TEST_F(DatasetFormatsTest, HaveNamesOfTheirOwnAndALine) {
  std::set<std::string> names;
  for (const DatasetFormat* format : DatasetFormats()) {
    EXPECT_TRUE(names.insert(format->name).second) << format->name;
    EXPECT_THAT(std::string(format->layout), Not(HasSubstr("\n")));
    EXPECT_THAT(FindDatasetFormat(format->name), IsOkAndHolds(format));
  }
  EXPECT_EQ(names.size(), 8u);
}

TEST_F(DatasetFormatsTest, NamesTheNearestForOneThatIsNot) {
  EXPECT_THAT(FindDatasetFormat("cocoo"),
              StatusIs(kInvalid, Reason("USAGE"), Message(HasSubstr("did you mean coco"))));
}

TEST_F(DatasetFormatsTest, AreFoundByContent) {
  PutPicture("/images/train/cat/1.dat");
  source_.Put("/sounds/train/cat/1.dat", MakeWav(4));
  source_.Put("/shards/a-000.tar", MakeTar({{"1.jpg", "x"}, {"1.cls", "0"}}));
  source_.Put("/cifar/test_batch.bin", std::string(3073, '\0'));
  source_.Put("/mnist/train-images-idx3-ubyte.gz", "x");
  source_.Put("/coco/annotations/instances_val2017.json", "{}");
  PutPicture("/coco/val2017/1.jpg");
  source_.Put("/roboflow/train/_annotations.coco.json", "{}");
  source_.Put("/voc/Annotations/1.xml", "x");
  PutPicture("/voc/JPEGImages/1.jpg");
  source_.Put("/files/manifest.csv", "path,label\n");
  EXPECT_THAT(source_.Guess("/images"), IsOkAndHolds("image_folder"));
  EXPECT_THAT(source_.Guess("/sounds"), IsOkAndHolds("audio_folder"));
  EXPECT_THAT(source_.Guess("/shards"), IsOkAndHolds("webdataset"));
  EXPECT_THAT(source_.Guess("/shards/a-000.tar"), IsOkAndHolds("webdataset"));
  EXPECT_THAT(source_.Guess("/cifar"), IsOkAndHolds("cifar"));
  EXPECT_THAT(source_.Guess("/mnist"), IsOkAndHolds("idx"));
  EXPECT_THAT(source_.Guess("/coco"), IsOkAndHolds("coco"));
  EXPECT_THAT(source_.Guess("/coco/annotations/instances_val2017.json"), IsOkAndHolds("coco"));
  EXPECT_THAT(source_.Guess("/roboflow"), IsOkAndHolds("coco"));
  EXPECT_THAT(source_.Guess("/voc"), IsOkAndHolds("voc"));
  EXPECT_THAT(source_.Guess("/files"), IsOkAndHolds("csv_manifest"));
  EXPECT_THAT(source_.Guess("/files/manifest.csv"), IsOkAndHolds("csv_manifest"));
}

TEST_F(DatasetFormatsTest, AreNamedIfSeveralFit) {
  PutPicture("/d/train/cat/1.jpg");
  source_.Put("/d/train/dog/1.wav", MakeWav(4));
  EXPECT_THAT(source_.Guess("/d"),
              StatusIs(kInvalid, Reason("FIELD_INVALID"),
                       Message(AllOf(HasSubstr("--format"), HasSubstr("image_folder: "),
                                     HasSubstr("audio_folder: "), Not(HasSubstr("voc: "))))));
  source_.Put("/e/manifest.csv", "path,label\n");
  source_.Put("/e/a.tar", MakeTar({{"1.jpg", "x"}}));
  EXPECT_THAT(
      source_.Guess("/e"),
      StatusIs(kInvalid, Message(AllOf(HasSubstr("webdataset: "), HasSubstr("csv_manifest: ")))));
}

TEST_F(DatasetFormatsTest, AreAllNamedIfNoneFits) {
  source_.Put("/d/readme.md", "text");
  PutPicture("/d/1.jpg");  // in no class
  EXPECT_THAT(
      source_.Guess("/d"),
      StatusIs(kInvalid, Reason("FIELD_INVALID"),
               Message(AllOf(HasSubstr("/d"), HasSubstr("voc: "), HasSubstr("image_folder: ")))));
  source_.Put("/d.tar.gz", testing::Gzip(MakeTar({{"1.jpg", "x"}})));
  EXPECT_THAT(source_.Guess("/d.tar.gz"),
              StatusIs(kInvalid, Message(HasSubstr("packed by gzip; unpack it"))));
}

TEST_F(DatasetFormatsTest, SayThatNothingIsThere) {
  EXPECT_THAT(source_.Guess("/nowhere"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace cvtrain::client
