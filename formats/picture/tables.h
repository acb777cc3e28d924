#ifndef CVTRAIN_FORMATS_PICTURE_TABLES_H_
#define CVTRAIN_FORMATS_PICTURE_TABLES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/picture/picture_span.h"

namespace cvtrain::formats {

// What becomes of each value. Internal to the folder.
using LevelTable = std::array<uint8_t, 256>;

// The same for all channels.
inline void ApplyTable(PictureSpan picture, const LevelTable& table) {
  for (uint8_t& value : picture.pixels) value = table[value];
}

// torchvision's _blend(): factor * value + (1 - factor) * other, clamped to 0..255
// and cut to whole levels; each product and the sum rounded to float. Internal to
// the folder.
class Blend {
 public:
  explicit Blend(double factor) : factor_(static_cast<float>(factor)) {
    const auto rest = static_cast<float>(1 - factor);
    for (size_t i = 0; i < own_.size(); ++i) {
      own_[i] = factor_ * static_cast<float>(i);
      other_[i] = rest * static_cast<float>(i);
    }
    rest_ = rest;
  }

  uint8_t operator()(uint8_t value, uint8_t other) const {
    return Cut(own_[value] + other_[other]);
  }

  // For each value, mixed with one `other`.
  LevelTable Towards(float other) const {
    LevelTable table;
    const float part = rest_ * other;
    for (size_t i = 0; i < table.size(); ++i) table[i] = Cut(own_[i] + part);
    return table;
  }

 private:
  static uint8_t Cut(float value) { return static_cast<uint8_t>(std::clamp(value, 0.0F, 255.0F)); }

  float factor_;
  float rest_;
  std::array<float, 256> own_;
  std::array<float, 256> other_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_PICTURE_TABLES_H_
