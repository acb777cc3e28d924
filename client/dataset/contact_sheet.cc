#include "client/dataset/contact_sheet.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::client {
namespace {

constexpr int kGap = 4;
constexpr uint8_t kPaper = 0x18;
constexpr uint8_t kInk = 0xd0;

// Rows from the top, the leftmost pixel in the highest of five bits.
using Glyph = std::array<uint8_t, kTextHeight>;
constexpr absl::string_view kCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.,:=/";
// clang-format off
constexpr std::array<Glyph, kCharacters.size()> kGlyphs = {{
    {{0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110}},  // 0
    {{0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110}},  // 1
    {{0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111}},  // 2
    {{0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110}},  // 3
    {{0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010}},  // 4
    {{0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110}},  // 5
    {{0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110}},  // 6
    {{0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000}},  // 7
    {{0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110}},  // 8
    {{0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100}},  // 9
    {{0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001}},  // A
    {{0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110}},  // B
    {{0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110}},  // C
    {{0b11100, 0b10010, 0b10001, 0b10001, 0b10001, 0b10010, 0b11100}},  // D
    {{0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111}},  // E
    {{0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000}},  // F
    {{0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01111}},  // G
    {{0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001}},  // H
    {{0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110}},  // I
    {{0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100}},  // J
    {{0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001}},  // K
    {{0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111}},  // L
    {{0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001}},  // M
    {{0b10001, 0b10001, 0b11001, 0b10101, 0b10011, 0b10001, 0b10001}},  // N
    {{0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110}},  // O
    {{0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000}},  // P
    {{0b01110, 0b10001, 0b10001, 0b10001, 0b10101, 0b10010, 0b01101}},  // Q
    {{0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001}},  // R
    {{0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110}},  // S
    {{0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100}},  // T
    {{0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110}},  // U
    {{0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100}},  // V
    {{0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001}},  // W
    {{0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001}},  // X
    {{0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100}},  // Y
    {{0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111}},  // Z
    {{0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000}},  // -
    {{0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100}},  // .
    {{0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b00100, 0b01000}},  // ,
    {{0b00000, 0b01100, 0b01100, 0b00000, 0b01100, 0b01100, 0b00000}},  // :
    {{0b00000, 0b00000, 0b11111, 0b00000, 0b11111, 0b00000, 0b00000}},  // =
    {{0b00000, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b00000}},  // /
}};
// clang-format on

uint8_t* PixelAt(formats::Image& image, int x, int y) {
  return image.pixels.data() +
         3 * (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x));
}

void Paste(const formats::Image& tile, int x, int y, formats::Image& sheet) {
  const size_t row_bytes = 3 * static_cast<size_t>(tile.width);
  for (int row = 0; row < tile.height; ++row) {
    const uint8_t* from = tile.pixels.data() + row_bytes * static_cast<size_t>(row);
    std::copy_n(from, row_bytes, PixelAt(sheet, x, y + row));
  }
}

int TileHeight(const SheetRow& row) {
  int height = 0;
  for (const formats::Image& tile : row.tiles) height = std::max(height, tile.height);
  return height;
}

// What a row takes with its caption and the gaps around.
formats::PictureSize SizeOf(const SheetRow& row) {
  formats::PictureSize size = {.width = kGap, .height = kSheetRowHeight + TileHeight(row)};
  for (const formats::Image& tile : row.tiles) size.width += tile.width + kGap;
  const int caption = 2 * kGap + kTextCellWidth * static_cast<int>(row.caption.size());
  size.width = std::max(size.width, caption);
  return size;
}

static_assert(kSheetRowHeight == kTextHeight + 3 * kGap);

}  // namespace

absl::Status SheetTooLarge() {
  return InvalidArgument(
      Reason::kFieldInvalid,
      absl::StrCat("the sheet would be more than ", kSheetSideMax,
                   " pixels on a side: ask for fewer pictures, or for one stage"));
}

void DrawText(absl::string_view text, int x, int y, formats::Image& image) {
  for (const char c : text) {
    const size_t glyph = kCharacters.find(absl::ascii_toupper(static_cast<unsigned char>(c)));
    for (int row = 0; row < kTextHeight && glyph != absl::string_view::npos; ++row) {
      for (int column = 0; column < kTextCellWidth - 1; ++column) {
        const bool ink = (kGlyphs[glyph][static_cast<size_t>(row)] >> (4 - column) & 1) != 0;
        const bool inside = x + column < image.width && y + row < image.height;
        if (ink && inside) std::fill_n(PixelAt(image, x + column, y + row), 3, kInk);
      }
    }
    x += kTextCellWidth;
  }
}

absl::StatusOr<formats::Image> MakeContactSheet(const std::vector<SheetRow>& rows) {
  formats::PictureSize size = {.width = 1, .height = kGap};
  for (const SheetRow& row : rows) {
    const formats::PictureSize taken = SizeOf(row);
    size.width = std::max(size.width, taken.width);
    size.height += taken.height;
    if (std::max(size.width, size.height) > kSheetSideMax) {
      return SheetTooLarge();
    }
  }
  formats::Image sheet;
  sheet.Resize(size.width, size.height);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), kPaper);
  int y = kGap;
  for (const SheetRow& row : rows) {
    DrawText(row.caption, kGap, y, sheet);
    int x = kGap;
    for (const formats::Image& tile : row.tiles) {
      Paste(tile, x, y + kTextHeight + kGap, sheet);
      x += tile.width + kGap;
    }
    y += SizeOf(row).height;
  }
  return sheet;
}

}  // namespace cvtrain::client
