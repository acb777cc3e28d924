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
  explicit Blend(double factor)
      : factor_(static_cast<float>(factor)), rest_(static_cast<float>(1 - factor)) {}

  uint8_t operator()(uint8_t value, float other) const {
    const float mixed = factor_ * static_cast<float>(value) + rest_ * other;
    // Through int, for which there is a vector instruction.
    return static_cast<uint8_t>(static_cast<int>(std::min(std::max(mixed, 0.0F), 255.0F)));
  }

  // For each value, mixed with one `other`.
  LevelTable Towards(float other) const {
    LevelTable table;
    for (size_t i = 0; i < table.size(); ++i) {
      table[i] = (*this)(static_cast<uint8_t>(i), other);
    }
    return table;
  }

  // Mixes `count` values in place with as many others. The compiler makes vectors of it.
  void Mix(uint8_t* values, const uint8_t* others, size_t count) const {
    for (size_t i = 0; i < count; ++i) {
      values[i] = (*this)(values[i], static_cast<float>(others[i]));
    }
  }

 private:
  float factor_;
  float rest_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_PICTURE_TABLES_H_
