#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/status_macros.h"
#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/image/jpeg.h"

namespace cvtrain::formats {
namespace {

// Share of the contrast that is left.
constexpr StrengthTable<double> kContrast = {
    {{0.4, 0.3, 0.2, 0.1, 0.05}, {0.75, 0.5, 0.4, 0.3, 0.15}}};
// Factor of the saturation, and what is added to it.
struct SaturateNumbers {
  float factor;
  float more;
};
constexpr StrengthTable<SaturateNumbers> kSaturate = {
    {{{{0.3F, 0}, {0.1F, 0}, {2, 0}, {5, 0.1F}, {20, 0.2F}}},
     {{{0.3F, 0}, {0.1F, 0}, {1.5F, 0}, {2, 0.1F}, {2.5F, 0.2F}}}}};
constexpr StrengthTable<int> kJpegQuality = {{{25, 18, 15, 10, 7}, {80, 65, 58, 50, 40}}};
// Share of the pixels of a side that is left.
constexpr StrengthTable<double> kPixelate = {
    {{0.6, 0.5, 0.4, 0.3, 0.25}, {0.95, 0.9, 0.85, 0.75, 0.65}}};

// One pixel of a side that Pillow has shrunk by its box filter: the mean of the whole pixels whose
// centres it covers, by a weight in fixed point.
struct Box {
  static constexpr int kWeightBits = 22;

  size_t first;
  size_t count;
  uint32_t weight;
};

Box BoxAt(int i, int small_side, int side) {
  const double scale = static_cast<double>(side) / small_side;
  const double centre = (i + 0.5) * scale;
  const int first = std::max(static_cast<int>(centre - scale / 2 + 0.5), 0);
  const int end = std::min(static_cast<int>(centre + scale / 2 + 0.5), side);
  const double share = 1.0 / (end - first);
  return {.first = static_cast<size_t>(first),
          .count = static_cast<size_t>(end - first),
          .weight = static_cast<uint32_t>(0.5 + share * (1 << Box::kWeightBits))};
}

// One side of a picture that is shrunk. Across, its steps are pixels, of 3 values each; down, they
// are whole rows.
struct Shrinking {
  int side;
  int small_side;  // of the result
  size_t step;     // values
};
void Shrink(const Shrinking& shrinking, const uint8_t* in, uint8_t* out) {
  for (int i = 0; i < shrinking.small_side; ++i, out += shrinking.step) {
    const Box box = BoxAt(i, shrinking.small_side, shrinking.side);
    const uint8_t* from = in + box.first * shrinking.step;
    for (size_t v = 0; v < shrinking.step; ++v) {
      uint32_t sum = 1U << (Box::kWeightBits - 1);
      for (size_t k = 0; k < box.count; ++k) sum += from[k * shrinking.step + v] * box.weight;
      out[v] = static_cast<uint8_t>(std::min(sum >> Box::kWeightBits, 255U));
    }
  }
}

}  // namespace

// About the mean of each channel.
void Contrast(Strength strength, PictureSpan picture, KeyedStream&, Workspace&) {
  const double share = strength.Of(kContrast);
  std::array<int64_t, 3> sums = {};
  for (size_t i = 0; i < picture.pixels.size(); ++i) sums[i % 3] += picture.pixels[i];
  std::array<std::array<uint8_t, 256>, 3> tables;
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sums[c]) / static_cast<double>(picture.pixel_count());
    for (size_t level = 0; level < 256; ++level) {
      tables[c][level] =
          ToLevel(static_cast<float>((static_cast<double>(level) - mean) * share + mean));
    }
  }
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    for (size_t c = 0; c < 3; ++c) pixel[c] = tables[c][pixel[c]];
  }
}

// The saturation of hue, saturation and value, where it is the span of the channels over the
// greatest. That one stays, and so does the hue, so the distances of the others from it are scaled.
// Grey has the hue of red.
void Saturate(Strength strength, PictureSpan picture, KeyedStream&, Workspace&) {
  const SaturateNumbers numbers = strength.Of(kSaturate);
  uint8_t* pixel = picture.pixels.data();
  for (size_t i = 0; i < picture.pixel_count(); ++i, pixel += 3) {
    const auto red = static_cast<float>(pixel[0]);
    const auto green = static_cast<float>(pixel[1]);
    const auto blue = static_cast<float>(pixel[2]);
    const float value = std::max({red, green, blue});
    const float span = value - std::min({red, green, blue});
    const float saturation = span > 0 ? span / value : 0;
    const float changed = std::min(saturation * numbers.factor + numbers.more, 1.0F);
    const float scale = span > 0 ? changed * value / span : 0;
    const float grey = span > 0 ? 0 : changed * value;  // taken off green and blue
    pixel[0] = ToLevel(value - (value - red) * scale);
    pixel[1] = ToLevel(value - (value - green) * scale - grey);
    pixel[2] = ToLevel(value - (value - blue) * scale - grey);
  }
}

// Pillow's box filter down, across first, with bytes in between, and back by the nearest pixel,
// which is what that filter comes to on the way up.
void Pixelate(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace) {
  const double share = strength.Of(kPixelate);
  const int width = static_cast<int>(picture.width * share);
  const int height = static_cast<int>(picture.height * share);
  const size_t row = static_cast<size_t>(picture.width) * 3;
  const size_t small_row = static_cast<size_t>(width) * 3;
  std::vector<uint8_t>& narrow = workspace.bytes[0];
  std::vector<uint8_t>& small = workspace.bytes[1];
  narrow.resize(small_row * static_cast<size_t>(picture.height));
  small.resize(small_row * static_cast<size_t>(height));
  for (size_t y = 0; y < static_cast<size_t>(picture.height); ++y) {
    Shrink({.side = picture.width, .small_side = width, .step = 3}, picture.pixels.data() + y * row,
           narrow.data() + y * small_row);
  }
  Shrink({.side = picture.height, .small_side = height, .step = small_row}, narrow.data(),
         small.data());
  uint8_t* out = picture.pixels.data();
  const auto nearest = [](int at, int small_side, int side) {
    return static_cast<size_t>((at + 0.5) * small_side / side);
  };
  for (int y = 0; y < picture.height; ++y) {
    const uint8_t* from = small.data() + nearest(y, height, picture.height) * small_row;
    for (int x = 0; x < picture.width; ++x) {
      out = std::copy_n(from + nearest(x, width, picture.width) * 3, 3, out);
    }
  }
}

// As Pillow saves it: 4:2:0, standard Huffman tables.
absl::Status JpegCompression(Strength strength, PictureSpan picture, Workspace& workspace) {
  const ImageView view(picture.pixels.data(), picture.width, picture.height,
                       int64_t{3} * picture.width);
  CVT_ASSIGN_OR_RETURN(const std::string file,
                       EncodeJpeg(view, {.quality = strength.Of(kJpegQuality), .optimize = false}));
  CVT_RETURN_IF_ERROR(workspace.jpeg.Decode(file, {}, &workspace.decoded));
  std::copy(workspace.decoded.pixels.begin(), workspace.decoded.pixels.end(),
            picture.pixels.begin());
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
