#include "tests/unit/formats/image/bad_pictures.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/little_endian.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "formats/image/image.h"
#include "tests/unit/formats/image/golden_pictures.h"
#include "tests/unit/formats/image/image_fixtures.h"
#include "tests/unit/formats/image/tiff_fixtures.h"

namespace cvtrain::formats::testing {
namespace {

class Maker {
 public:
  Maker() {
    for (GoldenPicture& golden : ReadGoldenPictures()) {
      goldens_.emplace(golden.name, std::move(golden.bytes));
    }
  }

  std::vector<BadPicture> Make() {
    for (const auto& [name, bytes] : goldens_) {
      AddCuts(name, bytes);
      AddChanges(name, bytes);
      AddOtherSignatures(name, bytes);
    }
    AddJpegs();
    AddPngs();
    AddTiffs();
    AddWebps();
    AddBombs();
    AddOtherThings();
    return std::move(pictures_);
  }

 private:
  // Leaves out what is a golden picture after all.
  template <typename... Parts>
  void Add(std::string bytes, const Parts&... name) {
    for (const auto& [_, golden] : goldens_) {
      if (bytes == golden) return;
    }
    pictures_.push_back({absl::StrCat(name...), std::move(bytes)});
  }

  const std::string& Golden(const std::string& name) { return goldens_.at(name); }

  // --- Of every kind

  void AddCuts(const std::string& name, const std::string& bytes) {
    const size_t size = bytes.size();
    for (const size_t length : std::set<size_t>{3, 14, 40, size / 8, size * 3 / 8, size * 5 / 8,
                                                size * 7 / 8, size - 5}) {
      Add(bytes.substr(0, length), name, "/cut/", length);
    }
  }

  void AddChanges(const std::string& name, const std::string& bytes) {
    KeyedStream random("bad-pictures/v1", {Number(name)});
    const size_t third = std::min<size_t>(bytes.size(), 160) / 3;
    for (size_t i = 0; i < 3; ++i) {
      std::string changed = bytes;
      const size_t at = i * third + random.UniformInt(third);
      changed[at] = static_cast<char>(changed[at] ^ 1 << random.UniformInt(8));
      Add(std::move(changed), name, "/flipped_in_header/", at);
    }
    std::string changed = bytes;
    for (int i = 0; i < 4; ++i) {
      changed[random.UniformInt(bytes.size())] = static_cast<char>(random.NextU32());
    }
    Add(std::move(changed), name, "/four_bytes_changed");
    const size_t at = random.UniformInt(bytes.size());
    changed = bytes;
    std::fill_n(changed.begin() + static_cast<long>(at), std::min<size_t>(40, bytes.size() - at),
                '\0');
    Add(std::move(changed), name, "/zeros_from/", at);
  }

  // A number that stands for a name, to key chance by.
  static uint64_t Number(absl::string_view name) {
    uint64_t number = 14'695'981'039'346'656'037u;  // FNV-1a
    for (const char c : name) {
      number = (number ^ static_cast<uint8_t>(c)) * 1'099'511'628'211u;
    }
    return number;
  }

  void AddOtherSignatures(const std::string& name, const std::string& bytes) {
    const std::pair<const char*, std::string> signatures[] = {
        {"jpeg", "\xff\xd8\xff\xe0"},
        {"png", std::string("\x89PNG\r\n\x1a\n", 8)},
        {"tiff", std::string("II*\0\x08\0\0\0", 8)},
        {"webp", bytes.size() > 16 ? "RIFF" + bytes.substr(4, 4) + "WEBP" : "RIFF"}};
    const auto& [kind, signature] = signatures[Number(name) % 4];
    if (absl::StartsWith(bytes, signature)) return;
    Add(signature + bytes.substr(signature.size()), name, "/begins_as_", kind);
  }

  // --- JPEG

  void AddJpegs() {
    const std::pair<int, int> sizes[] = {{0, 17},      {23, 0},          {1, 1},
                                         {24, 18},     {65'535, 1},      {1, 65'535},
                                         {16'385, 17}, {16'000, 16'000}, {65'500, 65'500}};
    for (const char* name : {"baseline.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"}) {
      for (const auto& [width, height] : sizes) {
        Add(WithJpegSize(Golden(name), width, height), name, "/size/", width, "x", height);
      }
      AddSegments(name);
    }
    const std::string& progressive = Golden("progressive.jpg");
    const size_t last = progressive.rfind("\xff\xda");
    const std::string scan = progressive.substr(last, progressive.size() - 2 - last);
    for (const int times : {1, 10, 200}) {
      std::string again = progressive.substr(0, progressive.size() - 2);
      for (int i = 0; i < times; ++i) again += scan;
      Add(again + "\xff\xd9", "progressive.jpg/last_scan_again/", times);
    }
    Add(MakeJpeg(MakePicture(23, 17), {.colors = JpegColors::kGrey, .many_scans = true}),
        "hand.jpg/127_scans");
  }

  // Each segment before the picture: gone, twice, with other lengths.
  void AddSegments(const std::string& name) {
    const std::string& bytes = Golden(name);
    for (size_t at = 2; at + 4 < bytes.size();) {
      const auto marker = static_cast<uint8_t>(bytes[at + 1]);
      const size_t length = 2 + (size_t{static_cast<uint8_t>(bytes[at + 2])} << 8 |
                                 static_cast<uint8_t>(bytes[at + 3]));
      const std::string where = absl::StrCat(name, "/", absl::Hex(marker), "_at_", at, "/");
      Add(bytes.substr(0, at) + bytes.substr(at + length), where, "gone");
      Add(bytes.substr(0, at + length) + bytes.substr(at), where, "twice");
      for (const int lie : {0, 1, 2, 7, 65'535}) {
        std::string changed = bytes;
        changed[at + 2] = static_cast<char>(lie >> 8);
        changed[at + 3] = static_cast<char>(lie);
        Add(std::move(changed), where, "length_", lie);
      }
      if (marker == 0xda) return;
      at += length;
    }
  }

  // --- PNG

  using Chunks = std::vector<std::string>;  // type and data of each

  static Chunks ChunksOf(const std::string& png) {
    Chunks chunks;
    for (size_t at = 8; at < png.size();) {
      size_t length = 0;
      for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(png[at + i]);
      chunks.push_back(png.substr(at + 4, length + 4));
      at += length + 12;
    }
    return chunks;
  }

  static std::string PngOf(const Chunks& chunks) {
    std::string png("\x89PNG\r\n\x1a\n", 8);
    for (const std::string& chunk : chunks) png += MakePngChunk(chunk);
    return png;
  }

  void AddPngs() {
    for (const char* name : {"rgb.png", "palette.png", "interlaced16.png", "turned6.png"}) {
      const Chunks chunks = ChunksOf(Golden(name));
      AddPngHeaders(name, chunks);
      for (size_t i = 0; i < chunks.size(); ++i) {
        const std::string where = absl::StrCat(name, "/", chunks[i].substr(0, 4), "_", i, "/");
        Chunks changed = chunks;
        changed.erase(changed.begin() + static_cast<long>(i));
        Add(PngOf(changed), where, "gone");
        changed = chunks;
        changed.insert(changed.begin() + static_cast<long>(i), chunks[i]);
        Add(PngOf(changed), where, "twice");
        changed = chunks;
        changed[i].resize(4 + (changed[i].size() - 4) / 2);
        Add(PngOf(changed), where, "half");
        changed = chunks;
        std::rotate(changed.begin(), changed.begin() + static_cast<long>(i), changed.end());
        Add(PngOf(changed), where, "first");
        for (const uint32_t length : {0u, 0x7fffffffu, 0xffffffffu}) {
          AddPngLength(where, chunks, i, length);
        }
      }
    }
  }

  // Every field of the header with other values, and with the right CRC.
  void AddPngHeaders(const std::string& name, const Chunks& chunks) {
    const std::pair<int64_t, int64_t> sizes[] = {
        {0, 17},      {23, 0},          {22, 17},         {23, 18},
        {24, 17},     {16'385, 17},     {16'000, 16'000}, {0x7fffffff, 0x7fffffff},
        {1, 3000000}, {0x80000000, 17}, {0xffffffff, 1}};
    for (const auto& [width, height] : sizes) {
      Chunks changed = chunks;
      for (size_t i = 0; i < 4; ++i) {
        changed[0][4 + i] = static_cast<char>(width >> (24 - 8 * i));
        changed[0][8 + i] = static_cast<char>(height >> (24 - 8 * i));
      }
      Add(PngOf(changed), name, "/size/", width, "x", height);
    }
    const char* fields[] = {"depth", "color", "compression", "filter", "interlacing"};
    for (size_t field = 0; field < 5; ++field) {
      for (const int value : {0, 1, 2, 3, 5, 8, 16, 255}) {
        Chunks changed = chunks;
        char& byte = changed[0][12 + field];
        if (static_cast<uint8_t>(byte) == value) continue;
        byte = static_cast<char>(value);
        Add(PngOf(changed), name, "/", fields[field], "_", value);
      }
    }
  }

  void AddPngLength(const std::string& where, const Chunks& chunks, size_t index, uint32_t length) {
    const std::string before = PngOf({chunks.begin(), chunks.begin() + static_cast<long>(index)});
    std::string bytes = PngOf(chunks);
    for (size_t i = 0; i < 4; ++i) {
      bytes[before.size() + i] = static_cast<char>(length >> (24 - 8 * i));
    }
    if (bytes != PngOf(chunks)) Add(std::move(bytes), where, "length_", length);
  }

  // --- TIFF

  void AddTiffs() {
    for (const char* name : {"planes.tif", "tiles.tif", "rgb16.tif", "tiff_lzw.tif", "jpeg.tif",
                             "group4.tif", "palette.tif"}) {
      AddDirectoryEntries(name);
    }
    const std::string& good = Golden("rgb16.tif");
    for (const uint32_t place : {0u, 1u, 4u, 0x7fffffffu, 0xffffffffu}) {
      std::string changed = good;
      StoreLittleEndian<uint32_t>(place, changed.data() + 4);
      Add(std::move(changed), "rgb16.tif/directory_at/", place);
    }
    for (const uint32_t tile : {1u, 16u, 24u, 4'096u, 16'384u, 70'000u}) {
      TiffTags tags = MakeTiffTags(23, 17, 3);
      tags[322] = tags[323] = {tile};
      Add(MakeTiff(tags, {std::string(1'200, 'x')}), "hand.tif/tile/", tile);
    }
  }

  // Every entry of the first directory: other types, counts and values.
  void AddDirectoryEntries(const std::string& name) {
    const std::string& bytes = Golden(name);
    CVT_CHECK(absl::StartsWith(bytes, "II"));
    const uint32_t directory = LoadLittleEndian<uint32_t>(bytes.data() + 4);
    const uint32_t entries = LoadLittleEndian<uint16_t>(bytes.data() + directory);
    for (uint32_t i = 0; i < entries; ++i) {
      const size_t at = directory + 2 + 12 * i;
      const std::string where =
          absl::StrCat(name, "/tag_", LoadLittleEndian<uint16_t>(bytes.data() + at), "/");
      const auto with = [&](size_t offset, uint32_t value, const char* what) {
        std::string changed = bytes;
        if (offset < 4) {
          StoreLittleEndian<uint16_t>(static_cast<uint16_t>(value), changed.data() + at + offset);
        } else {
          StoreLittleEndian<uint32_t>(value, changed.data() + at + offset);
        }
        if (changed != bytes) Add(std::move(changed), where, what, "_", value);
      };
      with(0, 60'000, "tag");
      with(2, 2, "type");
      with(4, 0, "count");
      with(4, 0x7fffffff, "count");
      for (const uint32_t value : {0u, 2u, 255u, 0xffffffffu}) with(8, value, "value");
    }
  }

  // --- WebP

  void AddWebps() {
    const std::string lossless = Golden("lossless.webp").substr(12);
    for (const auto& [width, height] :
         {std::pair{23, 18}, std::pair{22, 17}, std::pair{1, 1}, std::pair{16'385, 17},
          std::pair{16'000, 16'000}, std::pair{1 << 24, 1 << 24}}) {
      for (const int flags : {0, 2, 16}) {
        Add(MakeRiff(MakeVp8x(flags, width, height) + lossless), "lossless.webp/canvas/", width,
            "x", height, "/flags_", flags);
      }
    }
    for (const char* name :
         {"lossy.webp", "lossless.webp", "lossy_alpha.webp", "animated.webp", "turned6.webp"}) {
      const std::string& bytes = Golden(name);
      for (const size_t at : {size_t{4}, size_t{16}}) {
        for (const uint32_t length : {0u, 1u, 9u, 30u, 0x7fffffffu, 0xffffffffu}) {
          std::string changed = bytes;
          StoreLittleEndian<uint32_t>(length, changed.data() + at);
          Add(std::move(changed), name, "/length_at_", at, "/", length);
        }
      }
      for (size_t at = 20; at < 34; ++at) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(~changed[at]);
        Add(std::move(changed), name, "/inverted_at/", at);
      }
    }
  }

  // --- All kinds again

  void AddBombs() {
    for (const auto& [width, height] :
         {std::pair{3'000, 3'000}, std::pair{16'384, 1'000}, std::pair{16'385, 100}}) {
      const auto w = static_cast<uint32_t>(width);
      const auto h = static_cast<uint32_t>(height);
      Add(MakeFlatPng(w, h), "bomb.png/", width, "x", height);
      Add(MakeFlatTiff(w, h), "bomb.tif/", width, "x", height);
    }
    Image flat;
    flat.Resize(4'000, 3'000);
    Add(MakeWebp(flat), "bomb.webp/4000x3000");
    Add(MakeJpeg(flat, {.progressive = true}), "bomb.jpg/4000x3000");
  }

  void AddOtherThings() {
    Add("", "nothing");
    for (const size_t zeros : {1, 4, 12, 100, 4'096})
      Add(std::string(zeros, '\0'), "zeros/", zeros);
    for (const size_t ones : {1, 4, 100}) Add(std::string(ones, '\xff'), "ones/", ones);
    const std::pair<const char*, std::string> things[] = {
        {"gif", "GIF89a\x01"},
        {"bmp", "BM" + std::string(60, '\x01')},
        {"pdf", "%PDF-1.4\n"},
        {"html", "<html><body>404 Not Found</body></html>"},
        {"zip", "PK\x03\x04" + std::string(30, '\x02')},
        {"heic", std::string("\0\0\0\x18", 4) + "ftypheic"},
        {"wav", "RIFF\x10WAVEfmt "},
        {"text", "cat dog cat"},
        {"jpeg_start", "\xff\xd8\xff"},
        {"jpeg_start_and_end", "\xff\xd8\xff\xd9"},
        {"jpeg_padding", "\xff\xd8" + std::string(5'000, '\xff')},
        {"png_signature", std::string("\x89PNG\r\n\x1a\n", 8)},
        {"tiff_signature", std::string("II*\0", 4)},
        {"tiff_of_itself", std::string("II*\0\0\0\0\0", 8)},
        {"big_tiff_signature", std::string("II+\0\x08\0\0\0", 8)},
        {"webp_signature", "RIFF1234WEBP"},
    };
    for (const auto& [name, bytes] : things) Add(bytes, "other/", name);
  }

  std::map<std::string, std::string> goldens_;
  std::vector<BadPicture> pictures_;
};

}  // namespace

std::vector<BadPicture> MakeBadPictures() { return Maker().Make(); }

}  // namespace cvtrain::formats::testing
