#include "formats/safetensors/imported_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/block_digest.h"
#include "common/little_endian.h"
#include "common/memory_file_system.h"
#include "common/status_macros.h"
#include "formats/safetensors/safetensors.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::Tensor;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kName[] = "checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";
constexpr char kPath[] = "/weights.safetensors";

// An entry of the header: one dimension of `count` elements from byte `from` on.
std::string Entry(absl::string_view name, absl::string_view dtype, int count, int from, int bytes) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[", count,
                      "],\"data_offsets\":[", from, ",", from + bytes, "]}");
}

// A file with this header, in braces, and these data.
std::string FileWith(absl::string_view header, absl::string_view data) {
  std::string file;
  AppendLittleEndian<uint64_t>(header.size() + 2, &file);
  return absl::StrCat(file, "{", header, "}", data);
}

class ImportedWeightsTest : public ::testing::Test {
 protected:
  absl::StatusOr<ImportedWeights> Open(const std::string& file, const ImportOptions& options = {}) {
    CVT_CHECK_OK(WriteFileAtomic(files_, kPath, file));
    CVT_ASSIGN_OR_RETURN(file_, files_.NewRandomAccessFile(kPath));
    return ImportedWeights::Open(*file_, "weights", options);
  }

  InMemoryFileSystem files_;
  std::unique_ptr<RandomAccessFile> file_;
};

std::string Written(const ImportedWeights& weights) {
  std::string checkpoint;
  const auto digests = weights.Write(kName, [&](absl::string_view piece) {
    checkpoint.append(piece.data(), piece.size());
    return absl::OkStatus();
  });
  CVT_CHECK_OK(digests.status());
  EXPECT_EQ(digests->file_digest, BlockDigestHex(checkpoint));
  EXPECT_EQ(static_cast<int64_t>(checkpoint.size()), weights.file_bytes());
  return checkpoint;
}

TEST_F(ImportedWeightsTest, HoldTheTensorsOfTheFileUnderTheirNames) {
  const std::string floats = "0123456789abcdefghij";
  const std::string file =
      FileWith(absl::StrJoin(
                   {std::string("\"__metadata__\":{\"format\":\"pt\"}"),
                    Entry("bn1.running_mean", "F32", 2, 12, 8), Entry("fc.weight", "F32", 3, 0, 12),
                    Entry("bn1.num_batches_tracked", "I64", 1, 20, 8)},
                   ","),
               floats + "87654321");
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights, Open(file));
  EXPECT_EQ(weights.tensor_count(), 3);
  const std::string checkpoint = Written(weights);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  EXPECT_EQ(view.manifest().checkpoint(), kName);
  EXPECT_EQ(view.manifest().trial(), "");
  EXPECT_EQ(view.manifest().attempt(), "");
  ASSERT_EQ(view.tensor_count(), 3);
  EXPECT_EQ(view.tensor(0).name, "fc.weight");
  EXPECT_EQ(view.tensor(0).role, Tensor::ROLE_PARAMETER);
  EXPECT_EQ(view.tensor(0).data, "0123456789ab");
  EXPECT_THAT(view.tensor(0).shape, ElementsAre(3));
  EXPECT_EQ(view.tensor(1).name, "bn1.running_mean");
  EXPECT_EQ(view.tensor(1).role, Tensor::ROLE_BUFFER);
  EXPECT_EQ(view.tensor(1).data, "cdefghij");
  EXPECT_EQ(view.tensor(2).name, "bn1.num_batches_tracked");
  EXPECT_EQ(view.tensor(2).role, Tensor::ROLE_BUFFER);
  EXPECT_EQ(view.tensor(2).data_type, Tensor::DATA_TYPE_I64);
  EXPECT_EQ(view.tensor(2).data, "87654321");
}

TEST_F(ImportedWeightsTest, AreWrittenTheSameEachTime) {
  const std::string file = FileWith(Entry("w", "F32", 1, 0, 4), "data");
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights, Open(file));
  EXPECT_EQ(Written(weights), Written(weights));
}

TEST_F(ImportedWeightsTest, AreWhatAnExportHasWritten) {
  std::vector<TensorSpec> tensors = testing::SmallTensors();
  std::erase_if(tensors,
                [](const TensorSpec& spec) { return spec.data_type == Tensor::DATA_TYPE_BF16; });
  const std::string exported = testing::MakeCheckpoint(tensors);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView before, CheckpointView::Open(exported, "c"));
  std::string file;
  CVT_ASSERT_OK(WriteSafetensors(before, Weights::kTrained, [&](absl::string_view piece) {
    file.append(piece.data(), piece.size());
    return absl::OkStatus();
  }));
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights, Open(file));
  EXPECT_EQ(weights.tensor_count(), 4);
  const std::string checkpoint = Written(weights);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView after, CheckpointView::Open(checkpoint, "c"));
  for (int i = 0; i < after.tensor_count(); ++i) {
    CVT_ASSERT_OK_AND_ASSIGN(const auto source, before.FindTensor(after.tensor(i).name));
    EXPECT_EQ(after.tensor(i).data, source.data) << source.name;
    EXPECT_EQ(after.tensor(i).role, source.role) << source.name;
  }
}

TEST_F(ImportedWeightsTest, LoseThePrefixThatIsNamed) {
  const std::string file = FileWith(
      absl::StrCat(Entry("module.fc.weight", "F32", 1, 0, 4), ",", Entry("step", "I64", 1, 4, 8)),
      "0123456789ab");
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights, Open(file, {.strip_prefix = "module."}));
  const std::string checkpoint = Written(weights);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(checkpoint, "c"));
  EXPECT_EQ(view.tensor(0).name, "fc.weight");
  EXPECT_EQ(view.tensor(1).name, "step");
  EXPECT_THAT(Open(file, {.strip_prefix = "model."}),
              StatusIs(kInvalid, Reason("DATA_BAD"),
                       Message(HasSubstr("no tensor's name begins with model."))));
}

TEST_F(ImportedWeightsTest, SayWhatToDoWithNamesOfDataParallel) {
  const std::string file = FileWith(Entry("module.fc.weight", "F32", 1, 0, 4), "0123");
  EXPECT_THAT(Open(file), StatusIs(kInvalid, Reason("DATA_BAD"),
                                   Message(HasSubstr("--strip-prefix module. takes that away"))));
  const std::string twice = FileWith(Entry("module.module.fc.weight", "F32", 1, 0, 4), "0123");
  EXPECT_THAT(Open(twice, {.strip_prefix = "module."}),
              StatusIs(kInvalid, Message(HasSubstr("--strip-prefix module.module. takes"))));
}

TEST_F(ImportedWeightsTest, RefuseEachBadFileByName) {
  const std::string good = FileWith(Entry("w", "F32", 1, 0, 4), "0123");
  CVT_ASSERT_OK(Open(good));
  std::string lying = good;
  StoreLittleEndian<uint64_t>(uint64_t{1} << 40, lying.data());
  const std::string one = Entry("a", "F32", 1, 0, 4);
  const struct {
    const char* what;
    std::string file;
    const char* reason;
    const char* found;
  } cases[] = {
      {"nothing", "", "DATA_BAD", "truncated before the length"},
      {"cut in its header", good.substr(0, 20), "DATA_BAD", "truncated within its header"},
      {"cut in its data", good.substr(0, good.size() - 1), "DATA_BAD", "tensor w at offset 0"},
      {"header that lies", lying, "DATA_BAD", "at most 16777216"},
      {"more than its tensors", good + "4", "DATA_BAD", "the tensors end at 4, the file at 5"},
      {"no JSON", FileWith("w", "0123"), "DATA_BAD", "header at offset 1"},
      {"what torch.save() writes", "PK\3\4and more", "DATA_BAD", "is pickle and not read"},
      {"what it wrote once", "\x80\2}q\1X\4name", "DATA_BAD", "safetensors.torch.save_file("},
      {"no tensors", FileWith("", ""), "DATA_BAD", "has no tensors"},
      {"8-bit floats", FileWith(Entry("w", "F8_E4M3", 4, 0, 4), "0123"), "DATA_BAD",
       "tensor w at offset 0: unknown dtype F8_E4M3"},
      {"half floats", FileWith(Entry("w", "F16", 2, 0, 4), "0123"), "DATA_BAD",
       "tensor w: is F16; a network takes"},
      {"a name twice", FileWith(absl::StrCat(one, ",", one), "0123"), "DATA_BAD",
       "the name a occurs twice"},
      {"a name that is no name", FileWith(Entry("a b", "F32", 1, 0, 4), "0123"), "FIELD_INVALID",
       "tensor a b: the name must have 1 to 256"},
      {"a name that is too long", FileWith(Entry(std::string(257, 'x'), "F32", 1, 0, 4), "0123"),
       "FIELD_INVALID", "xxx...: the name must have 1 to 256"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Open(c.file), StatusIs(kInvalid, Reason(c.reason),
                                       Message(AllOf(HasSubstr("weights"), HasSubstr(c.found)))))
        << c.what;
  }
}

// 640 is 80 02 in hexadecimal digits, from the low end.
TEST_F(ImportedWeightsTest, TakeAHeaderWhoseLengthBeginsAsAPickleDoes) {
  const std::string entry = Entry("w", "F32", 1, 0, 4);
  const std::string header = entry + std::string(640 - 2 - entry.size(), ' ');
  const std::string file = FileWith(header, "0123");
  ASSERT_EQ(file.substr(0, 2), "\x80\2");
  EXPECT_THAT(Open(file), cvtrain::testing::IsOk());
}

TEST_F(ImportedWeightsTest, RefuseMoreTensorsThanACheckpointMayHave) {
  std::string header;
  for (int i = 0; i <= 100'000; ++i) {
    absl::StrAppend(&header, i > 0 ? "," : "", Entry(absl::StrCat(i), "F32", 0, 0, 0));
  }
  EXPECT_THAT(Open(FileWith(header, "")), StatusIs(kInvalid, Reason("DATA_BAD"),
                                                   Message(HasSubstr("more than 100000 tensors"))));
}

TEST_F(ImportedWeightsTest, RefuseTwoNamesThatBecomeOne) {
  const std::string file = FileWith(
      absl::StrCat(Entry("module.w", "F32", 1, 0, 4), ",", Entry("w", "F32", 1, 4, 4)), "01234567");
  EXPECT_THAT(Open(file, {.strip_prefix = "module."}),
              StatusIs(kInvalid, Message(HasSubstr("tensor w: the name is used twice"))));
}

TEST_F(ImportedWeightsTest, SayThatTheFileBecameShorter) {
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights,
                           Open(FileWith(Entry("w", "F32", 2, 0, 8), "01234567")));
  CVT_ASSERT_OK_AND_ASSIGN(const auto emptied, files_.NewWritableFile(kPath, {}));
  EXPECT_THAT(weights.Write(kName, [](absl::string_view) { return absl::OkStatus(); }),
              StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("became shorter"))));
}

TEST_F(ImportedWeightsTest, ReturnTheErrorsOfTheSink) {
  CVT_ASSERT_OK_AND_ASSIGN(const ImportedWeights weights,
                           Open(FileWith(Entry("w", "F32", 1, 0, 4), "0123")));
  EXPECT_THAT(weights.Write(kName,
                            [](absl::string_view) {
                              return ResourceExhausted(cvtrain::Reason::kDiskFull, "full");
                            }),
              Reason("DISK_FULL"));
}

}  // namespace
}  // namespace cvtrain::formats
