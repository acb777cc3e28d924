// What every DatasetReader promises, whatever it reads.

#include "client/dataset/dataset_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/thread.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"
#include "tests/unit/formats/image/image_fixtures.h"

namespace cvtrain::client {
namespace {

using testing::MakeIdx;
using testing::MakeTar;
using testing::MakeVoc;
using testing::MakeWav;
using testing::SourceFiles;
using testing::VocObject;

constexpr int kSamples = 12;

std::string Picture(int i) {
  return formats::testing::MakeJpeg(
      formats::testing::MakePicture(16, 16, static_cast<uint64_t>(i)));
}

// A set of twelve samples in two classes, at `/d` or what is returned.
std::string PutSet(const std::string& format, SourceFiles& source) {
  std::string text;
  std::vector<testing::TarEntry> entries;
  std::string pixels, labels;
  for (int i = 0; i < kSamples; ++i) {
    const std::string label = i % 2 == 0 ? "cat" : "dog";
    if (format == "image_folder")
      source.Put(absl::StrCat("/d/", label, "/", i, ".jpg"), Picture(i));
    if (format == "audio_folder") {
      source.Put(absl::StrCat("/d/", label, "/", i, ".wav"), MakeWav(10 + i));
    }
    if (format == "csv_manifest" || format == "voc" || format == "coco") {
      source.Put(absl::StrCat(format == "voc" ? "/d/JPEGImages/" : "/d/images/", i, ".jpg"),
                 Picture(i));
    }
    if (format == "csv_manifest") absl::StrAppend(&text, "images/", i, ".jpg,", label, "\n");
    if (format == "voc") {
      source.Put(absl::StrCat("/d/Annotations/", i, ".xml"),
                 MakeVoc(16, 16, {VocObject(label, 1, 1, 9, 9)}));
    }
    if (format == "coco") {
      absl::StrAppend(&text, i == 0 ? "" : ", ", R"({"id": )", i, R"(, "file_name": ")", i,
                      R"(.jpg"})");
      absl::StrAppend(&labels, i == 0 ? "" : ", ", R"({"image_id": )", i, R"(, "category_id": )",
                      i % 2, R"(, "bbox": [0, 0, 9, 9]})");
    }
    entries.push_back({absl::StrCat(i, ".jpg"), Picture(i)});
    entries.push_back({absl::StrCat(i, ".txt"), label});
    pixels += std::string(format == "cifar" ? 0 : 16, static_cast<char>(i));
    if (format == "cifar")
      pixels += std::string(1, static_cast<char>(i % 2)) + std::string(3072, 'p');
    if (format == "idx") labels.push_back(static_cast<char>(i % 2));
  }
  if (format == "csv_manifest") source.Put("/d/manifest.csv", "path,label\n" + text);
  if (format == "webdataset") source.Put("/d/set.tar", MakeTar(entries));
  if (format == "cifar") source.Put("/d/data_batch_1.bin", pixels);
  if (format == "idx") {
    source.Put("/d/train-images-idx3-ubyte", MakeIdx({kSamples, 4, 4}, pixels));
    source.Put("/d/train-labels-idx1-ubyte", MakeIdx({kSamples}, labels));
  }
  if (format != "coco") return "/d";
  source.Put("/d/set.json", absl::StrCat(R"({"images": [)", text, R"(], "annotations": [)", labels,
                                         R"(], "categories": [{"id": 0, "name": "cat"},)",
                                         R"({"id": 1, "name": "dog"}]})"));
  return "/d/set.json";
}

class DatasetReaderTest : public ::testing::TestWithParam<std::string> {
 protected:
  DatasetReaderTest() : root_(PutSet(GetParam(), source_)) {}

  absl::StatusOr<DatasetListing> List() { return source_.List(GetParam(), root_); }

  SourceFiles source_;
  const std::string root_;
};

TEST_P(DatasetReaderTest, IsWhatItsFilesLookLike) { EXPECT_EQ(*source_.Guess(root_), GetParam()); }

TEST_P(DatasetReaderTest, ListsSplitsByNameAndSamplesByKeyWithLabelsOfClasses) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, List());
  EXPECT_GE(listing.classes.size(), 2u);
  size_t samples = 0;
  for (size_t s = 0; s < listing.splits.size(); ++s) {
    const SourceSplit& split = listing.splits[s];
    EXPECT_FALSE(split.samples.empty());
    if (s > 0) {
      EXPECT_LT(listing.splits[s - 1].name, split.name);
    }
    for (size_t i = 0; i < split.samples.size(); ++i) {
      const SourceSample& sample = split.samples[i];
      EXPECT_LT(sample.label, listing.classes.size());
      EXPECT_EQ(sample.annotation != nullptr, listing.annotated);
      if (i > 0) {
        EXPECT_LT(split.samples[i - 1].key, sample.key);
      }
    }
    samples += split.samples.size();
  }
  EXPECT_EQ(samples, size_t{kSamples});
  EXPECT_TRUE(listing.skipped.empty());
}

TEST_P(DatasetReaderTest, ListsTheSameTwice) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing first, List());
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing second, List());
  for (const char* split : {"test", "train"}) {
    EXPECT_EQ(testing::Samples(first, split), testing::Samples(second, split));
  }
  EXPECT_EQ(first.classes, second.classes);
  EXPECT_EQ(first.splits[0].samples[0].stamp, second.splits[0].samples[0].stamp);
}

// Each on threads of its own, and in another order.
TEST_P(DatasetReaderTest, ReadsTheSameOnManyThreads) {
  CVT_ASSERT_OK_AND_ASSIGN(const DatasetListing listing, List());
  const std::vector<SourceSample>& samples = listing.splits.back().samples;
  ASSERT_NE(samples.size() % 7, 0u);
  std::vector<std::string> alone;
  for (const SourceSample& sample : samples) {
    CVT_ASSERT_OK_AND_ASSIGN(const SourceBytes bytes, source_.Read(sample));
    EXPECT_FALSE(bytes.bytes.empty());
    alone.push_back(bytes.bytes);
  }
  std::vector<std::vector<std::string>> together(4);
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (size_t t = 0; t < together.size(); ++t) {
      threads.push_back(
          std::make_unique<Thread>(absl::StrCat("read-", t), [&, t](const StopToken&) {
            together[t].resize(samples.size());
            for (size_t i = 0; i < samples.size(); ++i) {
              const size_t at = (i * 7 + t) % samples.size();
              const auto bytes = source_.Read(samples[at]);
              if (bytes.ok()) together[t][at] = bytes->bytes;
            }
          }));
    }
  }
  for (const std::vector<std::string>& one : together) EXPECT_EQ(one, alone);
}

TEST_P(DatasetReaderTest, SaysThatThereIsNothing) {
  EXPECT_FALSE(source_.List(GetParam(), "/nowhere").ok());
  CVT_ASSERT_OK(source_.files.CreateDir("/empty"));
  EXPECT_FALSE(source_.List(GetParam(), "/empty").ok());
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const DatasetFormat* format : DatasetFormats()) names.emplace_back(format->name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Formats, DatasetReaderTest, ::testing::ValuesIn(Names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace cvtrain::client
