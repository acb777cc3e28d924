#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/corruption/edges.h"
#include "formats/corruption/filters.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/random_runs.h"

namespace cvtrain::formats {
namespace {

struct SpatterNumbers {
  float mean;       // of the liquid
  float deviation;  // of the liquid
  double smooth;    // sigma of its blur, pixels
  float threshold;  // less is dry
  double effect;    // share of the colour of water, or sigma of the blur of mud's edges
  bool mud;
};
constexpr StrengthTable<SpatterNumbers> kSpatter = {{{{{0.65F, 0.3F, 4, 0.69F, 0.6, false},
                                                       {0.65F, 0.3F, 3, 0.68F, 0.6, false},
                                                       {0.65F, 0.3F, 2, 0.68F, 0.5, false},
                                                       {0.65F, 0.3F, 1, 0.65F, 1.5, true},
                                                       {0.67F, 0.4F, 1, 0.65F, 1.5, true}}},
                                                     {{{0.62F, 0.1F, 0.7, 0.7F, 0.5, false},
                                                       {0.65F, 0.1F, 0.8, 0.7F, 0.5, false},
                                                       {0.65F, 0.3F, 1, 0.69F, 0.5, false},
                                                       {0.65F, 0.1F, 0.7, 0.69F, 0.6, true},
                                                       {0.65F, 0.1F, 0.5, 0.68F, 0.6, true}}}}};
constexpr std::array<float, 3> kWater = {175, 238, 238};  // pale turquoise
constexpr std::array<float, 3> kMud = {63, 42, 20};

// The sum over 3x3 pixels by `weights`, each row of which is across, with OpenCV's edges.
template <typename Value, typename Store>
void Filter3x3(const std::vector<Value>& plane, Size size,
               const std::array<std::array<float, 3>, 3>& weights, const Store& store) {
  const auto row_at = [&](int y) {
    return plane.data() + static_cast<size_t>(AtEdge(Edge::kReflect101, y, size.height)) *
                              static_cast<size_t>(size.width);
  };
  size_t i = 0;
  for (int y = 0; y < size.height; ++y) {
    const std::array<const Value*, 3> rows = {row_at(y - 1), row_at(y), row_at(y + 1)};
    for (int x = 0; x < size.width; ++x, ++i) {
      const int left = x > 0 ? x - 1 : 1;
      const int right = x + 1 < size.width ? x + 1 : size.width - 2;
      float sum = 0;
      for (size_t v = 0; v < 3; ++v) {
        sum += weights[v][0] * static_cast<float>(rows[v][left]) +
               weights[v][1] * static_cast<float>(rows[v][x]) +
               weights[v][2] * static_cast<float>(rows[v][right]);
      }
      store(i, sum);
    }
  }
}

constexpr float kNinth = 1.0F / 9;
constexpr std::array<std::array<float, 3>, 3> kMean = {
    {{kNinth, kNinth, kNinth}, {kNinth, kNinth, kNinth}, {kNinth, kNinth, kNinth}}};
constexpr std::array<std::array<float, 3>, 3> kRelief = {{{-2, -1, 0}, {-1, 1, 1}, {0, 1, 2}}};

// How much water there is in each pixel, 0 to 1: `liquid`, lit from the side by its distance to the
// edges of the drops. `liquid` is replaced.
void LightDrops(Size size, Workspace& workspace, std::vector<float>& liquid) {
  constexpr float kFar = 20;  // pixels
  BytePlane& plane = workspace.bytes[0];
  BytePlane& edges = workspace.bytes[1];
  BytePlane& depth = workspace.bytes[2];
  std::vector<float>& distances = workspace.planes[1];
  plane.resize(liquid.size());
  for (size_t i = 0; i < plane.size(); ++i) plane[i] = ToLevel(255 * liquid[i]);
  FindEdges(plane, size, {.low = 50, .high = 150}, workspace.edges, edges);
  DistanceToEdges(edges, size, kFar, workspace.padded, distances);
  depth.resize(liquid.size());
  Filter3x3(distances, size, kMean, [&](size_t i, float sum) { depth[i] = ToLevel(sum); });
  EqualizeLevels(depth);
  BytePlane& relief = edges;
  Filter3x3(depth, size, kRelief, [&](size_t i, float sum) { relief[i] = ToNearestLevel(sum); });
  float most = 0;
  Filter3x3(relief, size, kMean, [&](size_t i, float sum) {
    liquid[i] = static_cast<float>(plane[i]) * static_cast<float>(ToNearestLevel(sum));
    most = std::max(most, liquid[i]);
  });
  const float scale = most > 0 ? 1 / most : 0;
  for (float& value : liquid) value *= scale;
}

}  // namespace

// Drops of water shine through, clods of mud cover.
void Spatter(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  const SpatterNumbers& spatter = strength.Of(kSpatter);
  const Size size = SizeOf(picture);
  std::vector<float>& liquid = workspace.planes[0];
  liquid.resize(size.count());
  FillNormal(stream, absl::MakeSpan(liquid));
  for (float& value : liquid) value = spatter.mean + spatter.deviation * value;
  FilterGaussian({.sigma = spatter.smooth}, size, 1, workspace.gaussian, liquid);
  if (spatter.mud) {
    constexpr float kSolid = 0.8F;
    for (float& value : liquid) value = value > spatter.threshold ? 1.0F : 0.0F;
    FilterGaussian({.sigma = spatter.effect}, size, 1, workspace.gaussian, liquid);
    for (float& value : liquid) value = value < kSolid ? 0 : value;
  } else {
    for (float& value : liquid) value = value < spatter.threshold ? 0 : value;
    LightDrops(size, workspace, liquid);
    for (float& value : liquid) value *= static_cast<float>(spatter.effect);
  }
  uint8_t* pixel = picture.pixels.data();
  for (const float share : liquid) {
    for (size_t c = 0; c < 3; ++c) {
      const auto value = static_cast<float>(*pixel);
      *pixel++ =
          ToLevel(spatter.mud ? value * (1 - share) + kMud[c] * share : value + kWater[c] * share);
    }
  }
}

}  // namespace cvtrain::formats
