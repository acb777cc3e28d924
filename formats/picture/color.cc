// Every product and every sum of floats here is rounded by itself, as torch's
// kernels do one after another: the folder is compiled without contraction.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "formats/picture/operations.h"
#include "formats/picture/tables.h"

namespace cvtrain::formats {
namespace {

constexpr float kRed = 0.2989F;
constexpr float kGreen = 0.587F;
constexpr float kBlue = 0.114F;

struct Hsv {
  float h;  // 0 to 1
  float s;
  float v;
};

// torchvision's _rgb2hsv(), for values of 0 to 1.
inline Hsv ToHsv(float r, float g, float b) {
  const float high = std::max(r, std::max(g, b));
  const float low = std::min(r, std::min(g, b));
  const float range = high - low;
  if (range == 0) return {0, 0, high};
  const float rc = (high - r) / range;
  const float gc = (high - g) / range;
  const float bc = (high - b) / range;
  float h;
  if (high == r) {
    h = bc - gc;
  } else if (high == g) {
    h = 2.0F + rc - bc;
  } else {
    h = 4.0F + gc - rc;
  }
  h = h / 6.0F + 1.0F;  // 5/6 to 11/6
  return {h >= 1 ? h - 1 : h, range / high, high};
}

// 0 to 1 as 0 to 255, in 256 equal parts but for a thousandth: convert_image_dtype().
inline uint8_t ToLevel(float value) { return static_cast<uint8_t>(value * 255.999F); }

// torchvision's _hsv2rgb(); `h` is 0 to 1, and 1 is 0 again.
inline void FromHsv(const Hsv& hsv, uint8_t* rgb) {
  const float sector = std::floor(hsv.h * 6.0F);
  const float f = hsv.h * 6.0F - sector;
  const auto unit = [](float value) { return std::clamp(value, 0.0F, 1.0F); };
  const uint8_t v = ToLevel(hsv.v);
  const uint8_t p = ToLevel(unit(hsv.v * (1.0F - hsv.s)));
  const uint8_t q = ToLevel(unit(hsv.v * (1.0F - hsv.s * f)));
  const uint8_t t = ToLevel(unit(hsv.v * (1.0F - hsv.s * (1.0F - f))));
  const std::array<std::array<uint8_t, 3>, 6> sectors = {
      {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}}};
  const auto& chosen = sectors[static_cast<size_t>(sector) % 6];
  std::copy(chosen.begin(), chosen.end(), rgb);
}

}  // namespace

uint8_t Luma(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>(kRed * static_cast<float>(red) + kGreen * static_cast<float>(green) +
                              kBlue * static_cast<float>(blue));
}

void AdjustBrightness(PictureSpan picture, double factor) {
  ApplyTable(picture, Blend(factor).Towards(0));
}

void AdjustContrast(PictureSpan picture, double factor) {
  int64_t sum = 0;
  const uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    sum += Luma(pixel[0], pixel[1], pixel[2]);
  }
  const float mean = static_cast<float>(sum) / static_cast<float>(picture.pixel_count());
  ApplyTable(picture, Blend(factor).Towards(mean));
}

void AdjustSaturation(PictureSpan picture, double factor) {
  const Blend blend(factor);
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    const uint8_t luma = Luma(pixel[0], pixel[1], pixel[2]);
    for (int c = 0; c < 3; ++c) pixel[c] = blend(pixel[c], luma);
  }
}

void AdjustHue(PictureSpan picture, double turn) {
  std::array<float, 256> unit;
  for (size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<float>(i) / 255.0F;
  const auto shift = static_cast<float>(turn);
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    Hsv hsv = ToHsv(unit[pixel[0]], unit[pixel[1]], unit[pixel[2]]);
    hsv.h += shift;
    if (hsv.h < 0) {
      hsv.h += 1;
    } else if (hsv.h >= 1) {
      hsv.h -= 1;
    }
    FromHsv(hsv, pixel);
  }
}

}  // namespace cvtrain::formats
