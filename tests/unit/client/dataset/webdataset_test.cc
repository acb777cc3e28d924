#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeTar;
using ::testing::Pair;
using testing::PassedOver;
using testing::Samples;
using testing::Skipped;

class WebDatasetTest : public ::testing::Test {
 protected:
  absl::StatusOr<DatasetListing> List(const std::string& root, const ReaderOptions& options = {}) {
    return source_.List("webdataset", root, options);
  }
  // All samples in one split.
  absl::StatusOr<DatasetListing> ListAll(const std::string& root) {
    ReaderOptions options;
    options.train_fraction = 1;
    return List(root, options);
  }

  testing::SourceFiles source_;
};

TEST_F(WebDatasetTest, TakesLabelsOfEveryKind) {
  source_.Put("/a.tar", MakeTar({{"d/1.jpg", "one"},
                                 {"d/1.cls", "2\n"},
                                 {"d/2.PNG", "two"},
                                 {"d/2.json", R"({"caption": "x", "label": 0})"},
                                 {"d/3.jpeg", "three"},
                                 {"d/3.txt", " 1 "},
                                 {"d/4.jpg", "four"},
                                 {"d/4.json", R"({"cls": 1})"},
                                 {"d/4.txt", "a caption, which is not looked at"}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_EQ(Samples(listing, "train"), "train: a/d/1.jpg=2 a/d/2.PNG=0 a/d/3.jpeg=1 a/d/4.jpg=1");
  EXPECT_THAT(listing.classes, ElementsAre("0", "1", "2"));
  EXPECT_EQ(listing.media, v1::DatasetVersion::MEDIA_IMAGES);
  EXPECT_THAT(listing.skipped, IsEmpty());
  CVT_ASSERT_OK_AND_ASSIGN(const SourceBytes bytes, source_.Read(listing.splits[0].samples[2]));
  EXPECT_EQ(bytes.bytes, "three");
  EXPECT_EQ(bytes.digest, Sha256Of("three"));
}

TEST_F(WebDatasetTest, TakesTextsAsNamesOfClasses) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", "x"},
                                 {"1.txt", "dog"},
                                 {"2.jpg", "x"},
                                 {"2.json", R"({"class": "cat"})"},
                                 {"3.jpg", "x"},
                                 {"3.cls", "7"}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_THAT(listing.classes, ElementsAre("7", "cat", "dog"));
  EXPECT_EQ(Samples(listing, "train"), "train: a/1.jpg=2 a/2.jpg=1 a/3.jpg=0");
}

TEST_F(WebDatasetTest, TakesSplitsFromTheNamesOfArchives) {
  const std::string tar = MakeTar({{"1.jpg", "x"}, {"1.cls", "0"}});
  source_.Put("/d/imagenet-train-000000.tar", tar);
  source_.Put("/d/imagenet-train-000001.tar", tar);
  source_.Put("/d/imagenet-validation-000000.tar", tar);
  source_.Put("/e/train/0.tar", tar);
  source_.Put("/e/test/0.tar", tar);
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, List("/d"));
  EXPECT_EQ(Samples(listing, "train"),
            "train: imagenet-train-000000/1.jpg=0 imagenet-train-000001/1.jpg=0");
  EXPECT_EQ(Samples(listing, "val"), "val: imagenet-validation-000000/1.jpg=0");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing folders, List("/e"));
  EXPECT_EQ(Samples(folders, "test"), "test: 0/1.jpg=0");
  EXPECT_EQ(Samples(folders, "train"), "train: 0/1.jpg=0");
}

TEST_F(WebDatasetTest, RefusesArchivesOfWhichSomeHaveNoSplit) {
  const std::string tar = MakeTar({{"1.jpg", "x"}, {"1.cls", "0"}});
  source_.Put("/d/train-0.tar", tar);
  source_.Put("/d/more.tar", tar);
  EXPECT_THAT(List("/d"),
              StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr("others are not"))));
}

TEST_F(WebDatasetTest, HoldsOutOfASetWithoutSplits) {
  std::vector<testing::TarEntry> entries;
  for (int i = 0; i < 20; ++i) {
    entries.push_back({std::to_string(i) + ".jpg", "x"});
    entries.push_back({std::to_string(i) + ".cls", std::to_string(i % 2)});
  }
  source_.Put("/a.tar", MakeTar(entries));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, List("/a.tar"));
  ASSERT_EQ(listing.splits.size(), 2u);
  EXPECT_EQ(listing.splits[0].name, "test");
  EXPECT_EQ(listing.splits[0].samples.size(), 2u);
  EXPECT_EQ(listing.splits[1].samples.size(), 18u);
}

TEST_F(WebDatasetTest, HoldsSounds) {
  source_.Put("/a.tar", MakeTar({{"1.wav", "x"},
                                 {"1.cls", "0"},
                                 {"2.flac", "x"},
                                 {"2.cls", "1"},
                                 {"3.jpg", "x"},
                                 {"3.cls", "1"}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_EQ(listing.media, v1::DatasetVersion::MEDIA_AUDIO);
  EXPECT_EQ(Samples(listing, "train"), "train: a/1.wav=0 a/2.flac=1");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("other_media", 1)));
}

TEST_F(WebDatasetTest, TakesNoNameThatLeadsOutNoLinkAndNoNameTwice) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", "first"},
                                 {"1.cls", "0"},
                                 {"/2.jpg", "x"},
                                 {"../3.jpg", "x"},
                                 {"a/../4.jpg", "x"},
                                 {"5.jpg", "", '2'},
                                 {"6.jpg", "", '1'},
                                 {"7.jpg", "", '3'},
                                 {"1.jpg", "second"},
                                 {"1.seg.png", "x"},
                                 {"readme", "x"},
                                 {"folder/", "", '5'}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_EQ(Samples(listing, "train"), "train: a/1.jpg=0");
  EXPECT_EQ(source_.Read(listing.splits[0].samples[0])->bytes, "first");
  EXPECT_THAT(PassedOver(listing), ElementsAre(Pair("bad_name", 3), Pair("duplicate", 1),
                                               Pair("link", 3), Pair("other_file", 2)));
}

TEST_F(WebDatasetTest, SkipsSamplesThatAreIncompleteOrOutOfRange) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", "x"},
                                 {"1.cls", "1"},
                                 {"2.jpg", "x"},
                                 {"3.cls", "0"},
                                 {"4.jpg", "x"},
                                 {"4.cls", "-1"},
                                 {"5.jpg", "x"},
                                 {"5.cls", "3000000000"},
                                 {"6.jpg", "x"},
                                 {"6.json", "{\"label\": [1]}"},
                                 {"7.jpg", "x"},
                                 {"7.json", "{"},
                                 {"8.jpg", "x"},
                                 {"8.txt", "two\nlines"}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_EQ(Samples(listing, "train"), "train: a/1.jpg=1");
  EXPECT_THAT(listing.classes, ElementsAre("0", "1"));
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("bad_label", 3), Pair("label_out_of_range", 2),
                                            Pair("no_label", 1), Pair("no_source", 1)));
}

TEST_F(WebDatasetTest, TakesNamesForNumbers) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", "x"}, {"1.cls", "1"}, {"2.jpg", "x"}, {"2.cls", "2"}}));
  ReaderOptions options;
  options.train_fraction = 1;
  options.classes = {"cat", "dog"};
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, List("/a.tar", options));
  EXPECT_THAT(listing.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("label_out_of_range", 1)));
}

TEST_F(WebDatasetTest, SaysWhyNothingCanBeTaken) {
  source_.Put("/a.tar", MakeTar({{"cat.jpg", "x"}, {"dog.jpg", "x"}}));
  EXPECT_THAT(List("/a.tar"),
              StatusIs(kInvalid, Reason("FIELD_INVALID"),
                       Message(AllOf(HasSubstr("none of 2 samples"), HasSubstr("a/cat: no_label"),
                                     HasSubstr(".cls")))));
}

TEST_F(WebDatasetTest, RefusesAnArchiveThatIsCutOff) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", "x"}, {"1.cls", "1"}}).substr(0, 900));
  EXPECT_THAT(List("/a.tar"), StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("/a.tar"))));
}

TEST_F(WebDatasetTest, ReadsNoMoreThanAPictureMayHave) {
  source_.Put("/a.tar", MakeTar({{"1.jpg", std::string(65 << 20, 'x')}, {"1.cls", "1"}}));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, ListAll("/a.tar"));
  EXPECT_THAT(source_.Read(listing.splits[0].samples[0]),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

}  // namespace
}  // namespace cvtrain::client
