// Every product and every sum of floats here is rounded by itself, as torch's
// kernels do one after another: the folder is compiled without contraction.

#include <algorithm>
#include <array>
#include <cstdint>

#include "formats/picture/operations.h"
#include "formats/picture/tables.h"

namespace cvtrain::formats {
namespace {

constexpr float kRed = 0.2989F;
constexpr float kGreen = 0.587F;
constexpr float kBlue = 0.114F;

// So many pixels at a time: few enough for the cache, and side by side, so that the compiler makes
// vectors of what is done to them.
constexpr size_t kRun = 256;

template <typename Number>
using Run = std::array<Number, kRun>;

// Pixels as hue, saturation and value, 0 to 1 each.
struct HsvRun {
  Run<float> h;
  Run<float> s;
  Run<float> v;
};

// torchvision's _rgb2hsv(). Selects rather than branches: which channel is highest is hard to
// predict.
void ToHsv(const Run<float>& red, const Run<float>& green, const Run<float>& blue, HsvRun& hsv) {
  for (size_t i = 0; i < kRun; ++i) {
    const float r = red[i];
    const float g = green[i];
    const float b = blue[i];
    const float high = std::max(r, std::max(g, b));
    const float range = high - std::min(r, std::min(g, b));
    const float divisor = range == 0 ? 1 : range;
    const float first = high == r ? b : high == g ? r : g;
    const float second = high == r ? g : high == g ? b : r;
    const float offset = high == r ? 0.0F : high == g ? 2.0F : 4.0F;
    const float sixths = offset + (high - first) / divisor - (high - second) / divisor;
    const float turns = sixths / 6.0F + 1.0F;  // 5/6 to 11/6
    hsv.h[i] = turns >= 1 ? turns - 1 : turns;
    hsv.s[i] = range / (range == 0 ? 1 : high);
    hsv.v[i] = high;
  }
}

void Turn(float shift, Run<float>& hue) {
  for (float& h : hue) {
    const float turned = h + shift;
    h = turned < 0 ? turned + 1 : turned >= 1 ? turned - 1 : turned;
  }
}

// 0 to 1 as 0 to 255, in 256 equal parts but for a thousandth: convert_image_dtype().
int ToLevel(float value) {
  return static_cast<int>(std::min(std::max(value, 0.0F), 1.0F) * 255.999F);
}

// What the channels of a pixel are made of, as levels; which of them, by sector of the circle. A
// hue of 1 is in a seventh sector, which is the first.
struct SectorRun {
  Run<int> sector;
  std::array<Run<int>, 4> levels;  // v, p, q, t
};
constexpr std::array<std::array<uint8_t, 3>, 7> kSectors = {
    {{0, 3, 1}, {2, 0, 1}, {1, 0, 3}, {1, 2, 0}, {3, 1, 0}, {0, 1, 2}, {0, 3, 1}}};

// torchvision's _hsv2rgb(), up to the choice of the channels.
void ToSectors(const HsvRun& hsv, SectorRun& run) {
  for (size_t i = 0; i < kRun; ++i) {
    const float s = hsv.s[i];
    const float v = hsv.v[i];
    const int sector = static_cast<int>(hsv.h[i] * 6.0F);
    const float f = hsv.h[i] * 6.0F - static_cast<float>(sector);
    run.sector[i] = sector;
    run.levels[0][i] = ToLevel(v);
    run.levels[1][i] = ToLevel(v * (1.0F - s));
    run.levels[2][i] = ToLevel(v * (1.0F - s * f));
    run.levels[3][i] = ToLevel(v * (1.0F - s * (1.0F - f)));
  }
}

}  // namespace

uint8_t Luma(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>(static_cast<int>(kRed * static_cast<float>(red) +
                                               kGreen * static_cast<float>(green) +
                                               kBlue * static_cast<float>(blue)));
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
  std::array<uint8_t, kRun * 3> lumas;
  uint8_t* pixels = picture.pixels.data();
  for (size_t left = picture.pixel_count(); left > 0;) {
    const size_t count = std::min(left, kRun);
    for (size_t i = 0; i < count; ++i) {
      const uint8_t* pixel = pixels + 3 * i;
      std::fill_n(lumas.data() + 3 * i, 3, Luma(pixel[0], pixel[1], pixel[2]));
    }
    blend.Mix(pixels, lumas.data(), 3 * count);
    pixels += 3 * count;
    left -= count;
  }
}

void AdjustHue(PictureSpan picture, double turn) {
  std::array<float, 256> unit;
  for (size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<float>(i) / 255.0F;
  std::array<Run<float>, 3> rgb = {};
  HsvRun hsv;
  SectorRun run;
  uint8_t* pixels = picture.pixels.data();
  for (size_t left = picture.pixel_count(); left > 0;) {
    const size_t count = std::min(left, kRun);
    for (size_t i = 0; i < count; ++i) {
      for (size_t c = 0; c < 3; ++c) rgb[c][i] = unit[pixels[3 * i + c]];
    }
    ToHsv(rgb[0], rgb[1], rgb[2], hsv);
    Turn(static_cast<float>(turn), hsv.h);
    ToSectors(hsv, run);
    for (size_t i = 0; i < count; ++i) {
      const auto& chosen = kSectors[static_cast<size_t>(run.sector[i])];
      for (size_t c = 0; c < 3; ++c) {
        pixels[3 * i + c] = static_cast<uint8_t>(run.levels[chosen[c]][i]);
      }
    }
    pixels += 3 * count;
    left -= count;
  }
}

}  // namespace cvtrain::formats
