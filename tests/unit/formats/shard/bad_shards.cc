#include "tests/unit/formats/shard/bad_shards.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/little_endian.h"
#include "common/random.h"

namespace cvtrain::formats::testing {
namespace {

constexpr size_t kPage = 4096;
// Three pictures: the record table, the keys and the digests are a page each.
constexpr size_t kTable = kPage;
constexpr size_t kRecord = 16 + 3 * 8;

class Maker {
 public:
  explicit Maker(const BadShardVisitor& visit)
      : visit_(visit), small_(MakeShard(3, 40)), large_(MakeShard(8, 500'000)) {}

  void Make() {
    TurnBytes();
    HitBlocks();
    CutAndGrow();
    MovePages();
    MixTwo();
    LieInHeader();
    LieInRecords();
    OtherThings();
  }

 private:
  template <typename... Parts>
  void Small(const std::string& bytes, const Parts&... name) {
    if (bytes != small_.bytes) visit_(absl::StrCat(name...), bytes, small_);
  }

  // --- Damage: the digests do not fit

  // Each byte that carries something, and some of the padding.
  void TurnBytes() {
    std::string bytes = small_.bytes;
    for (size_t at = 0; at < bytes.size(); ++at) {
      const bool in_table = at >= kTable && at < kTable + 3 * kRecord;
      const bool in_footer = at >= bytes.size() - 24;
      const bool in_crc = at >= kPage - 4 && at < kPage;
      if (at >= 264 && !in_table && !in_footer && !in_crc && at % 251 != 0) continue;
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << at % 8);
      Small(bytes, "turned/", at);
      bytes[at] = small_.bytes[at];
    }
  }

  void HitBlocks() {
    std::string bytes = large_.bytes;
    for (size_t block = 0; block << 20 < bytes.size(); ++block) {
      const size_t end = std::min((block + 1) << 20, bytes.size());
      for (const size_t at : {block << 20, (block << 20) + 777, end - 30}) {
        std::fill_n(bytes.begin() + static_cast<long>(at), 8, '\x5a');
        if (bytes != large_.bytes) visit_(absl::StrCat("block/", block, "/", at), bytes, large_);
        std::copy_n(large_.bytes.begin() + static_cast<long>(at), 8,
                    bytes.begin() + static_cast<long>(at));
      }
    }
  }

  void CutAndGrow() {
    const std::string& bytes = small_.bytes;
    for (size_t length = 0; length < bytes.size(); length += 409) {
      Small(bytes.substr(0, length), "cut/", length);
    }
    for (const size_t missing : {1, 4, 20, 24}) {
      Small(bytes.substr(0, bytes.size() - missing), "cut_at_end/", missing);
    }
    for (const size_t more : {1, 24, 4'096}) Small(bytes + std::string(more, '\0'), "grown/", more);
    Small(bytes + bytes, "twice");
    Small(bytes.substr(1), "without_first_byte");
    Small("x" + bytes, "with_a_byte_before");
    for (const size_t length : {size_t{4'096}, size_t{1} << 20, (size_t{2} << 20) + 1}) {
      visit_(absl::StrCat("large_cut/", length), absl::string_view(large_.bytes).substr(0, length),
             large_);
    }
  }

  void MovePages() {
    const size_t pages = small_.bytes.size() / kPage;
    for (size_t i = 0; i < pages; ++i) {
      std::string bytes = small_.bytes;
      std::fill_n(bytes.begin() + static_cast<long>(i * kPage), kPage, '\0');
      Small(bytes, "page_of_zeros/", i);
      for (size_t k = i + 1; k < pages; ++k) {
        bytes = small_.bytes;
        std::swap_ranges(bytes.begin() + static_cast<long>(i * kPage),
                         bytes.begin() + static_cast<long>((i + 1) * kPage),
                         bytes.begin() + static_cast<long>(k * kPage));
        Small(bytes, "pages_swapped/", i, "_", k);
      }
    }
  }

  // Pages of another good shard of the same shape, which differs in what its pictures hold.
  void MixTwo() {
    const std::string other = MakeShard(3, 44).bytes;
    const size_t pages = small_.bytes.size() / kPage;
    for (size_t i = 0; i < pages; ++i) {
      std::string bytes = small_.bytes;
      bytes.replace(i * kPage, kPage, other, i * kPage, kPage);
      Small(bytes, "page_of_another/", i);
      Small(other.substr(0, i * kPage) + small_.bytes.substr(i * kPage), "begins_as_another/", i);
    }
    std::string bytes = small_.bytes;
    const size_t footer = bytes.size() - 24;
    Small(bytes.substr(0, footer) + other.substr(other.size() - 24), "footer_of_another");
    const std::string& large = large_.bytes;
    Small(bytes.substr(0, kPage) + large.substr(kPage), "header_of_small");
    Small(large.substr(0, kPage) + bytes.substr(kPage), "header_of_large");
    // A header ends with its own CRC, so no CRC of a block sees one good header in place of
    // another: the index, which it has the digest of, must be the same.
    ShardWriterOptions options = SmallOptions();
    options.classes = 4;
    Small(MakeShard(3, 40, options).bytes.substr(0, kPage) + bytes.substr(kPage),
          "lie/header_of_one_with_more_classes");
  }

  // --- Lies: the digests fit

  void Seal(std::string bytes, const std::string& name) {
    SealSmallShard(&bytes);
    Small(bytes, name);
  }

  // `width` bytes at `at`, as numbers next to what is there, and at the ends of what a number can
  // be.
  void LieAt(const std::string& what, size_t at, int width) {
    uint64_t truth = 0;
    for (int i = width - 1; i >= 0; --i) {
      truth = truth << 8 | static_cast<uint8_t>(small_.bytes[at + static_cast<size_t>(i)]);
    }
    const uint64_t top = uint64_t{1} << (8 * width - 1);
    const uint64_t all = top - 1 + top;
    for (const uint64_t lie : std::set<uint64_t>{0, 1, (truth - 1) & all, (truth + 1) & all,
                                                 (truth * 2) & all, top - 1, top, all}) {
      if (lie == truth) continue;
      std::string bytes = small_.bytes;
      for (int i = 0; i < width; ++i) {
        bytes[at + static_cast<size_t>(i)] = static_cast<char>(lie >> (8 * i));
      }
      Seal(std::move(bytes), absl::StrCat("lie/", what, "/", lie));
    }
  }

  void LieInHeader() {
    for (const auto& [name, at, width] : {std::tuple{"magic", 0, 8},
                                          {"version", 8, 4},
                                          {"page_bytes", 12, 4},
                                          {"file_bytes", 32, 8},
                                          {"records", 40, 8},
                                          {"key_bytes", 48, 8},
                                          {"classes", 56, 4},
                                          {"rungs", 60, 4}}) {
      LieAt(name, static_cast<size_t>(at), width);
    }
    for (size_t i = 0; i < 8; ++i) LieAt(absl::StrCat("rung_", i), 64 + 4 * i, 4);
    for (size_t i = 0; i < 9; ++i) LieAt(absl::StrCat("section_", i), 96 + 8 * i, 8);
    for (const size_t at : {264, 300, 2'000, 4'091}) LieAt(absl::StrCat("reserved_", at), at, 1);
    for (const size_t at : {200, 205, 206, 263}) LieAt(absl::StrCat("split_", at), at, 1);
  }

  void LieInRecords() {
    for (size_t record = 0; record < 3; ++record) {
      const size_t at = kTable + record * kRecord;
      const auto lie = [&](const char* what, size_t offset, int width) {
        LieAt(absl::StrCat("record_", record, "_", what), at + offset, width);
      };
      lie("label", 0, 4);
      lie("width", 4, 2);
      lie("height", 6, 2);
      lie("key_at", 8, 4);
      lie("key_bytes", 12, 2);
      lie("format", 14, 1);
      lie("orientation", 15, 1);
      for (size_t section = 0; section < 3; ++section) {
        lie(absl::StrCat("rung_", section, "_at").c_str(), 16 + 8 * section, 4);
        lie(absl::StrCat("rung_", section, "_bytes").c_str(), 20 + 8 * section, 4);
      }
    }
    LieAt("padding_of_table", 2 * kPage - 1, 1);
    LieAt("padding_of_keys", 3 * kPage - 1, 1);
    LieAt("key", 2 * kPage, 1);
    LieAt("source_digest", 3 * kPage, 8);
  }

  void OtherThings() {
    Small("", "nothing");
    for (const size_t bytes : {1, 8, 4'096, 16'384})
      Small(std::string(bytes, '\0'), "zeros/", bytes);
    Small("CVTSHARD", "magic_alone");
    Small("\xff\xd8\xff\xe0 a picture" + std::string(5'000, 'x'), "a_jpeg");
    KeyedStream random("bad-shards/v1", {1});
    for (int i = 0; i < 40; ++i) {
      std::string bytes = small_.bytes;
      for (int k = 0; k < 5; ++k) {
        bytes[random.UniformInt(bytes.size())] = static_cast<char>(random.NextU32());
      }
      Small(bytes, "five_bytes_changed/", i);
    }
  }

  const BadShardVisitor& visit_;
  const ShardFixture small_;
  const ShardFixture large_;
};

}  // namespace

void ForEachBadShard(const BadShardVisitor& visit) { Maker(visit).Make(); }

}  // namespace cvtrain::formats::testing
