#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/motion.h"
#include "formats/corruption/random_runs.h"
#include "formats/corruption/zoom.h"

namespace cvtrain::formats {
namespace {

struct SnowNumbers {
  float mean;       // of the flakes, of values in 0..1
  float deviation;  // the same
  double zoom;      // of the flakes
  float threshold;  // less is no flake
  MotionNumbers motion;
  float share;  // of the picture; the rest is whitened
};
constexpr StrengthTable<SnowNumbers> kSnow = {{{{{0.1F, 0.3F, 3, 0.5F, {10, 4}, 0.8F},
                                                 {0.2F, 0.3F, 2, 0.5F, {12, 4}, 0.7F},
                                                 {0.55F, 0.3F, 4, 0.9F, {12, 8}, 0.7F},
                                                 {0.55F, 0.3F, 4.5, 0.85F, {12, 8}, 0.65F},
                                                 {0.55F, 0.3F, 2.5, 0.85F, {12, 12}, 0.55F}}},
                                               {{{0.1F, 0.2F, 1, 0.6F, {8, 3}, 0.95F},
                                                 {0.1F, 0.2F, 1, 0.5F, {10, 4}, 0.9F},
                                                 {0.15F, 0.3F, 1.75, 0.55F, {10, 4}, 0.9F},
                                                 {0.25F, 0.3F, 2.25, 0.6F, {12, 6}, 0.85F},
                                                 {0.3F, 0.3F, 1.25, 0.65F, {14, 12}, 0.8F}}}}};

struct FogNumbers {
  float strength;  // of values in 0..1
  float decay;     // of the fractal, from one size of its squares to the next
};
constexpr StrengthTable<FogNumbers> kFog = {
    {{{{1.5F, 2}, {2, 2}, {2.5F, 1.7F}, {2.5F, 1.5F}, {3, 1.4F}}},
     {{{0.2F, 3}, {0.5F, 3}, {0.75F, 2.5F}, {1, 2}, {1.5F, 1.75F}}}}};

// Of values in 0..1.
constexpr StrengthTable<float> kBrightness = {
    {{0.1F, 0.2F, 0.3F, 0.4F, 0.5F}, {0.05F, 0.1F, 0.15F, 0.2F, 0.3F}}};

// Flakes, blurred along their fall: levels in 0..255, whole ones.
void MakeFlakes(const SnowNumbers& snow, Size size, KeyedStream& stream, Workspace& workspace,
                std::vector<float>& flakes) {
  std::vector<float>& normal = workspace.planes[1];
  normal.resize(size.count());
  FillNormal(stream, absl::MakeSpan(normal));
  for (float& value : normal) value = snow.mean + snow.deviation * value;
  flakes.assign(size.count(), 0);
  AddZoomed(normal.data(), size, 1, snow.zoom, workspace.planes[2], flakes.data());
  for (float& value : flakes) {
    value = value < snow.threshold ? 0.0F : static_cast<float>(ToLevel(255 * value));
  }
  BlurByMotion(snow.motion, stream.Uniform(-135, -45), size, 1, workspace, flakes);
  for (float& value : flakes) value = static_cast<float>(ToNearestLevel(value));
}

// Heights of a fractal landscape by midpoints (the diamond-square algorithm; Fournier, Fussell,
// Carpenter 1982) on a torus of `side` pixels, a power of two: each new point is the mean of its
// four neighbours and a random number, whose range shrinks from squares to smaller ones.
void MakeFractal(int side, float decay, KeyedStream& stream, std::vector<float>& heights) {
  const auto n = static_cast<size_t>(side);
  const size_t mask = n - 1;
  heights.resize(n * n);
  heights[0] = 0;
  const auto at = [&](size_t x, size_t y) -> float& {
    return heights[(y & mask) * n + (x & mask)];
  };
  float range = 100;
  const auto wobble = [&] {
    const float unit = static_cast<float>(stream.NextU32() >> 8) * 0x1p-24F;
    return range * range * (2 * unit - 1);
  };
  for (size_t step = n; step >= 2; step /= 2, range /= decay) {
    const size_t half = step / 2;
    for (size_t y = 0; y < n; y += step) {
      for (size_t x = 0; x < n; x += step) {
        at(x + half, y + half) =
            (at(x, y) + at(x + step, y) + at(x, y + step) + at(x + step, y + step)) / 4 + wobble();
      }
    }
    // Between two corners; the others are the middles of the squares on both sides.
    for (size_t y = 0; y < n; y += step) {
      for (size_t x = 0; x < n; x += step) {
        const float corner = at(x, y);
        const float middle = at(x + half, y + half);
        at(x + half, y) =
            (corner + at(x + step, y) + middle + at(x + half, y + n - half)) / 4 + wobble();
        at(x, y + half) =
            (corner + at(x, y + step) + middle + at(x + n - half, y + half)) / 4 + wobble();
      }
    }
  }
}

}  // namespace

// Flakes fall over the picture, and once more turned by half a turn, so that they cross.
void Snow(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  const SnowNumbers& snow = strength.Of(kSnow);
  std::vector<float>& flakes = workspace.planes[0];
  MakeFlakes(snow, SizeOf(picture), stream, workspace, flakes);
  const size_t count = picture.pixel_count();
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < count; ++i, pixel += 3) {
    const auto red = static_cast<float>(pixel[0]);
    const auto green = static_cast<float>(pixel[1]);
    const auto blue = static_cast<float>(pixel[2]);
    const float white = (0.299F * red + 0.587F * green + 0.114F * blue) * 1.5F + 127.5F;
    const float snowed = flakes[i] + flakes[count - 1 - i];
    for (int c = 0; c < 3; ++c) {
      const auto value = static_cast<float>(pixel[c]);
      pixel[c] = ToLevel(snow.share * value + (1 - snow.share) * std::max(value, white) + snowed);
    }
  }
}

// The fractal, from 0 to 1, is added, and all of it dimmed so that nothing is brighter than the
// picture was.
void Fog(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  const FogNumbers fog = strength.Of(kFog);
  const auto side = std::bit_ceil(static_cast<unsigned>(std::max(picture.width, picture.height)));
  std::vector<float>& heights = workspace.planes[0];
  MakeFractal(static_cast<int>(side), fog.decay, stream, heights);
  const auto [low, high] = std::minmax_element(heights.begin(), heights.end());
  const float lowest = *low;
  const float scale = 255 * fog.strength / (*high - lowest);
  const auto brightest =
      static_cast<float>(*std::max_element(picture.pixels.begin(), picture.pixels.end()));
  const float dimming = brightest / (brightest + 255 * fog.strength);
  uint8_t* pixel = picture.pixels.data();
  for (int y = 0; y < picture.height; ++y) {
    const float* row = heights.data() + static_cast<size_t>(y) * side;
    for (int x = 0; x < picture.width; ++x, pixel += 3) {
      const float added = (row[x] - lowest) * scale;
      for (int c = 0; c < 3; ++c) {
        pixel[c] = ToLevel((static_cast<float>(pixel[c]) + added) * dimming);
      }
    }
  }
}

// The value of hue, saturation and value grows, up to 1. As neither hue nor saturation change, the
// channels keep their proportions; black becomes grey.
void Brightness(Strength strength, PictureSpan picture, KeyedStream&, Workspace&) {
  const float more = 255 * strength.Of(kBrightness);
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    const auto value = static_cast<float>(std::max({pixel[0], pixel[1], pixel[2]}));
    const float brighter = std::min(value + more, 255.0F);
    const float factor = value > 0 ? brighter / value : 0;
    const float floor = value > 0 ? 0 : brighter;
    for (int c = 0; c < 3; ++c) {
      pixel[c] = ToLevel(static_cast<float>(pixel[c]) * factor + floor);
    }
  }
}

}  // namespace cvtrain::formats
