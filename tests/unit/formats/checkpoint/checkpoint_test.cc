#include "formats/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/crc32c.h"
#include "common/file_system.h"
#include "common/sha256.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeCheckpoint;
using ::cvtrain::formats::testing::SmallManifest;
using ::cvtrain::formats::testing::SmallTensors;
using ::cvtrain::formats::testing::TensorData;
using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::kDataLoss;
using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::Tensor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CheckpointTest, ReadsWhatWasWritten) {
  const std::string file = MakeCheckpoint();
  for (const CheckpointVerify verify : {CheckpointVerify::kStructure, CheckpointVerify::kAll}) {
    CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c", verify));
    CheckpointManifest manifest = view.manifest();
    manifest.clear_tensors();
    EXPECT_THAT(manifest, EqualsProto(SmallManifest()));
    const std::vector<TensorSpec> specs = SmallTensors();
    ASSERT_EQ(view.tensor_count(), static_cast<int>(specs.size()));
    for (int i = 0; i < view.tensor_count(); ++i) {
      const TensorSpec& spec = specs[static_cast<size_t>(i)];
      CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView::Tensor tensor, view.FindTensor(spec.name));
      EXPECT_EQ(tensor.name, spec.name);
      EXPECT_EQ(tensor.data_type, spec.data_type);
      EXPECT_EQ(tensor.role, spec.role);
      EXPECT_THAT(tensor.shape, ::testing::ElementsAreArray(spec.shape));
      EXPECT_EQ(tensor.data, TensorData(i, static_cast<int64_t>(tensor.data.size())));
      EXPECT_EQ((tensor.data.data() - file.data()) % kCheckpointTensorAlignment, 0);
    }
  }
}

TEST(CheckpointTest, KnowsItsDigest) {
  const std::string file = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c"));
  EXPECT_EQ(view.file_digest(), BlockDigestHex(file));
}

TEST(CheckpointTest, FinishingAnswersTheDigests) {
  std::string file = MakeCheckpoint({{"w", Tensor::DATA_TYPE_U8, {3 << 20}, Tensor::ROLE_BUFFER}});
  const std::string before = file;
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointDigests digests, FinishTrailer(absl::MakeSpan(file)));
  EXPECT_EQ(file, before) << "finishing twice changes nothing";
  EXPECT_EQ(digests.file_digest, BlockDigestHex(file));
  ASSERT_EQ(digests.block_crc32c.size(), 4u);
  EXPECT_EQ(digests.block_crc32c[2], Crc32c(absl::string_view(file).substr(2 << 20, 1 << 20)));
}

TEST(CheckpointTest, ViewsCanMove) {
  const std::string file = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(CheckpointView first, CheckpointView::Open(file, "c"));
  const CheckpointView second = std::move(first);
  EXPECT_EQ(second.tensor(1).name, "bn1.weight");
  CVT_EXPECT_OK(second.FindTensor("fc.weight"));
}

TEST(CheckpointTest, DoesNotFindWhatIsNotThere) {
  const std::string file = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c"));
  EXPECT_THAT(view.FindTensor("conv9.weight"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(CheckpointTest, HoldsEmptyTensorsAndScalars) {
  const std::string file = MakeCheckpoint({
      {"none", Tensor::DATA_TYPE_F32, {0}, Tensor::ROLE_BUFFER},
      {"scalar", Tensor::DATA_TYPE_I64, {}, Tensor::ROLE_BUFFER},
      {"also_none", Tensor::DATA_TYPE_F32, {3, 0, 5}, Tensor::ROLE_BUFFER},
  });
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c"));
  EXPECT_EQ(view.tensor(0).data.size(), 0u);
  EXPECT_EQ(view.tensor(1).data.size(), 8u);
  EXPECT_EQ(view.tensor(2).data.size(), 0u);
}

TEST(CheckpointTest, HoldsNoTensorsAtAll) {
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view,
                           CheckpointView::Open(MakeCheckpoint({}), "c"));
  EXPECT_EQ(view.tensor_count(), 0);
}

TEST(CheckpointLayoutTest, IsTheSameForEveryStep) {
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointLayout layout, CheckpointLayout::Plan(SmallTensors()));
  std::string file(static_cast<size_t>(layout.file_bytes()), '\0');
  for (const int64_t step : {int64_t{0}, int64_t{1} << 40}) {
    CheckpointManifest manifest = SmallManifest();
    manifest.set_step(step);
    CVT_ASSERT_OK(layout.WriteHeaderAndManifest(manifest, absl::MakeSpan(file)));
    CVT_ASSERT_OK(FinishTrailer(absl::MakeSpan(file)));
    CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c"));
    EXPECT_EQ(view.manifest().step(), step);
    EXPECT_EQ(view.tensor(2).data.data() - file.data(), layout.tensor_offset(2));
  }
}

TEST(CheckpointLayoutTest, AnEarlierTrailerDoesNotVouchForALaterCheckpoint) {
  std::string file = MakeCheckpoint();
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointLayout layout,
                           CheckpointLayout::Plan(SmallTensors(), 1024));
  CVT_ASSERT_OK(layout.WriteHeaderAndManifest(SmallManifest(), absl::MakeSpan(file)));
  EXPECT_THAT(CheckpointView::Open(file, "c", CheckpointVerify::kStructure),
              StatusIs(kDataLoss, Message(HasSubstr("was not completed"))));
}

TEST(CheckpointLayoutTest, RefusesTensorsThatBreakARule) {
  const TensorSpec good = SmallTensors()[0];
  const auto refuses = [&](const char* rule, auto change) {
    TensorSpec spec = good;
    change(spec);
    EXPECT_THAT(CheckpointLayout::Plan({spec}),
                StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr(rule))));
  };
  refuses("the name must", [](TensorSpec& s) { s.name = ""; });
  refuses("the name must", [](TensorSpec& s) { s.name = std::string(257, 'n'); });
  refuses("the name must", [](TensorSpec& s) { s.name = "with space"; });
  refuses("the name must", [](TensorSpec& s) { s.name = "new\nline"; });
  refuses("data type", [](TensorSpec& s) { s.data_type = Tensor::DATA_TYPE_UNSPECIFIED; });
  refuses("role", [](TensorSpec& s) { s.role = Tensor::ROLE_UNSPECIFIED; });
  refuses("17 dimensions", [](TensorSpec& s) { s.shape.assign(17, 1); });
  refuses("negative", [](TensorSpec& s) { s.shape = {3, -1}; });
  refuses("too large", [](TensorSpec& s) { s.shape = {int64_t{1} << 62, 4}; });
  refuses("too large", [](TensorSpec& s) { s.shape = {int64_t{1} << 32, int64_t{1} << 32, 0}; });
  EXPECT_THAT(CheckpointLayout::Plan({good, good}),
              StatusIs(kInvalid, Message(HasSubstr("conv1.weight: the name is used twice"))));
}

TEST(CheckpointLayoutTest, NamesTheLimit) {
  std::vector<TensorSpec> many(100'001, SmallTensors()[1]);
  EXPECT_THAT(CheckpointLayout::Plan(many),
              StatusIs(kExhausted, Reason("LIMIT_EXCEEDED"), Message(HasSubstr("100001 tensors"))));
  EXPECT_THAT(CheckpointLayout::Plan(
                  {{"a", Tensor::DATA_TYPE_U8, {int64_t{9} << 30}, Tensor::ROLE_BUFFER},
                   {"b", Tensor::DATA_TYPE_U8, {int64_t{9} << 30}, Tensor::ROLE_BUFFER}}),
              StatusIs(kExhausted, Message(HasSubstr("17179869184 bytes"))));
  EXPECT_THAT(CheckpointLayout::Plan(SmallTensors(), 17 << 20),
              StatusIs(kExhausted, Message(HasSubstr("manifest"))));
}

TEST(CheckpointLayoutTest, RefusesAManifestThatDoesNotFit) {
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointLayout layout,
                           CheckpointLayout::Plan(SmallTensors(), 1024));
  std::string file(static_cast<size_t>(layout.file_bytes()), '\0');
  CheckpointManifest manifest = SmallManifest();
  manifest.mutable_states(0)->set_value(std::string(2'000, 's'));
  EXPECT_THAT(layout.WriteHeaderAndManifest(manifest, absl::MakeSpan(file)),
              StatusIs(kExhausted, Message(HasSubstr("has room for"))));
  manifest = SmallManifest();
  for (int i = 0; i < 65; ++i) manifest.add_states();
  EXPECT_THAT(layout.WriteHeaderAndManifest(manifest, absl::MakeSpan(file)),
              StatusIs(kExhausted, Message(HasSubstr("states"))));
  manifest = SmallManifest();
  manifest.set_program_version("\xc3\x28");
  EXPECT_THAT(layout.WriteHeaderAndManifest(manifest, absl::MakeSpan(file)),
              StatusIs(kInvalid, Message(HasSubstr("UTF-8"))));
  file.pop_back();
  EXPECT_THAT(layout.WriteHeaderAndManifest(SmallManifest(), absl::MakeSpan(file)),
              StatusIs(kInvalid, Message(HasSubstr("the buffer must have"))));
}

TEST(FinishTrailerTest, RefusesWhatHasNoHeader) {
  std::string file(10'000, '\0');
  EXPECT_THAT(FinishTrailer(absl::MakeSpan(file)), StatusIs(kDataLoss, Reason("CHECKPOINT_BAD")));
  file = MakeCheckpoint();
  file.push_back('\0');
  EXPECT_THAT(FinishTrailer(absl::MakeSpan(file)), StatusIs(kDataLoss));
  EXPECT_THAT(FinishTrailer({}), StatusIs(kDataLoss));
}

TEST(ReadManifestTest, NeedsOnlyTheFirstBytes) {
  const std::string file = MakeCheckpoint();
  const absl::string_view view(file);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointManifest manifest,
                           ReadManifest(view.substr(0, 4096), "c"));
  EXPECT_EQ(manifest.step(), 1234);
  EXPECT_EQ(manifest.tensors_size(), 7);
  for (const size_t length : {size_t{0}, size_t{63}, size_t{64}, size_t{200}}) {
    EXPECT_THAT(ReadManifest(view.substr(0, length), "c"), StatusIs(absl::StatusCode::kOutOfRange));
  }
  EXPECT_THAT(ReadManifest(std::string(100, 'x'), "c"), StatusIs(kDataLoss));
}

constexpr char kGolden[] = "tests/unit/formats/checkpoint/golden/v2.checkpoint";

// The bytes of version 2, as docs/formats/checkpoint.md has them. A program that writes others must
// call them version 3.
TEST(CheckpointTest, WritesAndReadsTheGoldenFile) {
  CVT_ASSERT_OK_AND_ASSIGN(const std::string golden, ReadFile(PosixFileSystem(), kGolden));
  EXPECT_EQ(Sha256Hex(MakeCheckpoint()), Sha256Hex(golden));
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(golden, "golden"));
  EXPECT_EQ(view.manifest().trial(), "experiments/12/trials/3");
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView::Tensor count,
                           view.FindTensor("bn1.num_batches_tracked"));
  EXPECT_EQ(count.data, TensorData(3, 8));
}

// Writes the file of a new version:
//   formats_checkpoint_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheGolden'
TEST(CheckpointTest, DISABLED_WritesTheGolden) {
  EXPECT_THAT(WriteFileAtomic(PosixFileSystem(), kGolden, MakeCheckpoint()),
              ::cvtrain::testing::IsOk());
}

}  // namespace
}  // namespace cvtrain::formats
