#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/random_runs.h"

namespace cvtrain::formats {
namespace {

struct ElasticNumbers {
  double shift;   // of random numbers in -1..1, once they are smoothed
  double smooth;  // sigma
  double corner;  // the most that a corner of the affine map moves
};
// All in shares of the shorter side. make_imagenet_c.py has 244 for the side of 224.
constexpr double kSide = 244.0 / 224;
constexpr StrengthTable<ElasticNumbers> kElastic = {{{{{kSide * 2, kSide * 0.7, kSide * 0.1},
                                                       {kSide * 2, kSide * 0.08, kSide * 0.2},
                                                       {kSide * 0.05, kSide * 0.01, kSide * 0.02},
                                                       {kSide * 0.07, kSide * 0.01, kSide * 0.02},
                                                       {kSide * 0.12, kSide * 0.01, kSide * 0.02}}},
                                                     {{{0, 0, 0.08},
                                                       {0.05, 0.2, 0.07},
                                                       {0.08, 0.06, 0.06},
                                                       {0.1, 0.04, 0.05},
                                                       {0.1, 0.03, 0.03}}}}};

struct Point {
  double x = 0;
  double y = 0;
};

// Where the pixels of the result come from: (xx x + xy y + x0, yx x + yy y + y0).
struct Map {
  double xx = 0, xy = 0, x0 = 0;
  double yx = 0, yy = 0, y0 = 0;
};

// The map that takes the corners `to` back to `from`; all of it the first corner if they lie on one
// line, as OpenCV's does.
Map MapBack(const std::array<Point, 3>& from, const std::array<Point, 3>& to) {
  const Point a = {to[1].x - to[0].x, to[1].y - to[0].y};
  const Point b = {to[2].x - to[0].x, to[2].y - to[0].y};
  const Point u = {from[1].x - from[0].x, from[1].y - from[0].y};
  const Point v = {from[2].x - from[0].x, from[2].y - from[0].y};
  const double area = a.x * b.y - a.y * b.x;
  const double over = area != 0 ? 1 / area : 0;
  Map map = {.xx = (u.x * b.y - v.x * a.y) * over,
             .xy = (v.x * a.x - u.x * b.x) * over,
             .yx = (u.y * b.y - v.y * a.y) * over,
             .yy = (v.y * a.x - u.y * b.x) * over};
  map.x0 = from[0].x - map.xx * to[0].x - map.xy * to[0].y;
  map.y0 = from[0].y - map.yx * to[0].x - map.yy * to[0].y;
  return map;
}

// A coordinate beyond the ends of a side of `length` pixels, turned back into it: what a picture
// with that edge has there, once it is interpolated.
double Folded(Edge edge, double at, int length) {
  const double start = edge == Edge::kReflect ? -0.5 : 0;
  const double span = edge == Edge::kReflect ? length : length - 1;
  double place = at - start;
  if (place < 0 || place > span) {
    place = std::fmod(std::abs(place), 2 * span);
    if (place > span) place = 2 * span - place;
  }
  return std::clamp(place + start, 0.0, static_cast<double>(length - 1));
}

// A plane of pixels between which there is linear interpolation.
class Sampler {
 public:
  Sampler(const float* values, Size size, Edge edge) : values_(values), size_(size), edge_(edge) {}

  void At(double x, double y, float* out) const {
    const double within_x = Folded(edge_, x, size_.width);
    const double within_y = Folded(edge_, y, size_.height);
    const int left = std::min(static_cast<int>(within_x), size_.width - 2);
    const int top = std::min(static_cast<int>(within_y), size_.height - 2);
    const auto right_share = static_cast<float>(within_x - left);
    const auto lower_share = static_cast<float>(within_y - top);
    const float* upper = values_ + static_cast<ptrdiff_t>(top * size_.width + left) * 3;
    const float* lower = upper + static_cast<ptrdiff_t>(size_.width) * 3;
    for (int c = 0; c < 3; ++c) {
      const float above = upper[c] + right_share * (upper[c + 3] - upper[c]);
      const float below = lower[c] + right_share * (lower[c + 3] - lower[c]);
      out[c] = above + lower_share * (below - above);
    }
  }

 private:
  const float* const values_;
  const Size size_;
  const Edge edge_;
};

// Three corners of a square in the middle, each moved by up to `most` in both directions.
Map DrawMap(Size size, double most, KeyedStream& stream) {
  const Point centre = {std::floor(size.width / 2.0), std::floor(size.height / 2.0)};
  const double half = std::min(size.width, size.height) / 3;  // NOLINT: whole pixels
  const std::array<Point, 3> corners = {{{centre.x + half, centre.y + half},
                                         {centre.x + half, centre.y - half},
                                         {centre.x - half, centre.y - half}}};
  std::array<Point, 3> moved = corners;
  for (Point& corner : moved) {
    corner.x += stream.Uniform(-most, most);
    corner.y += stream.Uniform(-most, most);
  }
  return MapBack(corners, moved);
}

}  // namespace

// A random affine map, mirrored at the edges, and then a random shift of each pixel, smooth over
// its neighbours; both interpolate.
void ElasticTransform(Strength strength, PictureSpan picture, KeyedStream& stream,
                      Workspace& workspace) {
  const ElasticNumbers& numbers = strength.Of(kElastic);
  const Size size = SizeOf(picture);
  const double side = std::min(size.width, size.height);
  std::vector<float>& plane = workspace.planes[0];
  std::vector<float>& mapped = workspace.planes[1];
  ToPlane(picture, plane);
  mapped.resize(plane.size());
  const Map map = DrawMap(size, side * numbers.corner, stream);
  const Sampler picture_at(plane.data(), size, Edge::kReflect101);
  float* out = mapped.data();
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x, out += 3) {
      picture_at.At(map.xx * x + map.xy * y + map.x0, map.yx * x + map.yy * y + map.y0, out);
    }
  }

  const auto draw_shifts = [&](std::vector<float>& shifts) {
    shifts.resize(size.count());
    FillUniform(stream, -1, 1, absl::MakeSpan(shifts));
    FilterGaussian({.sigma = side * numbers.smooth, .truncate = 3, .edge = Edge::kReflect}, size, 1,
                   workspace.gaussian, shifts);
    for (float& shift : shifts) shift *= static_cast<float>(side * numbers.shift);
  };
  std::vector<float>& right = workspace.planes[2];
  std::vector<float>& down = workspace.planes[3];
  draw_shifts(right);
  draw_shifts(down);
  const Sampler mapped_at(mapped.data(), size, Edge::kReflect);
  out = plane.data();
  size_t i = 0;
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x, ++i, out += 3) {
      mapped_at.At(x + static_cast<double>(right[i]), y + static_cast<double>(down[i]), out);
    }
  }
  FromPlane(plane, picture);
}

}  // namespace cvtrain::formats
