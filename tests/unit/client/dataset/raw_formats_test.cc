// Formats whose pixels are raw: `cifar` and `idx`.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "client/dataset/raw_png.h"
#include "formats/image/png.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using testing::Gzip;
using ::testing::HasSubstr;
using testing::MakeIdx;
using ::testing::Pair;
using testing::Samples;
using ::testing::SizeIs;
using testing::Skipped;

// Labels, then 1,024 bytes of red, green and blue.
std::string CifarRecord(const std::string& labels, char red, char green, char blue) {
  return labels + std::string(1024, red) + std::string(1024, green) + std::string(1024, blue);
}

class RawFormatsTest : public ::testing::Test {
 protected:
  formats::Image Decode(const SourceSample& sample) {
    formats::Image image;
    const auto bytes = source_.Read(sample);
    CVT_EXPECT_OK(bytes);
    CVT_EXPECT_OK(formats::DecodePng(bytes->bytes, {}, &image));
    return image;
  }

  testing::SourceFiles source_;
};

TEST_F(RawFormatsTest, PngsHaveThePixelsThatWerePutIn) {
  std::string pixels;
  for (int i = 0; i < 5 * 3 * 3; ++i) pixels.push_back(static_cast<char>(37 * i));
  formats::Image image;
  CVT_ASSERT_OK(formats::DecodePng(
      EncodeRawPng({.width = 5, .height = 3, .channels = 3, .pixels = pixels}), {}, &image));
  EXPECT_EQ(image.width, 5);
  EXPECT_EQ(image.height, 3);
  EXPECT_EQ(std::string(image.pixels.begin(), image.pixels.end()), pixels);
  CVT_ASSERT_OK(formats::DecodePng(
      EncodeRawPng({.width = 2, .height = 1, .channels = 1, .pixels = "\x10\xf0"}), {}, &image));
  EXPECT_THAT(image.pixels, ElementsAre(0x10, 0x10, 0x10, 0xf0, 0xf0, 0xf0));
}

TEST_F(RawFormatsTest, ReadsCifar10) {
  source_.Put("/c/data_batch_1.bin", CifarRecord("\x03", 1, 2, 3) + CifarRecord("\x09", 4, 5, 6));
  source_.Put("/c/data_batch_3.bin", CifarRecord("\x01", 7, 8, 9));
  source_.Put("/c/test_batch.bin", CifarRecord(std::string(1, '\0'), 10, 11, 12));
  source_.Put("/c/batches.meta.txt",
              "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("cifar", "/c"));
  EXPECT_EQ(Samples(listing, "train"),
            "train: data_batch_1/00000=3 data_batch_1/00001=9 data_batch_3/00000=1");
  EXPECT_EQ(Samples(listing, "test"), "test: test_batch/00000=0");
  ASSERT_THAT(listing.classes, SizeIs(10));
  EXPECT_EQ(listing.classes[3], "cat");
  EXPECT_TRUE(listing.keeps_sources);
  const formats::Image image = Decode(listing.splits[1].samples[1]);
  EXPECT_EQ(image.width, 32);
  EXPECT_EQ(image.height, 32);
  EXPECT_EQ(image.pixels[0], 4);
  EXPECT_EQ(image.pixels[1], 5);
  EXPECT_EQ(image.pixels.back(), 6);
}

TEST_F(RawFormatsTest, ReadsTheFineLabelsOfCifar100) {
  source_.Put("/c/train.bin", CifarRecord("\x01\x63", 1, 2, 3));
  source_.Put("/c/test.bin", CifarRecord("\x02\x05", 1, 2, 3));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("cifar", "/c"));
  EXPECT_EQ(Samples(listing, "train"), "train: train/00000=99");
  EXPECT_EQ(Samples(listing, "test"), "test: test/00000=5");
  EXPECT_THAT(listing.classes, SizeIs(100));
}

TEST_F(RawFormatsTest, SkipsLabelsOutOfRangeAndWhatIsCutOff) {
  source_.Put("/c/data_batch_1.bin",
              CifarRecord("\x0a", 1, 2, 3) + CifarRecord("\x09", 4, 5, 6) + "\x01");
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("cifar", "/c"));
  EXPECT_EQ(Samples(listing, "train"), "train: data_batch_1/00001=9");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("label_out_of_range", 1), Pair("truncated", 1)));
}

TEST_F(RawFormatsTest, RefusesNamesOfOtherClasses) {
  source_.Put("/c/test_batch.bin", CifarRecord("\x01", 1, 2, 3));
  source_.Put("/c/batches.meta.txt", "one\ntwo\n");
  EXPECT_THAT(source_.List("cifar", "/c"),
              StatusIs(kInvalid, Message(HasSubstr("must name 10 classes, names 2"))));
  EXPECT_THAT(source_.List("cifar", "/nowhere"),
              StatusIs(kInvalid, Message(HasSubstr("must hold"))));
}

TEST_F(RawFormatsTest, ReadsMnist) {
  source_.Put("/m/train-images-idx3-ubyte", MakeIdx({2, 2, 3}, "abcdefghijkl"));
  source_.Put("/m/train-labels-idx1-ubyte", MakeIdx({2}, "\x04\x07"));
  source_.Put("/m/t10k-images-idx3-ubyte.gz", Gzip(MakeIdx({1, 2, 3}, "uvwxyz")));
  source_.Put("/m/t10k-labels-idx1-ubyte.gz", Gzip(MakeIdx({1}, "\x02")));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("idx", "/m"));
  EXPECT_EQ(Samples(listing, "train"), "train: train/000000=4 train/000001=7");
  EXPECT_EQ(Samples(listing, "test"), "test: t10k/000000=2");
  EXPECT_THAT(listing.classes, ElementsAre("0", "1", "2", "3", "4", "5", "6", "7"));
  const formats::Image image = Decode(listing.splits[1].samples[1]);
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.pixels[0], 'g');
  EXPECT_EQ(image.pixels.back(), 'l');
  EXPECT_EQ(Decode(listing.splits[0].samples[0]).pixels[0], 'u');
  EXPECT_EQ(source_.Read(listing.splits[1].samples[1])->digest, Sha256Of("ghijkl"));
}

TEST_F(RawFormatsTest, ReadsIdxInColour) {
  source_.Put("/m/train-images-idx4-ubyte", MakeIdx({1, 1, 2, 3}, "abcdef"));
  source_.Put("/m/train-labels-idx1-ubyte", MakeIdx({1}, std::string(1, '\0')));
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("idx", "/m"));
  EXPECT_THAT(Decode(listing.splits[0].samples[0]).pixels,
              ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
}

TEST_F(RawFormatsTest, SkipsIdxLabelsThatHaveNoName) {
  source_.Put("/m/train-images-idx3-ubyte", MakeIdx({2, 1, 1}, "ab"));
  source_.Put("/m/train-labels-idx1-ubyte", MakeIdx({2}, "\x01\x02"));
  ReaderOptions options;
  options.classes = {"cat", "dog"};
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, source_.List("idx", "/m", options));
  EXPECT_EQ(Samples(listing, "train"), "train: train/000000=1");
  EXPECT_THAT(Skipped(listing), ElementsAre(Pair("label_out_of_range", 1)));
}

TEST_F(RawFormatsTest, RefusesIdxFilesThatLie) {
  const std::string labels = MakeIdx({2}, "\x01\x02");
  const auto list = [&](const std::string& images, const std::string& of_labels) {
    source_.Put("/m/train-images-idx3-ubyte", images);
    source_.Put("/m/train-labels-idx1-ubyte", of_labels);
    return source_.List("idx", "/m");
  };
  EXPECT_THAT(list(MakeIdx({2, 2, 2}, "abcdefg"), labels),
              StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("must have 24 bytes"))));
  EXPECT_THAT(list(MakeIdx({0xffffffff, 2, 2}, "abcd"), labels), StatusIs(kInvalid));
  EXPECT_THAT(list(MakeIdx({2, 0xffffffff, 0xffffffff}, "abcd"), labels),
              StatusIs(kInvalid, Message(HasSubstr("a side"))));
  EXPECT_THAT(list("", labels), StatusIs(kInvalid));
  EXPECT_THAT(list(std::string("\0\0\x0d\x03", 4) + std::string(12, '\0'), labels),
              StatusIs(kInvalid, Message(HasSubstr("an IDX file of bytes"))));
  EXPECT_THAT(list(MakeIdx({3, 1, 1}, "abc"), labels),
              StatusIs(kInvalid, Message(HasSubstr("3 pictures, and 2 labels"))));
  EXPECT_THAT(list(Gzip(MakeIdx({2, 1, 1}, "ab")).substr(0, 20), labels),
              StatusIs(kInvalid, Message(HasSubstr("gzip"))));
  CVT_EXPECT_OK(list(MakeIdx({2, 1, 1}, "ab"), labels));
}

TEST_F(RawFormatsTest, WantsLabelsBesideThePictures) {
  source_.Put("/m/train-images-idx3-ubyte", MakeIdx({1, 1, 1}, "a"));
  EXPECT_THAT(source_.List("idx", "/m"), StatusIs(kInvalid, Message(HasSubstr("its labels"))));
}

}  // namespace
}  // namespace cvtrain::client
