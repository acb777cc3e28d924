// Formats with boxes: `coco` and `voc`.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/dataset/coco_file.h"
#include "client/dataset/run_lengths.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeVoc;
using ::testing::Pair;
using testing::PassedOver;
using testing::Samples;
using testing::Skipped;
using testing::VocObject;

// Two categories whose ids leave gaps, two pictures, and annotations that come first.
constexpr char kCoco[] = R"({
  "info": {"year": 2017},
  "annotations": [
    {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "iscrowd": 0,
     "segmentation": [[1, 2, 4, 2, 4, 6], [2, 2, 3, 2, 3, 4, 2, 4]]},
    {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 8], "iscrowd": 0},
    {"id": 3, "image_id": 7, "category_id": 18, "bbox": [0, 0, 20, 10], "iscrowd": 1,
     "segmentation": {"size": [10, 20], "counts": [5, 10, 185]}},
    {"id": 4, "image_id": 99, "category_id": 3, "bbox": [0, 0, 1, 1]}],
  "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
  "images": [
    {"id": 9, "file_name": "b.jpg", "width": 20, "height": 10},
    {"id": 7, "file_name": "a.jpg", "width": 20, "height": 10}]})";

class CocoTest : public ::testing::Test {
 protected:
  testing::SourceFiles source_;
};

TEST_F(CocoTest, ReadsBoxesMasksAndCategories) {
  source_.Put("/c/annotations/instances_val2017.json", kCoco);
  source_.Put("/c/val2017/a.jpg", "A");
  source_.Put("/c/val2017/b.jpg", "B");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", "/c"));
  EXPECT_THAT(listing.classes, ElementsAre("car", "dog"));  // by id
  EXPECT_TRUE(listing.annotated);
  // The largest box of a.jpg that is no crowd is a car; b.jpg has none.
  EXPECT_EQ(Samples(listing, "val"), "val: a.jpg=0 b.jpg=0");
  const SourceSample& a = listing.splits[0].samples[0];
  ASSERT_NE(a.annotation, nullptr);
  EXPECT_EQ(a.annotation->size, (formats::PictureSize{20, 10}));
  EXPECT_THAT(a.annotation->annotation, EqualsProto(R"pb(
                boxes {
                  left: 1
                  top: 2
                  right: 4.5
                  bottom: 6
                  label: 1
                  mask {
                    polygons { points: [ 1, 2, 4, 2, 4, 6 ] }
                    polygons { points: [ 2, 2, 3, 2, 3, 4, 2, 4 ] }
                  }
                }
                boxes { right: 10 bottom: 8 }
                boxes {
                  right: 20
                  bottom: 10
                  label: 1
                  crowd: true
                  mask {
                    run_lengths {
                      width: 20
                      height: 10
                      lengths: [ 5, 10, 185 ]
                    }
                  }
                })pb"));
  EXPECT_EQ(listing.splits[0].samples[1].annotation->annotation.boxes_size(), 0);
  EXPECT_EQ(source_.Read(a)->bytes, "A");
  EXPECT_THAT(PassedOver(listing), ElementsAre(Pair("stray_annotation", 1)));
  EXPECT_THAT(listing.skipped, IsEmpty());
}

TEST_F(CocoTest, FindsPicturesWherePeoplePutThem) {
  for (const char* folder : {"/c/images/train2014", "/d/images", "/e/train"}) {
    const std::string root = std::string(folder).substr(0, 2);
    source_.Put(root + "/annotations/instances_train2014.json", kCoco);
    for (const char* name : {"/a.jpg", "/b.jpg"}) source_.Put(std::string(folder) + name, "x");
    CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", root));
    EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=0 b.jpg=0") << folder;
  }
  source_.Put("/r/train/_annotations.coco.json", kCoco);
  source_.Put("/r/train/a.jpg", "x");
  source_.Put("/r/valid/_annotations.coco.json", kCoco);
  source_.Put("/r/valid/b.jpg", "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", "/r"));
  EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=0");
  EXPECT_EQ(Samples(listing, "valid"), "valid: b.jpg=0");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("missing", 2)));
}

TEST_F(CocoTest, HoldsOutOfAFileAlone) {
  source_.Put("/c/all.json", kCoco);
  source_.Put("/c/images/a.jpg", "x");
  source_.Put("/c/images/b.jpg", "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", "/c/all.json"));
  ASSERT_EQ(listing.splits.size(), 2u);
  EXPECT_EQ(listing.splits[0].samples.size() + listing.splits[1].samples.size(), 2u);
}

TEST_F(CocoTest, JoinsTheCategoriesOfSplitsByName) {
  source_.Put("/c/annotations/instances_train.json", kCoco);
  source_.Put("/c/annotations/instances_val.json",
              absl::StrReplaceAll(
                  kCoco, {{"\"id\": 3, \"name\": \"car\"", "\"id\": 3, \"name\": \"bus\""}}));
  for (const char* path : {"/c/train/a.jpg", "/c/val/a.jpg"}) source_.Put(path, "x");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", "/c"));
  EXPECT_THAT(listing.classes, ElementsAre("car", "dog", "bus"));
  EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=0");
  EXPECT_EQ(Samples(listing, "val"), "val: a.jpg=2");
}

TEST_F(CocoTest, SkipsPicturesThatAreBadOneByOne) {
  source_.Put("/c/annotations/instances_train.json", R"({
    "categories": [{"id": 1, "name": "cat"}],
    "images": [{"id": 1, "file_name": "good.jpg"}, {"id": 2, "file_name": "../../etc/passwd"},
               {"id": 3, "file_name": "/etc/passwd"}, {"id": 4, "file_name": "missing.jpg"},
               {"id": 5, "file_name": "category.jpg"}, {"id": 6, "file_name": "none.jpg"},
               {"id": 7, "file_name": "box.jpg"}, {"id": 8, "file_name": "mask.jpg"},
               {"id": 9, "file_name": "runs.jpg"}],
    "annotations": [{"image_id": 5, "category_id": 2, "bbox": [0, 0, 1, 1]},
                    {"image_id": 6, "bbox": [0, 0, 1, 1]},
                    {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1]},
                    {"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1], "segmentation": [["x"]]},
                    {"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1],
                     "segmentation": {"size": [2, 2], "counts": "~~"}}]})");
  for (const char* name : {"good", "category", "none", "box", "mask", "runs"}) {
    source_.Put(absl::StrCat("/c/train/", name, ".jpg"), "x");
  }
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("coco", "/c"));
  EXPECT_EQ(Samples(listing, "train"), "train: good.jpg=0");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("bad_annotation", 3), Pair("bad_name", 2),
                                            Pair("label_out_of_range", 2), Pair("missing", 1)));
}

TEST_F(CocoTest, RefusesFilesThatAreNone) {
  const auto problem = [](const char* text) {
    return std::string(ParseCocoFile(text).status().message());
  };
  EXPECT_THAT(problem("[]"), HasSubstr("an object"));
  EXPECT_THAT(problem("{\"images\": ["), HasSubstr("json: at offset"));
  EXPECT_THAT(problem("{}"), HasSubstr("no `categories`"));
  EXPECT_THAT(problem(R"({"categories": [{"id": 1, "name": "a"}]})"), HasSubstr("no `images`"));
  EXPECT_THAT(problem(R"({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]})"),
              HasSubstr("there twice"));
  EXPECT_THAT(problem(R"({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]})"),
              HasSubstr("there twice"));
  EXPECT_THAT(problem(R"({"categories": [{"id": 1, "name": "a\u0007"}]})"),
              HasSubstr("plain text"));
  EXPECT_THAT(problem(R"({"categories": [{"id": 1, "name": "a"}],
                          "images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]})"),
              HasSubstr("there twice"));
  EXPECT_THAT(problem(R"({"images": [{"file_name": "a"}]})"), HasSubstr("an `id`"));
  EXPECT_THAT(problem(R"({"annotations": [{"id": 1}]})"), HasSubstr("image_id"));
  source_.Put("/c/annotations/instances_a.json", "{}");
  EXPECT_THAT(source_.List("coco", "/c"),
              StatusIs(kInvalid, Reason("DATA_BAD"),
                       Message(HasSubstr("/c/annotations/instances_a.json"))));
}

// Made with pycocotools: encode() of masks of these runs.
TEST(RunLengthsTest, ReadsTheTextsOfCoco) {
  EXPECT_THAT(*ParseCocoRuns("", 9), IsEmpty());
  EXPECT_THAT(*ParseCocoRuns("052", 8), ElementsAre(0u, 5u, 2u));
  // 6, 1, 40, 4, 5, 4, 5, 4, 21: runs from the third on are differences to those two before.
  EXPECT_THAT(*ParseCocoRuns("61X13mN000`0", 90),
              ElementsAre(6u, 1u, 40u, 4u, 5u, 4u, 5u, 4u, 21u));
}

TEST(RunLengthsTest, RefusesTextsThatAreDamaged) {
  for (const char* text : {"P", "~", "\x01", "OOOOOOOOOOOO", "ooooooooo0", "1", "0@"}) {
    EXPECT_THAT(ParseCocoRuns(text, text[0] == '1' ? 0 : 1000),
                StatusIs(kInvalid, Reason("DATA_BAD")))
        << text;
  }
}

TEST(RunLengthsTest, PacksWhatItUnpacked) {
  storage::v1::RunLengths runs;
  runs.set_width(3);
  runs.set_height(4);
  for (const uint32_t length : {2u, 3u, 1u, 6u}) runs.add_lengths(length);
  const Bitmap bitmap = Unpack(runs);
  EXPECT_EQ(bitmap.at(0, 1), 0);
  EXPECT_EQ(bitmap.at(0, 2), 1);
  EXPECT_EQ(bitmap.at(1, 0), 1);
  EXPECT_EQ(bitmap.at(1, 1), 0);
  EXPECT_EQ(bitmap.at(2, 3), 1);
  EXPECT_THAT(Pack(bitmap), EqualsProto(runs));
}

class VocTest : public ::testing::Test {
 protected:
  void Put(const std::string& id, const std::string& xml) {
    source_.Put("/v/Annotations/" + id + ".xml", xml);
    source_.Put("/v/JPEGImages/" + id + ".jpg", "picture " + id);
  }

  testing::SourceFiles source_;
};

TEST_F(VocTest, ReadsBoxesAndImageSets) {
  Put("a", MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10), VocObject("cat", 3, 4, 5, 6)}));
  Put("b", absl::StrReplaceAll(MakeVoc(20, 10, {VocObject("cat", 2, 2, 3, 3)}),
                               {{"<difficult>0", "<difficult>1"}}));
  Put("c", MakeVoc(0, 0, {}));
  Put("d", MakeVoc(20, 10, {VocObject("emu", 2, 2, 3, 3)}));
  source_.Put("/v/ImageSets/Main/train.txt", "a\r\nb  1\n\n");
  source_.Put("/v/ImageSets/Main/val.txt", "c");
  source_.Put("/v/ImageSets/Main/trainval.txt", "a\nb\nc\nd\n");
  source_.Put("/v/ImageSets/Main/dog_train.txt", "a 1\nb -1\n");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("voc", "/v"));
  EXPECT_THAT(listing.classes, ElementsAre("cat", "dog"));
  EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=1 b.jpg=0");
  EXPECT_EQ(Samples(listing, "val"), "val: c.jpg=0");
  const SourceSample& a = listing.splits[0].samples[0];
  EXPECT_EQ(a.annotation->size, (formats::PictureSize{20, 10}));
  EXPECT_THAT(a.annotation->annotation, EqualsProto(R"pb(
                boxes { right: 20 bottom: 10 label: 1 }
                boxes { left: 2 top: 3 right: 5 bottom: 6 })pb"));
  EXPECT_TRUE(listing.splits[0].samples[1].annotation->annotation.boxes(0).difficult());
  EXPECT_EQ(listing.splits[1].samples[0].annotation->size, (formats::PictureSize{0, 0}));
  EXPECT_EQ(source_.Read(a)->bytes, "picture a");
  EXPECT_THAT(PassedOver(listing), ElementsAre(Pair("not_listed", 1)));
}

TEST_F(VocTest, TakesTrainvalWhereThereIsNoTrain) {
  Put("a", MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}));
  source_.Put("/v/ImageSets/Main/trainval.txt", "a\n");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("voc", "/v"));
  EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=0");
}

TEST_F(VocTest, HoldsOutWithoutImageSets) {
  for (int i = 0; i < 10; ++i) {
    Put(absl::StrCat(i), MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}));
  }
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("voc", "/v"));
  ASSERT_EQ(listing.splits.size(), 2u);
  EXPECT_EQ(listing.splits[0].samples.size(), 1u);
  EXPECT_EQ(listing.splits[1].samples.size(), 9u);
}

TEST_F(VocTest, SkipsPicturesThatAreBadOneByOne) {
  Put("good", MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}));
  Put("cut", MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}).substr(0, 150));
  Put("number", absl::StrReplaceAll(MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}),
                                    {{"<xmin>1<", "<xmin>one<"}}));
  Put("no_box", MakeVoc(20, 10, {"<name>dog</name>"}));
  Put("no_name", MakeVoc(20, 10, {"<bndbox/>"}));
  Put("other", "<html/>");
  source_.Put("/v/Annotations/no_picture.xml", MakeVoc(20, 10, {}));
  source_.Put("/v/JPEGImages/no_xml.jpg", "x");
  source_.Put(
      "/v/ImageSets/Main/train.txt",
      "good\ncut\nnumber\nno_box\nno_name\nother\nno_picture\nno_xml\n../good\n/etc/passwd\n"
      "good\n");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("voc", "/v"));
  EXPECT_EQ(Samples(listing, "train"), "train: good.jpg=0");
  EXPECT_THAT(Skipped(listing),
              ElementsAre(Pair("bad_annotation", 5), Pair("bad_name", 2), Pair("duplicate", 1),
                          Pair("missing", 1), Pair("no_annotation", 1)));
}

TEST_F(VocTest, SkipsClassesThatAreNotAskedFor) {
  Put("a", MakeVoc(20, 10, {VocObject("dog", 1, 1, 20, 10)}));
  Put("b", MakeVoc(20, 10, {VocObject("emu", 1, 1, 20, 10)}));
  ReaderOptions options;
  options.classes = {"cat", "dog"};
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("voc", "/v", options));
  EXPECT_EQ(Samples(listing, "train"), "train: a.jpg=1");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("label_out_of_range", 1)));
}

TEST_F(VocTest, RefusesASetWithoutObjects) {
  Put("a", MakeVoc(20, 10, {}));
  EXPECT_THAT(source_.List("voc", "/v"), StatusIs(kInvalid, Message(HasSubstr("no <object>"))));
}

}  // namespace
}  // namespace cvtrain::client
