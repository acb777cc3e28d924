// Whatever happens to the bytes of a checkpoint is found before a byte of it is used (promises D5
// and D7).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/random.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::ForgeCheckpoint;
using ::cvtrain::formats::testing::MakeCheckpoint;
using ::cvtrain::formats::testing::SmallManifest;
using ::cvtrain::testing::kDataLoss;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using storage::v1::Tensor;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CheckpointDamageTest, FindsEveryFlippedBit) {
  std::string file = MakeCheckpoint();
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
    ASSERT_THAT(CheckpointView::Open(file, "c"), StatusIs(kDataLoss, Reason("CHECKPOINT_BAD")))
        << "bit " << bit % 8 << " of byte " << bit / 8;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
  }
}

// As who restores one does.
bool OpensByBlocks(absl::string_view file) {
  const auto view = CheckpointView::Open(file, "c", CheckpointVerify::kStructure);
  if (!view.ok()) return false;
  for (int64_t block = 0; block < view->block_count(); ++block) {
    if (!view->Block(block).ok()) return false;
  }
  return true;
}

TEST(CheckpointDamageTest, FindsByBlocksAllButItsOwnDigest) {
  std::string file = MakeCheckpoint();
  const size_t digest_at = file.size() - 32;
  for (size_t byte = 0; byte < file.size(); ++byte) {
    file[byte] = static_cast<char>(file[byte] ^ 0x10);
    ASSERT_EQ(OpensByBlocks(file), byte >= digest_at) << byte;
    file[byte] = static_cast<char>(file[byte] ^ 0x10);
  }
}

TEST(CheckpointDamageTest, FindsATruncationAtEachLength) {
  const std::string file = MakeCheckpoint();
  for (size_t length = 0; length < file.size(); ++length) {
    ASSERT_THAT(CheckpointView::Open(absl::string_view(file).substr(0, length), "c",
                                     CheckpointVerify::kStructure),
                StatusIs(kDataLoss, Reason("CHECKPOINT_BAD")))
        << length;
  }
  EXPECT_THAT(CheckpointView::Open(file + '\0', "c"), StatusIs(kDataLoss));
}

TEST(CheckpointDamageTest, NamesFileBlockAndOffset) {
  std::string file = MakeCheckpoint({{"w", Tensor::DATA_TYPE_U8, {3 << 20}, Tensor::ROLE_BUFFER}});
  file[(2 << 20) + 5] ^= 1;
  EXPECT_THAT(
      CheckpointView::Open(file, "checkpoints/9f3c"),
      StatusIs(kDataLoss, Message(AllOf(HasSubstr("checkpoint checkpoints/9f3c"),
                                        HasSubstr("block 2"), HasSubstr("offset 2097152")))));
}

// --- Files that lie: every digest is right, the content is not.
// -----------------------------------

// Two tensors of 100 and 50 bytes, as they should be.
CheckpointManifest TwoTensors() {
  CheckpointManifest manifest = SmallManifest();
  for (const auto& [name, bytes, offset] : {std::tuple("a", 100, 0), std::tuple("b", 50, 128)}) {
    Tensor& tensor = *manifest.add_tensors();
    tensor.set_name(name);
    tensor.set_data_type(Tensor::DATA_TYPE_U8);
    tensor.set_role(Tensor::ROLE_PARAMETER);
    tensor.add_shape(bytes);
    tensor.set_offset(offset);
  }
  return manifest;
}

TEST(CheckpointDamageTest, TheForgeryBelowIsGoodWithoutALie) {
  CVT_EXPECT_OK(CheckpointView::Open(ForgeCheckpoint(TwoTensors(), 192), "c"));
}

TEST(CheckpointDamageTest, RefusesManifestsThatLie) {
  using Manifest = CheckpointManifest;
  const struct {
    const char* what;
    const char* found;
    std::function<void(Manifest&)> tell;
  } lies[] = {
      {"overlap", "must begin at 128", [](Manifest& m) { m.mutable_tensors(1)->set_offset(64); }},
      {"hole", "must begin at 128", [](Manifest& m) { m.mutable_tensors(1)->set_offset(192); }},
      {"unaligned", "must begin at", [](Manifest& m) { m.mutable_tensors(1)->set_offset(100); }},
      {"negative offset", "must begin", [](Manifest& m) { m.mutable_tensors(0)->set_offset(-64); }},
      {"offset that overflows", "must begin",
       [](Manifest& m) { m.mutable_tensors(1)->set_offset(INT64_MAX - 63); }},
      {"swapped", "must begin", [](Manifest& m) { m.mutable_tensors()->SwapElements(0, 1); }},
      {"too long", "ends after", [](Manifest& m) { m.mutable_tensors(1)->set_shape(0, 65); }},
      {"too short", "more than the tensors have",
       [](Manifest& m) { m.mutable_tensors()->RemoveLast(); }},
      {"shape that overflows", "too large",
       [](Manifest& m) {
         for (int i = 0; i < 8; ++i) m.mutable_tensors(1)->add_shape(int64_t{1} << 60);
       }},
      {"shape that overflows to what fits", "too large",
       [](Manifest& m) {
         m.mutable_tensors(1)->set_shape(0, int64_t{1} << 32);
         m.mutable_tensors(1)->add_shape(int64_t{1} << 32);
       }},
      {"negative side", "negative", [](Manifest& m) { m.mutable_tensors(1)->set_shape(0, -50); }},
      {"two negative sides", "negative",
       [](Manifest& m) {
         m.mutable_tensors(1)->set_shape(0, -50);
         m.mutable_tensors(1)->add_shape(-1);
       }},
      {"many dimensions", "dimensions",
       [](Manifest& m) {
         for (int i = 0; i < 16; ++i) m.mutable_tensors(1)->add_shape(1);
       }},
      {"same name", "used twice", [](Manifest& m) { m.mutable_tensors(1)->set_name("a"); }},
      {"no name", "the name must", [](Manifest& m) { m.mutable_tensors(1)->clear_name(); }},
      {"escape sequence in the name", "the name must",
       [](Manifest& m) { m.mutable_tensors(1)->set_name("a\x1b[31m"); }},
      {"long name", "the name must",
       [](Manifest& m) { m.mutable_tensors(1)->set_name(std::string(257, 'a')); }},
      {"no type", "data type", [](Manifest& m) { m.mutable_tensors(1)->clear_data_type(); }},
      {"unknown type", "data type",
       [](Manifest& m) { m.mutable_tensors(1)->set_data_type(static_cast<Tensor::DataType>(99)); }},
      {"no role", "role", [](Manifest& m) { m.mutable_tensors(1)->clear_role(); }},
      {"unknown role", "role",
       [](Manifest& m) { m.mutable_tensors(1)->set_role(static_cast<Tensor::Role>(-1)); }},
      {"many states", "65 states",
       [](Manifest& m) {
         while (m.states_size() < 65) m.add_states();
       }},
  };
  for (const auto& lie : lies) {
    SCOPED_TRACE(lie.what);
    CheckpointManifest manifest = TwoTensors();
    lie.tell(manifest);
    EXPECT_THAT(CheckpointView::Open(ForgeCheckpoint(manifest, 192), "c"),
                StatusIs(kDataLoss, Reason("CHECKPOINT_BAD"),
                         Message(AllOf(HasSubstr(lie.found), Not(HasSubstr("\x1b"))))));
  }
}

TEST(CheckpointDamageTest, NamesTensorAndOffset) {
  CheckpointManifest manifest = TwoTensors();
  manifest.mutable_tensors(1)->set_shape(0, 65);
  EXPECT_THAT(CheckpointView::Open(ForgeCheckpoint(manifest, 192), "c"),
              StatusIs(kDataLoss, Message(AllOf(HasSubstr("tensor 1 b"), HasSubstr("offset 4")))));
}

TEST(CheckpointDamageTest, RefusesMoreTensorsThanTheLimit) {
  CheckpointManifest manifest;
  for (int i = 0; i < 100'001; ++i) {
    Tensor& tensor = *manifest.add_tensors();
    tensor.set_name(absl::StrCat("t", i));
    tensor.set_data_type(Tensor::DATA_TYPE_U8);
    tensor.set_role(Tensor::ROLE_PARAMETER);
    tensor.add_shape(0);
  }
  EXPECT_THAT(CheckpointView::Open(ForgeCheckpoint(manifest, 0), "c"),
              StatusIs(kDataLoss, Message(HasSubstr("100001 tensors, at most 100000"))));
  manifest.mutable_tensors()->RemoveLast();
  CVT_EXPECT_OK(CheckpointView::Open(ForgeCheckpoint(manifest, 0), "c"));
}

// Eight million empty tensors in 16 MiB: counted, not built.
TEST(CheckpointDamageTest, RefusesAManifestThatIsABomb) {
  std::string manifest;
  for (int i = 0; i < 8'000'000; ++i) manifest += std::string("\xa2\x01\x00", 3).substr(0, 3);
  manifest.resize((16 << 20) / 3 * 3);
  EXPECT_THAT(CheckpointView::Open(ForgeCheckpoint(absl::string_view(manifest), 0), "c"),
              StatusIs(kDataLoss, Message(HasSubstr("tensors, at most 100000"))));
}

TEST(CheckpointDamageTest, RefusesAHugeManifest) {
  EXPECT_THAT(CheckpointView::Open(
                  MakeCheckpoint().replace(24, 8, std::string("\1\0\0\1\0\0\0\0", 8)), "c"),
              StatusIs(kDataLoss));
  std::string file = MakeCheckpoint();
  StoreLittleEndian<int64_t>((16 << 20) + 1, file.data() + 24);
  StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(file).substr(0, 60)), file.data() + 60);
  EXPECT_THAT(CheckpointView::Open(file, "c"),
              StatusIs(kDataLoss, Message(HasSubstr("at most 16777216"))));
}

TEST(CheckpointDamageTest, RefusesManifestsThatAreNone) {
  for (const absl::string_view bytes :
       {absl::string_view("\xff\xff\xff\xff"), absl::string_view("\x0a\x7f"),
        absl::string_view("\0", 1),
        absl::string_view("\x12\x02\xc3\x28")}) {  // the last: text that is no UTF-8
    EXPECT_THAT(CheckpointView::Open(ForgeCheckpoint(bytes, 0), "c"),
                StatusIs(kDataLoss, Message(HasSubstr("not a manifest"))));
  }
}

TEST(CheckpointDamageTest, RefusesHeadersThatLie) {
  const std::string good = MakeCheckpoint();
  const struct {
    size_t at;
    int64_t value;
    const char* found;
  } lies[] = {
      {16, 1, "bytes, not 1"},
      {16, INT64_MAX, "bytes, not"},
      {24, -1, "at most 16777216"},
      {24, INT64_MAX, "at most 16777216"},
      {32, 0, "impossible place"},
      {32, 64, "impossible place"},
      {32, 4096 + 64, "impossible place"},
      {32, INT64_MAX - 4095, "impossible place"},
      {32, -4096, "impossible place"},
      {40, -64, "impossible length"},
      {40, 63, "impossible length"},
      {40, INT64_MAX - 63, "impossible length"},
      {40, int64_t{1} << 34, "bytes, not"},
  };
  for (const auto& lie : lies) {
    std::string file = good;
    StoreLittleEndian<int64_t>(lie.value, file.data() + lie.at);
    StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(file).substr(0, 60)), file.data() + 60);
    EXPECT_THAT(CheckpointView::Open(file, "c"),
                StatusIs(kDataLoss, Reason("CHECKPOINT_BAD"), Message(HasSubstr(lie.found))))
        << "offset " << lie.at << ": " << lie.value;
    EXPECT_THAT(FinishTrailer(absl::MakeSpan(file)), StatusIs(kDataLoss));
  }
}

TEST(CheckpointDamageTest, RefusesBytesHiddenInPadding) {
  std::string file = ForgeCheckpoint(TwoTensors(), 192);
  CVT_ASSERT_OK_AND_ASSIGN(const CheckpointView view, CheckpointView::Open(file, "c"));
  const auto data = static_cast<size_t>(view.tensor(0).data.data() - file.data());
  for (const size_t at : {data - 1, data + 100, data + 127, data + 178, data + 191}) {
    std::string hiding = file;
    hiding[at] = 'x';
    CVT_ASSERT_OK(FinishTrailer(absl::MakeSpan(hiding)));
    EXPECT_THAT(CheckpointView::Open(hiding, "c"), StatusIs(kDataLoss)) << at;
  }
}

TEST(CheckpointDamageTest, SurvivesRandomManifests) {
  KeyedStream random("checkpoint-damage-test/v1", {cvtrain::testing::TestSeed()});
  const std::string good = TwoTensors().SerializeAsString();
  for (int i = 0; i < 5'000; ++i) {
    std::string manifest = good;
    for (uint64_t k = 0; k <= random.UniformInt(4); ++k) {
      manifest[random.UniformInt(manifest.size())] = static_cast<char>(random.NextU32());
    }
    const auto file = ForgeCheckpoint(absl::string_view(manifest), 192);
    const auto view = CheckpointView::Open(file, "c", CheckpointVerify::kStructure);
    if (!view.ok()) continue;
    int64_t bytes = 0;
    for (int t = 0; t < view->tensor_count(); ++t) {
      for (const char c : view->tensor(t).data) bytes += c == 0 ? 1 : 0;  // touch all of it
    }
    ASSERT_LE(bytes, 192);
  }
}

}  // namespace
}  // namespace cvtrain::formats
