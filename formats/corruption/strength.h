#ifndef CVTRAIN_FORMATS_CORRUPTION_STRENGTH_H_
#define CVTRAIN_FORMATS_CORRUPTION_STRENGTH_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/corruption/corruption.h"

// Internal to the folder.
namespace cvtrain::formats {

// The numbers of a corruption: those of ImageNet-C, then those of CIFAR-10-C, by severity. Those of
// each kind stand in the file that makes it, and are of make_imagenet_c.py and make_cifar_c.py in
// ImageNet-C/create_c of github.com/hendrycks/robustness (commits e0377d4 and ca36008).
template <typename Numbers>
using StrengthTable = std::array<std::array<Numbers, 5>, 2>;

// How much of it: a place in those tables.
class Strength {
 public:
  Strength(CorruptionLevels levels, int severity)
      : row_(static_cast<size_t>(levels) - 1), column_(static_cast<size_t>(severity) - 1) {}

  template <typename Numbers>
  const Numbers& Of(const StrengthTable<Numbers>& table) const {
    return table[row_][column_];
  }

 private:
  size_t row_;
  size_t column_;
};

// Pixels of one side.
struct Size {
  int width = 0;
  int height = 0;

  size_t count() const { return static_cast<size_t>(width) * static_cast<size_t>(height); }
};

// A value from 0 to 255 as a byte, as numpy's uint8 makes it of one that is clipped: cut to whole
// levels. What lies less than a thousandth below one is taken for rounding.
inline uint8_t ToLevel(float value) {
  constexpr float kRounding = 0x1p-10F;
  // Through int, for which there is a vector instruction.
  return static_cast<uint8_t>(
      static_cast<int>(std::min(std::max(value, 0.0F), 255.0F) + kRounding));
}

// The same, to the nearest level.
inline uint8_t ToNearestLevel(float value) {
  return static_cast<uint8_t>(static_cast<int>(std::min(std::max(value, 0.0F), 255.0F) + 0.5F));
}

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_STRENGTH_H_
