#include "tests/unit/formats/checkpoint/bad_checkpoints.h"

#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

namespace cvtrain::formats::testing {
namespace {

using storage::v1::Tensor;

constexpr size_t kHeader = static_cast<size_t>(kCheckpointHeaderBytes);
constexpr size_t kBlock = static_cast<size_t>(kCheckpointBlockBytes);
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

// What a number may be changed into.
constexpr int64_t kNumbers[] = {kMin,
                                -4096,
                                -64,
                                -1,
                                0,
                                1,
                                63,
                                64,
                                65,
                                4095,
                                4096,
                                1 << 20,
                                1 << 24,
                                int64_t{1} << 31,
                                int64_t{1} << 34,
                                kMax - 63,
                                kMax};

// Three tensors, of 100, 50 and 8 bytes.
CheckpointManifest GoodManifest() {
  CheckpointManifest manifest = SmallManifest();
  for (const auto& [name, type, bytes, offset] : {std::tuple("a", Tensor::DATA_TYPE_U8, 100, 0),
                                                  std::tuple("b", Tensor::DATA_TYPE_U8, 50, 128),
                                                  std::tuple("c", Tensor::DATA_TYPE_F32, 2, 192)}) {
    Tensor& tensor = *manifest.add_tensors();
    tensor.set_name(name);
    tensor.set_data_type(type);
    tensor.set_role(Tensor::ROLE_PARAMETER);
    tensor.add_shape(bytes);
    tensor.set_offset(offset);
  }
  return manifest;
}
constexpr int64_t kDataBytes = 256;

class Maker {
 public:
  explicit Maker(const BadCheckpointVisitor& visit)
      : visit_(visit),
        small_(MakeCheckpoint()),
        large_(MakeCheckpoint({{"w", Tensor::DATA_TYPE_U8, {3 << 20}, Tensor::ROLE_BUFFER}})),
        forged_(ForgeCheckpoint(GoodManifest(), kDataBytes)) {}

  void Make() {
    TurnBytes();
    CutAndGrow();
    MoveBlocks();
    LieInHeader();
    LieInTensors();
    LieInManifest();
    HideInPadding();
  }

 private:
  template <typename... Parts>
  void Small(const std::string& bytes, const Parts&... name) {
    if (bytes != small_) visit_(absl::StrCat(name...), bytes);
  }

  // --- Damage: the digests do not fit

  // All of the header and the trailer, and every third byte of the manifest and the tensors.
  void TurnBytes() {
    const CheckpointManifest manifest = *ReadManifest(small_, "c");
    const size_t manifest_end = kHeader + manifest.ByteSizeLong();
    std::string bytes = small_;
    for (size_t at = 0; at < bytes.size(); ++at) {
      const bool in_header = at < kHeader;
      const bool in_manifest = at < manifest_end && at % 3 == 0;
      const bool in_data = at >= 4096 && at % 7 == 0;
      const bool in_trailer = at + 56 >= bytes.size();
      if (!in_header && !in_manifest && !in_data && !in_trailer && at % 509 != 0) continue;
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << at % 8);
      Small(bytes, "turned/", at);
      bytes[at] = small_[at];
    }
  }

  void CutAndGrow() {
    for (size_t length = 0; length < small_.size(); length += 131) {
      Small(small_.substr(0, length), "cut/", length);
    }
    for (const size_t missing : {1, 4, 32, 36, 56}) {
      Small(small_.substr(0, small_.size() - missing), "cut_at_end/", missing);
    }
    for (const size_t more : {1, 56, 4096}) {
      Small(small_ + std::string(more, '\0'), "grown/", more);
    }
    Small(small_ + small_, "twice");
    Small(std::string(small_.size(), '\0'), "zeros");
    Small("", "nothing");
  }

  void MoveBlocks() {
    const auto swapped = [&](size_t a, size_t b) {
      std::string bytes = large_;
      for (size_t i = 0; i < kBlock; ++i) std::swap(bytes[a * kBlock + i], bytes[b * kBlock + i]);
      return bytes;
    };
    visit_("blocks_swapped/0-1", swapped(0, 1));
    visit_("blocks_swapped/1-2", swapped(1, 2));
    for (size_t block = 0; block < 3; ++block) {
      std::string bytes = large_;
      bytes.replace(block * kBlock, kBlock, kBlock, '\0');
      visit_(absl::StrCat("block_lost/", block), bytes);
    }
    // Half of one save over another: a buffer that was written while it was read.
    const std::string other =
        MakeCheckpoint({{"v", Tensor::DATA_TYPE_U8, {3 << 20}, Tensor::ROLE_BUFFER}});
    for (const size_t at : {kHeader, size_t{4096}, kBlock, 2 * kBlock, large_.size() - 60}) {
      visit_(absl::StrCat("mixed/", at), large_.substr(0, at) + other.substr(at));
    }
  }

  // --- Lies: every digest is right, the content is not

  void LieInHeader() {
    const std::pair<const char*, size_t> fields[] = {
        {"file_bytes", 16}, {"manifest_bytes", 24}, {"data_offset", 32}, {"data_bytes", 40}};
    for (const auto& [field, at] : fields) {
      const auto good = LoadLittleEndian<int64_t>(small_.data() + at);
      for (const int64_t number : kNumbers) Header(field, at, number);
      for (const int64_t number : {good - 64, good - 1, good + 1, good + 64, good + 4096}) {
        Header(absl::StrCat(field, "_near"), at, number);
      }
    }
    for (const uint32_t version : {0u, 1u, 3u, 0xffffffffu}) Header32("version", 8, version);
    for (const uint32_t length : {0u, 63u, 65u, 0xffffffffu}) Header32("header_bytes", 12, length);
    for (const uint32_t block : {0u, 1u, 4096u, 0xffffffffu}) Header32("block_bytes", 48, block);
    Header32("reserved", 56, 1);
  }
  void Header(const std::string& field, size_t at, int64_t number) {
    std::string bytes = small_;
    StoreLittleEndian<int64_t>(number, bytes.data() + at);
    Sign(bytes);
    Small(bytes, "lie/header/", field, "/", number);
  }
  void Header32(const std::string& field, size_t at, uint32_t number) {
    std::string bytes = small_;
    StoreLittleEndian<uint32_t>(number, bytes.data() + at);
    Sign(bytes);
    Small(bytes, "lie/header/", field, "/", number);
  }
  static void Sign(std::string& bytes) {
    StoreLittleEndian<uint32_t>(Crc32c(absl::string_view(bytes).substr(0, 60)), bytes.data() + 60);
  }

  void Manifest(const std::string& name, const CheckpointManifest& manifest) {
    const std::string bytes = ForgeCheckpoint(manifest, kDataBytes);
    if (bytes != forged_) visit_(absl::StrCat("lie/", name), bytes);
  }

  void LieInTensors() {
    for (int i = 0; i < 3; ++i) {
      const auto lie = [&](const std::string& what, const std::function<void(Tensor&)>& tell) {
        CheckpointManifest manifest = GoodManifest();
        tell(*manifest.mutable_tensors(i));
        Manifest(absl::StrCat("tensor", i, "/", what), manifest);
      };
      for (const int64_t number : kNumbers) {
        lie(absl::StrCat("offset/", number), [&](Tensor& t) { t.set_offset(number); });
        lie(absl::StrCat("side/", number), [&](Tensor& t) { t.set_shape(0, number); });
        lie(absl::StrCat("another_side/", number), [&](Tensor& t) { t.add_shape(number); });
      }
      for (int type = -1; type <= 11; ++type) {
        lie(absl::StrCat("type/", type),
            [&](Tensor& t) { t.set_data_type(static_cast<Tensor::DataType>(type)); });
      }
      for (int role = -1; role <= 6; ++role) {
        lie(absl::StrCat("role/", role),
            [&](Tensor& t) { t.set_role(static_cast<Tensor::Role>(role)); });
      }
      const std::pair<const char*, std::string> names[] = {{"empty", ""},
                                                           {"taken", i == 0 ? "b" : "a"},
                                                           {"space", "a b"},
                                                           {"escape", "a\x1b[31m"},
                                                           {"long", std::string(257, 'a')},
                                                           {"no_utf8", "\xc3\x28"},
                                                           {"nul", std::string("a\0", 2)}};
      for (const auto& [what, text] : names) {
        lie(absl::StrCat("name/", what), [&, value = text](Tensor& t) { t.set_name(value); });
      }
      for (const int sides : {8, 9, 100}) {
        lie(absl::StrCat("sides/", sides), [&](Tensor& t) {
          while (t.shape_size() < sides) t.add_shape(1);
        });
      }
      lie("scalar", [](Tensor& t) { t.clear_shape(); });
    }
  }

  void LieInManifest() {
    CheckpointManifest manifest = GoodManifest();
    manifest.mutable_tensors()->RemoveLast();
    Manifest("tensors/one_less", manifest);
    manifest.clear_tensors();
    Manifest("tensors/none", manifest);
    manifest = GoodManifest();
    *manifest.add_tensors() = manifest.tensors(2);
    Manifest("tensors/one_twice", manifest);
    manifest = GoodManifest();
    manifest.mutable_tensors()->SwapElements(0, 2);
    Manifest("tensors/swapped", manifest);
    for (const int count : {64, 65, 1000}) {
      manifest = GoodManifest();
      while (manifest.states_size() < count) {
        manifest.add_states()->set_name(absl::StrCat("s", manifest.states_size()));
      }
      Manifest(absl::StrCat("states/", count), manifest);
    }
    manifest = GoodManifest();
    *manifest.add_states() = manifest.states(0);
    Manifest("states/one_twice", manifest);
    const std::pair<const char*, std::string> texts[] = {{"empty", ""},
                                                         {"garbage", "\xff\xff\xff\xff"},
                                                         {"cut", "\x0a\x7f"},
                                                         {"no_utf8", "\x12\x02\xc3\x28"}};
    for (const auto& [what, bytes] : texts) {
      visit_(absl::StrCat("lie/manifest/", what),
             ForgeCheckpoint(absl::string_view(bytes), kDataBytes));
    }
  }

  // Where nothing is, something.
  void HideInPadding() {
    const auto view = CheckpointView::Open(forged_, "c");
    CVT_CHECK_OK(view.status());
    const auto data = static_cast<size_t>(view->tensor(0).data.data() - forged_.data());
    const size_t manifest_end = kHeader + GoodManifest().ByteSizeLong();
    for (const size_t at : {manifest_end, data - 1, data + 100, data + 127, data + 178, data + 191,
                            data + 200, data + 255}) {
      std::string bytes = forged_;
      bytes[at] = 'x';
      CVT_CHECK_OK(FinishTrailer(absl::MakeSpan(bytes)).status());
      visit_(absl::StrCat("lie/padding/", at), bytes);
    }
  }

  const BadCheckpointVisitor& visit_;
  const std::string small_, large_, forged_;
};

}  // namespace

void ForEachBadCheckpoint(const BadCheckpointVisitor& visit) { Maker(visit).Make(); }

}  // namespace cvtrain::formats::testing
