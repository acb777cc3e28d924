#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/picture/operations.h"
#include "formats/picture/tables.h"

namespace cvtrain::formats {
namespace {

using Histogram = std::array<int64_t, 256>;
using Tables = std::array<LevelTable, 3>;

std::array<Histogram, 3> Count(PictureSpan picture) {
  std::array<Histogram, 3> counts = {};
  const uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    for (size_t c = 0; c < 3; ++c) ++counts[c][pixel[c]];
  }
  return counts;
}

void ApplyTables(PictureSpan picture, const Tables& tables) {
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    for (size_t c = 0; c < 3; ++c) pixel[c] = tables[c][pixel[c]];
  }
}

LevelTable Unchanged() {
  LevelTable table;
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i);
  return table;
}

LevelTable Stretched(const Histogram& histogram) {
  const auto is_there = [](int64_t count) { return count > 0; };
  const auto first = std::find_if(histogram.begin(), histogram.end(), is_there);
  const auto last = std::find_if(histogram.rbegin(), histogram.rend(), is_there);
  if (first == histogram.end()) return Unchanged();
  const auto low = static_cast<float>(first - histogram.begin());
  const auto high = static_cast<float>(histogram.rend() - last - 1);
  if (low == high) return Unchanged();
  const float scale = (1.0F / (high - low)) * 255.0F;  // torch divides a number by a tensor so
  LevelTable table;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] =
        static_cast<uint8_t>(std::clamp((static_cast<float>(i) - low) * scale, 0.0F, 255.0F));
  }
  return table;
}

LevelTable Equalized(const Histogram& histogram) {
  int64_t total = 0;
  int64_t last = 0;  // pixels of the highest value that there is
  for (const int64_t count : histogram) {
    total += count;
    if (count > 0) last = count;
  }
  const int64_t step = (total - last) / 255;
  if (step == 0) return Unchanged();
  LevelTable table;
  int64_t below = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = i == 0 ? 0 : static_cast<uint8_t>(std::min<int64_t>((below + step / 2) / step, 255));
    below += histogram[i];
  }
  return table;
}

template <typename TableOf>
void ApplyByHistogram(PictureSpan picture, const TableOf& table_of) {
  const std::array<Histogram, 3> counts = Count(picture);
  ApplyTables(picture, {table_of(counts[0]), table_of(counts[1]), table_of(counts[2])});
}

}  // namespace

void Posterize(PictureSpan picture, int bits) {
  const auto mask = static_cast<uint8_t>(0xFF << (8 - bits));
  for (uint8_t& value : picture.pixels) value &= mask;
}

void Solarize(PictureSpan picture, double threshold) {
  LevelTable table;
  for (size_t i = 0; i < table.size(); ++i) {
    const bool inverts = static_cast<float>(i) >= static_cast<float>(threshold);
    table[i] = static_cast<uint8_t>(inverts ? 255 - i : i);
  }
  ApplyTable(picture, table);
}

void Invert(PictureSpan picture) {
  for (uint8_t& value : picture.pixels) value = static_cast<uint8_t>(255 - value);
}

void AutoContrast(PictureSpan picture) { ApplyByHistogram(picture, Stretched); }

void Equalize(PictureSpan picture) { ApplyByHistogram(picture, Equalized); }

}  // namespace cvtrain::formats
