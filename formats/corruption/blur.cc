#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/motion.h"
#include "formats/corruption/zoom.h"

namespace cvtrain::formats {
namespace {

constexpr StrengthTable<double> kGaussianSigma = {{{1, 2, 3, 4, 6}, {0.4, 0.6, 0.7, 0.8, 1}}};

struct Disk {
  double radius;
  double sigma;  // of the blur of the disk itself, against its stairs
};
constexpr StrengthTable<Disk> kDisks = {
    {{{{3, 0.1}, {4, 0.5}, {6, 0.5}, {8, 0.5}, {10, 0.5}}},
     {{{0.3, 0.4}, {0.4, 0.5}, {0.5, 0.6}, {1, 0.2}, {1.5, 0.1}}}}};

constexpr StrengthTable<MotionNumbers> kMotions = {
    {{{{10, 3}, {15, 5}, {15, 8}, {15, 12}, {20, 15}}},
     {{{6, 1}, {6, 1.5}, {6, 2}, {8, 2}, {9, 2.5}}}}};

// Factors 1, 1 + step, ..., `count` of them: numpy's arange(1, end, step) for the ends 1.11, 1.16,
// 1.21, 1.26, 1.31 and 1.06, 1.11, 1.16, 1.21, 1.26. By rounding it counts the end in at times.
struct Zooms {
  double step;
  int count;
};
constexpr StrengthTable<Zooms> kZooms = {
    {{{{0.01, 12}, {0.01, 16}, {0.02, 11}, {0.02, 13}, {0.03, 11}}},
     {{{0.01, 7}, {0.01, 12}, {0.01, 16}, {0.01, 21}, {0.01, 26}}}}};

// A square of weights, (2 reach + 1) a side.
struct Kernel {
  int reach;
  std::vector<double> weights;

  double& At(int x, int y) {
    return weights[static_cast<size_t>((y + reach) * (2 * reach + 1) + x + reach)];
  }
};

// A disk with sum 1, blurred by OpenCV's Gaussian kernel of 3 or 5 numbers.
Kernel MakeDisk(const Disk& disk) {
  const bool small = disk.radius <= 8;
  const int reach = small ? 8 : static_cast<int>(disk.radius);
  const int blur_reach = small ? 1 : 2;
  const auto side = static_cast<size_t>(2 * reach + 1);
  Kernel sharp = {.reach = reach, .weights = std::vector<double>(side * side)};
  int count = 0;
  for (int y = -reach; y <= reach; ++y) {
    for (int x = -reach; x <= reach; ++x) {
      const bool inside = x * x + y * y <= disk.radius * disk.radius;
      sharp.At(x, y) = inside ? 1 : 0;
      count += inside ? 1 : 0;
    }
  }
  std::array<double, 5> blur = {};
  double sum = 0;
  for (int k = -blur_reach; k <= blur_reach; ++k) {
    const double at = k / disk.sigma;
    sum += blur[static_cast<size_t>(k + blur_reach)] = std::exp(-at * at / 2);
  }
  Kernel kernel = {.reach = reach, .weights = std::vector<double>(side * side)};
  const auto within = [&](int at) {
    return AtEdge(Edge::kReflect101, at + reach, 2 * reach + 1) - reach;
  };
  for (int y = -reach; y <= reach; ++y) {
    for (int x = -reach; x <= reach; ++x) {
      double mixed = 0;
      for (int v = -blur_reach; v <= blur_reach; ++v) {
        for (int u = -blur_reach; u <= blur_reach; ++u) {
          mixed += blur[static_cast<size_t>(u + blur_reach)] *
                   blur[static_cast<size_t>(v + blur_reach)] *
                   sharp.At(within(x + u), within(y + v));
        }
      }
      kernel.At(x, y) = mixed / (sum * sum * count);
    }
  }
  return kernel;
}

}  // namespace

void GaussianBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace) {
  std::vector<float>& plane = workspace.planes[0];
  ToPlane(picture, plane);
  FilterGaussian({.sigma = strength.Of(kGaussianSigma)}, SizeOf(picture), 3, workspace.gaussian,
                 plane);
  FromPlane(plane, picture);
}

// The disk looks the same upside down: rows above and below are added before they are weighted,
// which halves the products.
void DefocusBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace) {
  // Lighter than a float's rounding of the whole.
  constexpr double kNothing = 1e-9;
  Kernel kernel = MakeDisk(strength.Of(kDisks));
  const int reach = kernel.reach;
  const size_t row = static_cast<size_t>(picture.width) * 3;
  const size_t padded_row = row + static_cast<size_t>(reach) * 6;

  std::vector<float>& plane = workspace.planes[0];
  std::vector<float>& pairs = workspace.planes[1];
  std::vector<float>& out = workspace.planes[2];
  ToPlane(picture, plane);
  const PaddedRows padded(plane.data(), SizeOf(picture), 3, reach, Edge::kReflect101,
                          workspace.padded);
  pairs.resize(padded_row * static_cast<size_t>(reach + 1));
  out.resize(row);
  for (int y = 0; y < picture.height; ++y) {
    workspace.rows.clear();
    for (int v = 0; v <= reach; ++v) {
      float* pair = pairs.data() + padded_row * static_cast<size_t>(v);
      const float* above = padded.At(-reach, y - v);
      const float* below = padded.At(-reach, y + v);
      for (size_t i = 0; i < padded_row; ++i) pair[i] = v == 0 ? above[i] : above[i] + below[i];
      for (int u = -reach; u <= reach; ++u) {
        if (kernel.At(u, v) < kNothing) continue;
        workspace.rows.push_back(
            {pair + static_cast<size_t>(u + reach) * 3, static_cast<float>(kernel.At(u, v))});
      }
    }
    SumRows(workspace.rows, row, out.data());
    uint8_t* to = picture.pixels.data() + row * static_cast<size_t>(y);
    for (size_t i = 0; i < row; ++i) to[i] = ToLevel(out[i]);
  }
}

void MotionBlur(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  std::vector<float>& plane = workspace.planes[0];
  ToPlane(picture, plane);
  BlurByMotion(strength.Of(kMotions), stream.Uniform(-45, 45), SizeOf(picture), 3, workspace,
               plane);
  // ImageMagick rounds.
  for (size_t i = 0; i < plane.size(); ++i) picture.pixels[i] = ToNearestLevel(plane[i]);
}

// The mean of the picture and of all zooms, of which the first is the picture again.
void ZoomBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace) {
  const Zooms zooms = strength.Of(kZooms);
  const double step = (1 + zooms.step) - 1;  // as numpy takes it from its first two numbers
  std::vector<float>& plane = workspace.planes[0];
  std::vector<float>& sum = workspace.planes[1];
  ToPlane(picture, plane);
  sum = plane;
  for (int i = 0; i < zooms.count; ++i) {
    AddZoomed(plane.data(), SizeOf(picture), 3, 1 + i * step, workspace.planes[2], sum.data());
  }
  const float share = 1.0F / static_cast<float>(zooms.count + 1);
  for (float& value : sum) value *= share;
  FromPlane(sum, picture);
}

}  // namespace cvtrain::formats
