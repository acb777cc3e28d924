#include <algorithm>
#include <array>
#include <cstddef>

#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/random_runs.h"

namespace cvtrain::formats {
namespace {

struct GlassNumbers {
  double sigma;  // of the blur before and after
  int reach;     // pixels
  int rounds;
};
constexpr StrengthTable<GlassNumbers> kGlass = {
    {{{{0.7, 1, 2}, {0.9, 2, 1}, {1, 2, 3}, {1.1, 3, 2}, {1.5, 4, 2}}},
     {{{0.05, 1, 1}, {0.25, 1, 1}, {0.4, 1, 1}, {0.25, 1, 2}, {0.4, 1, 2}}}}};

// Each pixel, from the lower right on, takes the place of one that is up to `reach` above or left
// of it, or up to reach - 1 below or right of it. The programs mean to swap the two, but numpy's
// views make a copy of it: what was in the pixel is gone. So are the published pictures.
void Scatter(int reach, PictureSpan picture, KeyedStream& stream) {
  const auto choices = static_cast<uint32_t>(2 * reach);
  uint8_t* pixels = picture.pixels.data();
  for (int y = picture.height - reach; y > reach; --y) {
    for (int x = picture.width - reach; x > reach; --x) {
      const uint32_t choice = DrawBelow(stream, choices * choices);
      const int from_x = x + static_cast<int>(choice % choices) - reach;
      const int from_y = y + static_cast<int>(choice / choices) - reach;
      std::copy_n(pixels + static_cast<ptrdiff_t>(from_y * picture.width + from_x) * 3, 3,
                  pixels + static_cast<ptrdiff_t>(y * picture.width + x) * 3);
    }
  }
}

}  // namespace

void GlassBlur(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  const GlassNumbers& glass = strength.Of(kGlass);
  std::vector<float>& plane = workspace.planes[0];
  const auto blur = [&] {
    ToPlane(picture, plane);
    FilterGaussian({.sigma = glass.sigma}, SizeOf(picture), 3, workspace.gaussian, plane);
    FromPlane(plane, picture);
  };
  blur();
  for (int round = 0; round < glass.rounds; ++round) Scatter(glass.reach, picture, stream);
  blur();
}

}  // namespace cvtrain::formats
