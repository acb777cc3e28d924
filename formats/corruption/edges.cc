#include "formats/corruption/edges.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "formats/corruption/filters.h"

namespace cvtrain::formats {
namespace {

// Sobel's differences, with the outermost pixels beyond the edges.
void Differentiate(const BytePlane& plane, Size size, EdgeScratch& scratch) {
  const auto row_at = [&](int y) {
    return plane.data() + static_cast<size_t>(AtEdge(Edge::kClamp, y, size.height) * size.width);
  };
  scratch.across.resize(plane.size());
  scratch.down.resize(plane.size());
  size_t i = 0;
  for (int y = 0; y < size.height; ++y) {
    const uint8_t* above = row_at(y - 1);
    const uint8_t* row = row_at(y);
    const uint8_t* below = row_at(y + 1);
    for (int x = 0; x < size.width; ++x, ++i) {
      const int l = std::max(x - 1, 0);
      const int r = std::min(x + 1, size.width - 1);
      scratch.across[i] =
          static_cast<int16_t>(above[r] - above[l] + 2 * (row[r] - row[l]) + below[r] - below[l]);
      scratch.down[i] = static_cast<int16_t>(below[l] - above[l] + 2 * (below[x] - above[x]) +
                                             below[r] - above[r]);
    }
  }
}

// Whether the strength at (x, y) is greatest across the edge. Angles are told apart by tan(22.5
// degrees) in 15 bits of fraction, as OpenCV does; outside the strength is 0.
bool IsRidge(const EdgeScratch& scratch, Size size, int x, int y) {
  constexpr int kFraction = 15;
  constexpr int kTan22 = 13573;
  const auto strength = [&](int dx, int dy) -> int {
    const int at_x = x + dx;
    const int at_y = y + dy;
    if (at_x < 0 || at_y < 0 || at_x >= size.width || at_y >= size.height) return 0;
    return scratch.strength[static_cast<size_t>(at_y * size.width + at_x)];
  };
  const auto i = static_cast<size_t>(y * size.width + x);
  const int own = scratch.strength[i];
  const int across = std::abs(scratch.across[i]);
  const int down = std::abs(scratch.down[i]) << kFraction;
  const int flat = across * kTan22;
  if (down < flat) return own > strength(-1, 0) && own >= strength(1, 0);
  if (down > flat + (across << (kFraction + 1))) {
    return own > strength(0, -1) && own >= strength(0, 1);
  }
  const int slant = (scratch.across[i] ^ scratch.down[i]) < 0 ? -1 : 1;
  return own > strength(-slant, -1) && own > strength(slant, 1);
}

}  // namespace

void FindEdges(const BytePlane& plane, Size size, const EdgeThresholds& thresholds,
               EdgeScratch& scratch, BytePlane& edges) {
  constexpr uint8_t kMaybe = 2;
  Differentiate(plane, size, scratch);
  scratch.strength.resize(plane.size());
  for (size_t i = 0; i < plane.size(); ++i) {
    scratch.strength[i] =
        static_cast<int16_t>(std::abs(scratch.across[i]) + std::abs(scratch.down[i]));
  }
  edges.assign(plane.size(), 0);
  scratch.open.clear();
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const auto i = static_cast<size_t>(y * size.width + x);
      if (scratch.strength[i] <= thresholds.low || !IsRidge(scratch, size, x, y)) continue;
      const bool sure = scratch.strength[i] > thresholds.high;
      edges[i] = sure ? 1 : kMaybe;
      if (sure) scratch.open.push_back(i);
    }
  }
  while (!scratch.open.empty()) {
    const int at = static_cast<int>(scratch.open.back());
    scratch.open.pop_back();
    for (int y = std::max(at / size.width - 1, 0);
         y <= std::min(at / size.width + 1, size.height - 1); ++y) {
      for (int x = std::max(at % size.width - 1, 0);
           x <= std::min(at % size.width + 1, size.width - 1); ++x) {
        const auto i = static_cast<size_t>(y * size.width + x);
        if (edges[i] != kMaybe) continue;
        edges[i] = 1;
        scratch.open.push_back(i);
      }
    }
  }
  for (uint8_t& edge : edges) edge = edge == 1 ? 1 : 0;
}

// Two walks over the plane, each of which takes what is behind it for done. Around it there are
// pixels that are far from all edges, so that no step has to look where it goes.
void DistanceToEdges(const BytePlane& edges, Size size, float most, std::vector<float>& padded,
                     std::vector<float>& distances) {
  constexpr int kPad = 2;
  constexpr float kAslant = 1.4F;
  constexpr float kKnight = 2.1969F;
  const auto width = static_cast<size_t>(size.width);
  const auto height = static_cast<size_t>(size.height);
  const ptrdiff_t stride = size.width + 2 * kPad;
  struct Step {
    ptrdiff_t offset;
    float length;
  };
  // To pixels that come before; the others are these, turned by half a turn.
  const std::array<Step, 8> steps = {{{-1, 1},
                                      {-stride - 1, kAslant},
                                      {-stride, 1},
                                      {-stride + 1, kAslant},
                                      {-stride - 2, kKnight},
                                      {-stride + 2, kKnight},
                                      {-2 * stride - 1, kKnight},
                                      {-2 * stride + 1, kKnight}}};
  padded.assign(static_cast<size_t>(stride) * (height + 2 * kPad), most);
  const auto row_at = [&](size_t y) {
    return padded.data() + static_cast<ptrdiff_t>(y + kPad) * stride + kPad;
  };
  for (size_t y = 0; y < height; ++y) {
    float* row = row_at(y);
    for (size_t x = 0; x < width; ++x) {
      row[x] = edges[y * width + x] != 0 ? 0 : most;
      for (const Step& step : steps) {
        row[x] = std::min(row[x], row[static_cast<ptrdiff_t>(x) + step.offset] + step.length);
      }
    }
  }
  distances.resize(edges.size());
  for (size_t y = height; y-- > 0;) {
    float* row = row_at(y);
    for (size_t x = width; x-- > 0;) {
      for (const Step& step : steps) {
        row[x] = std::min(row[x], row[static_cast<ptrdiff_t>(x) - step.offset] + step.length);
      }
      distances[y * width + x] = row[x];
    }
  }
}

void EqualizeLevels(BytePlane& plane) {
  std::array<size_t, 256> counts = {};
  for (const uint8_t level : plane) ++counts[level];
  const auto lowest = static_cast<size_t>(
      std::find_if(counts.begin(), counts.end(), [](size_t count) { return count > 0; }) -
      counts.begin());
  const size_t rest = plane.size() - counts[lowest];
  if (rest == 0) return;
  std::array<uint8_t, 256> table = {};
  size_t sum = 0;
  for (size_t level = lowest + 1; level < table.size(); ++level) {
    sum += counts[level];
    table[level] = static_cast<uint8_t>(
        std::lround(255.0 * static_cast<double>(sum) / static_cast<double>(rest)));
  }
  for (uint8_t& level : plane) level = table[level];
}

}  // namespace cvtrain::formats
