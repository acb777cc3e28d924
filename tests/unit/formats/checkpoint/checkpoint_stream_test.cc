#include "formats/checkpoint/checkpoint_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/block_digest.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/checkpoint/bad_checkpoints.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::ForEachBadCheckpoint;
using ::cvtrain::formats::testing::MakeCheckpoint;
using ::cvtrain::formats::testing::SmallManifest;
using ::cvtrain::formats::testing::SmallTensors;
using ::cvtrain::formats::testing::TensorData;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::Tensor;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Small ones, and one that takes several blocks and ends within one.
std::vector<TensorSpec> LargeTensors() {
  std::vector<TensorSpec> tensors = SmallTensors();
  tensors.push_back({"w", Tensor::DATA_TYPE_U8, {(3 << 20) + 77}, Tensor::ROLE_BUFFER});
  return tensors;
}

CheckpointLayout LayoutOf(const std::vector<TensorSpec>& tensors) {
  absl::StatusOr<CheckpointLayout> layout = CheckpointLayout::Plan(tensors, 1024);
  CVT_CHECK_OK(layout.status());
  return *std::move(layout);
}

// The data of the fixtures, in pieces of `piece_bytes`.
TensorSource SourceOf(const CheckpointLayout& layout, size_t piece_bytes) {
  return [&layout, piece_bytes](int index, const ByteSink& sink) -> absl::Status {
    const std::string data = TensorData(index, layout.tensor_bytes(index));
    for (size_t at = 0; at < data.size(); at += piece_bytes) {
      CVT_RETURN_IF_ERROR(sink(absl::string_view(data).substr(at, piece_bytes)));
    }
    return absl::OkStatus();
  };
}

// What becomes of `file` where it arrives in pieces of `piece_bytes`.
absl::StatusOr<CheckpointManifest> Check(absl::string_view file, size_t piece_bytes) {
  CheckpointStreamCheck check("c");
  for (size_t at = 0; at < file.size(); at += piece_bytes) {
    CVT_RETURN_IF_ERROR(check.Update(file.substr(at, piece_bytes)));
  }
  return check.Finish();
}

TEST(WriteCheckpointTest, WritesWhatIsWrittenInPlace) {
  for (const std::vector<TensorSpec>& tensors : {SmallTensors(), LargeTensors(), {}}) {
    const CheckpointLayout layout = LayoutOf(tensors);
    std::vector<std::string> pieces;
    CVT_ASSERT_OK_AND_ASSIGN(
        const CheckpointDigests digests,
        WriteCheckpoint(layout, SmallManifest(), SourceOf(layout, 1000), [&](absl::string_view b) {
          pieces.emplace_back(b);
          return absl::OkStatus();
        }));
    std::string file;
    for (const std::string& piece : pieces) file += piece;
    EXPECT_TRUE(file == MakeCheckpoint(tensors)) << tensors.size() << " tensors";
    EXPECT_EQ(digests.file_digest, BlockDigestHex(file));
    EXPECT_FALSE(pieces.back().empty());
    pieces.pop_back();
    EXPECT_THAT(pieces, Each(SizeIs(kCheckpointBlockBytes)));
  }
}

TEST(WriteCheckpointTest, RefusesDataOfAnotherLength) {
  const CheckpointLayout layout = LayoutOf(SmallTensors());
  for (const int more : {-1, 1}) {
    const auto source = [&](int index, const ByteSink& sink) {
      return sink(std::string(static_cast<size_t>(layout.tensor_bytes(index) + more), 'x'));
    };
    EXPECT_THAT(WriteCheckpoint(layout, SmallManifest(), source,
                                [](absl::string_view) { return absl::OkStatus(); }),
                StatusIs(kInvalid, Reason("FIELD_INVALID"), Message(HasSubstr("tensor 0"))))
        << more;
  }
}

TEST(WriteCheckpointTest, ReturnsTheErrorsOfSourceAndSink) {
  const CheckpointLayout layout = LayoutOf(LargeTensors());
  const absl::Status full = ResourceExhausted(cvtrain::Reason::kDiskFull, "full");
  const auto nothing = [](absl::string_view) { return absl::OkStatus(); };
  EXPECT_THAT(WriteCheckpoint(
                  layout, SmallManifest(), [&](int, const ByteSink&) { return full; }, nothing),
              Reason("DISK_FULL"));
  for (int good = 0; good < 4; ++good) {
    int calls = 0;
    EXPECT_THAT(WriteCheckpoint(
                    layout, SmallManifest(), SourceOf(layout, 1 << 19),
                    [&](absl::string_view) { return calls++ < good ? absl::OkStatus() : full; }),
                Reason("DISK_FULL"));
    EXPECT_EQ(calls, good + 1);
  }
}

TEST(CheckpointStreamCheckTest, TakesACheckpointInPiecesOfAnySize) {
  const std::string small = MakeCheckpoint();
  for (const size_t piece : {size_t{1}, size_t{63}, size_t{64}, size_t{4096}, small.size()}) {
    CVT_ASSERT_OK_AND_ASSIGN(const CheckpointManifest manifest, Check(small, piece));
    EXPECT_EQ(manifest.checkpoint(), SmallManifest().checkpoint());
    EXPECT_EQ(manifest.tensors_size(), 7);
  }
  const std::string large = MakeCheckpoint(LargeTensors());
  for (const size_t piece : {size_t{1} << 20, size_t{700'001}, large.size()}) {
    CVT_EXPECT_OK(Check(large, piece));
  }
}

TEST(CheckpointStreamCheckTest, TakesJustWhatOpens) {
  int refused = 0;
  ForEachBadCheckpoint([&](const std::string& name, absl::string_view bytes) {
    const bool opens = CheckpointView::Open(bytes, "c").ok();
    for (const size_t piece : {size_t{4096}, size_t{1} << 20}) {
      const absl::Status status = Check(bytes, piece).status();
      EXPECT_EQ(status.ok(), opens) << name << " in pieces of " << piece << ": " << status;
      if (!opens) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, Reason("CHECKPOINT_BAD")))
            << name;
      }
    }
    refused += opens ? 0 : 1;
  });
  EXPECT_GT(refused, 700);
}

TEST(CheckpointStreamCheckTest, SaysSoAsSoonAsItIsSeen) {
  std::string file = MakeCheckpoint(LargeTensors());
  // After the 144 bytes of the first tensor.
  const CheckpointLayout layout = LayoutOf(LargeTensors());
  file[static_cast<size_t>(layout.tensor_offset(0) + layout.tensor_bytes(0))] = 1;
  CheckpointStreamCheck check("c");
  EXPECT_THAT(check.Update(absl::string_view(file).substr(0, size_t{1} << 20)),
              StatusIs(absl::StatusCode::kDataLoss, Message(HasSubstr("padding"))));
  EXPECT_THAT(check.Update(absl::string_view(file).substr(size_t{1} << 20)),
              StatusIs(absl::StatusCode::kDataLoss, Message(HasSubstr("padding"))));
  EXPECT_THAT(check.Finish(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace cvtrain::formats
