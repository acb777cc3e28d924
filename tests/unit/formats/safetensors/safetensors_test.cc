#include "formats/safetensors/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeCheckpoint;
using ::cvtrain::formats::testing::SmallTensors;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::Tensor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Export(const std::string& checkpoint) {
  const auto view = CheckpointView::Open(checkpoint, "c");
  CVT_CHECK_OK(view.status());
  std::string file;
  CVT_CHECK_OK(WriteSafetensors(*view, Weights::kTrained, [&file](absl::string_view bytes) {
    file.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }));
  return file;
}

TEST(SafetensorsTest, ReadsWhatWasWritten) {
  const std::string checkpoint = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  const std::string file = Export(checkpoint);
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsView read, SafetensorsView::Open(file, "f"));
  std::vector<std::string> names;
  for (const SafetensorsView::Tensor& tensor : read.tensors()) {
    names.push_back(tensor.name);
    CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView::Tensor source, view.FindTensor(tensor.name));
    EXPECT_EQ(tensor.data_type, source.data_type);
    EXPECT_THAT(tensor.shape, ::testing::ElementsAreArray(source.shape));
    EXPECT_EQ(tensor.data, source.data);
  }
  // Parameters and buffers, wide types first, then by name; no optimizer, no augmentation.
  EXPECT_THAT(names, ElementsAre("bn1.num_batches_tracked", "bn1.running_mean", "bn1.weight",
                                 "conv1.weight", "fc.weight"));
}

TEST(SafetensorsTest, SaysWhereItIsFrom) {
  const std::string checkpoint = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  const std::string file = Export(checkpoint);
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsView read, SafetensorsView::Open(file, "f"));
  EXPECT_EQ(read.metadata().at("format"), "pt");
  EXPECT_EQ(read.metadata().at("cvtrain.trial"), "experiments/12/trials/3");
  EXPECT_EQ(read.metadata().at("cvtrain.step"), "1234");
  EXPECT_EQ(read.metadata().at("cvtrain.dataset_digest"), std::string(64, 'b'));
  EXPECT_EQ(read.metadata().at("cvtrain.checkpoint_digest"), view.file_digest());
}

// What Python's library asks of a file, beyond what our reader checks.
TEST(SafetensorsTest, AlignsItsData) {
  const std::string file = Export(MakeCheckpoint());
  EXPECT_EQ(LoadLittleEndian<uint64_t>(file.data()) % 8, 0u);
  EXPECT_EQ(file[8], '{');
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsView read, SafetensorsView::Open(file, "f"));
  for (const SafetensorsView::Tensor& tensor : read.tensors()) {
    EXPECT_EQ((tensor.data.data() - file.data()) % ElementBytes(tensor.data_type), 0)
        << tensor.name;
  }
}

TEST(SafetensorsTest, WritesTheDocumentedBytes) {
  const std::string checkpoint =
      MakeCheckpoint({{"w", Tensor::DATA_TYPE_U8, {2}, Tensor::ROLE_PARAMETER}});
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  const std::string file = Export(checkpoint);
  const auto header_bytes = LoadLittleEndian<uint64_t>(file.data());
  const std::string header = file.substr(8, header_bytes);
  EXPECT_TRUE(absl::StartsWith(header, R"({"__metadata__":{"format":"pt",)")) << header;
  EXPECT_TRUE(
      absl::StrContains(header, R"("},"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})"))
      << header;
  EXPECT_EQ(file.substr(8 + header_bytes), view.tensor(0).data);
}

TEST(SafetensorsTest, EscapesTextInItsMetadata) {
  CheckpointManifest manifest;
  manifest.set_program_version("a\"b\\c\nd\u20ac");
  Tensor& tensor = *manifest.add_tensors();
  tensor.set_name("w");
  tensor.set_data_type(Tensor::DATA_TYPE_U8);
  tensor.set_role(Tensor::ROLE_BUFFER);
  tensor.add_shape(3);
  const std::string file = Export(testing::ForgeCheckpoint(manifest, 64));
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsView read, SafetensorsView::Open(file, "f"));
  EXPECT_EQ(read.metadata().at("cvtrain.program_version"), "a\"b\\c\nd\u20ac");
}

TEST(SafetensorsTest, ExportsNothingWithoutParametersAndBuffers) {
  const std::string checkpoint =
      MakeCheckpoint({{"m", Tensor::DATA_TYPE_U8, {2}, Tensor::ROLE_OPTIMIZER_STATE}});
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  EXPECT_THAT(
      WriteSafetensors(view, Weights::kTrained, [](absl::string_view) { return absl::OkStatus(); }),
      StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(SafetensorsTest, ExportsNoAveragesWhereThereAreNone) {
  const std::string checkpoint = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  EXPECT_EQ(EvaluatedWeights(view), Weights::kTrained);
  EXPECT_THAT(WriteSafetensors(view, Weights::kAveraged,
                               [](absl::string_view) { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kFailedPrecondition, Message(HasSubstr("no averages"))));
}

TEST(SafetensorsTest, ReturnsTheErrorsOfTheSink) {
  const std::string checkpoint = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  for (int good = 0; good < 7; ++good) {
    int calls = 0;
    EXPECT_THAT(WriteSafetensors(view, Weights::kTrained,
                                 [&](absl::string_view) {
                                   return calls++ < good ? absl::OkStatus()
                                                         : ResourceExhausted(
                                                               cvtrain::Reason::kDiskFull, "full");
                                 }),
                Reason("DISK_FULL"));
    EXPECT_EQ(calls, good + 1);
  }
}

// A file with this header and so many bytes of data.
std::string FileOf(absl::string_view header, size_t data_bytes) {
  std::string file;
  AppendLittleEndian<uint64_t>(header.size(), &file);
  return absl::StrCat(file, header, std::string(data_bytes, 'd'));
}

TEST(SafetensorsViewTest, TakesTensorsInAnyOrderOfNames) {
  const std::string file = FileOf(R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]},)"
                                  R"("a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})",
                                  5);
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsView view, SafetensorsView::Open(file, "f"));
  EXPECT_EQ(view.tensors()[0].name, "a");
  EXPECT_EQ(view.tensors()[1].name, "b");
}

TEST(SafetensorsViewTest, RefusesFilesThatLie) {
  const auto tensor = [](absl::string_view name, absl::string_view dtype, absl::string_view shape,
                         absl::string_view offsets) {
    return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[", shape,
                        "],\"data_offsets\":[", offsets, "]}");
  };
  const struct {
    std::string header;
    size_t data;
    const char* found;
  } cases[] = {
      {tensor("w", "F31", "1", "0,4"), 4, "unknown dtype"},
      {tensor("w", "F32", "1", "0,5"), 5, "its shape and its length differ"},
      {tensor("w", "F32", "2", "0,4"), 4, "its shape and its length differ"},
      {tensor("w", "F32", "1", "1,5"), 5, "must begin at 0"},
      {tensor("w", "F32", "1", "0,4"), 5, "the tensors end at 4, the file at 5"},
      {tensor("w", "F32", "1", "0,4"), 3, "outside the file"},
      {tensor("w", "F32", "1", "4,0"), 4, "must begin at 0"},
      {tensor("w", "U8", "2147483648,2147483648,4", "0,0"), 0, "differ"},
      {tensor("w", "U8", "4294967296,4294967296,0", "0,0"), 0, "differ"},
      {absl::StrCat(tensor("a", "U8", "4", "0,4"), ",", tensor("b", "U8", "4", "2,6")), 6,
       "must begin at 4"},
      {absl::StrCat(tensor("a", "U8", "4", "0,4"), ",", tensor("b", "U8", "4", "5,9")), 9,
       "must begin at 4"},
      {absl::StrCat(tensor("a", "U8", "4", "0,4"), ",", tensor("b", "U8", "4", "0,4")), 4,
       "must begin at 4"},
      {absl::StrCat(tensor("a", "U8", "4", "0,4"), ",", tensor("b", "U8", "4", "4,2")), 4,
       "outside the file"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(SafetensorsView::Open(FileOf(absl::StrCat("{", c.header, "}"), c.data), "f"),
                StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr(c.found))))
        << c.header;
  }
}

TEST(SafetensorsViewTest, RefusesHeadersThatDoNotFit) {
  EXPECT_THAT(SafetensorsView::Open("", "f"), StatusIs(kInvalid, Message(HasSubstr("truncated"))));
  EXPECT_THAT(SafetensorsView::Open(FileOf("", 0), "f"), StatusIs(kInvalid));
  EXPECT_THAT(SafetensorsView::Open(FileOf(" {}", 0), "f"),
              StatusIs(kInvalid, Message(HasSubstr("must begin with"))));
  std::string file = FileOf("{}", 0);
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{16} << 20, (uint64_t{16} << 20) + 1, ~uint64_t{0}, ~uint64_t{7}}) {
    StoreLittleEndian<uint64_t>(length, file.data());
    EXPECT_THAT(SafetensorsView::Open(file, "f"), StatusIs(kInvalid)) << length;
  }
  CVT_EXPECT_OK(SafetensorsView::Open(FileOf("{}", 0), "f"));
}

TEST(SafetensorsViewTest, FindsATruncationAtEachLength) {
  const std::string file = Export(MakeCheckpoint());
  for (size_t length = 0; length < file.size(); ++length) {
    ASSERT_THAT(SafetensorsView::Open(absl::string_view(file).substr(0, length), "f"),
                StatusIs(kInvalid, Reason("DATA_BAD")))
        << length;
  }
}

}  // namespace
}  // namespace cvtrain::formats
