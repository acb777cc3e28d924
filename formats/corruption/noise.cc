#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "formats/corruption/groups.h"
#include "formats/corruption/random_runs.h"

namespace cvtrain::formats {
namespace {

// Standard deviation, of values in 0..1.
constexpr StrengthTable<double> kGaussianDeviation = {
    {{0.08, 0.12, 0.18, 0.26, 0.38}, {0.04, 0.06, 0.08, 0.09, 0.10}}};
// The same, for a value of 1.
constexpr StrengthTable<double> kSpeckleDeviation = {
    {{0.15, 0.2, 0.35, 0.45, 0.6}, {0.06, 0.1, 0.12, 0.16, 0.2}}};
// That arrive on average where the picture is white.
constexpr StrengthTable<int> kPhotons = {{{60, 25, 12, 5, 3}, {500, 250, 100, 75, 50}}};
// Share of the values that become 0 or 255.
constexpr StrengthTable<double> kImpulses = {
    {{0.03, 0.06, 0.09, 0.17, 0.27}, {0.01, 0.02, 0.03, 0.05, 0.07}}};

constexpr double kWords = 0x1p32;  // values of a word

// Replaces each value by mix(value, a normal number), in levels.
template <typename Mix>
void MixWithNormal(PictureSpan picture, KeyedStream& stream, const Mix& mix) {
  std::array<float, kRandomRun> normal;
  for (size_t at = 0; at < picture.pixels.size(); at += kRandomRun) {
    const size_t count = std::min(picture.pixels.size() - at, kRandomRun);
    FillNormal(stream, absl::MakeSpan(normal.data(), count));
    uint8_t* values = picture.pixels.data() + at;
    for (size_t i = 0; i < count; ++i) {
      values[i] = ToLevel(mix(static_cast<float>(values[i]), normal[i]));
    }
  }
}

void MakePoissonTable(int photons, PoissonTable& table) {
  const auto row = static_cast<size_t>(photons);
  table.photons = photons;
  table.thresholds.resize(256 * row);
  for (size_t level = 0; level < 256; ++level) {
    const double mean = static_cast<double>(level) / 255 * photons;
    double chance = std::exp(-mean);
    double sum = 0;
    for (size_t k = 0; k < row; ++k) {
      sum += chance;
      table.thresholds[level * row + k] = static_cast<uint32_t>(std::min(sum * kWords, kWords - 1));
      chance *= mean / static_cast<double>(k + 1);
    }
  }
}

}  // namespace

void GaussianNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&) {
  const auto deviation = static_cast<float>(255 * strength.Of(kGaussianDeviation));
  MixWithNormal(picture, stream,
                [&](float value, float normal) { return value + deviation * normal; });
}

void SpeckleNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&) {
  const auto deviation = static_cast<float>(strength.Of(kSpeckleDeviation));
  MixWithNormal(picture, stream,
                [&](float value, float normal) { return value + value * deviation * normal; });
}

// The number that arrives is the first whose threshold lies above a random word; more than
// `photons` are white too, so the table ends there.
void ShotNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace) {
  const int photons = strength.Of(kPhotons);
  PoissonTable& table = workspace.poisson;
  if (table.photons != photons) MakePoissonTable(photons, table);
  const float step = 255.0F / static_cast<float>(photons);
  for (uint8_t& value : picture.pixels) {
    const uint32_t word = stream.NextU32();
    if (value == 0) continue;  // none arrives, though the last threshold is one word short of all
    const uint32_t* row = table.thresholds.data() + static_cast<size_t>(value) * photons;
    const auto arrived = std::upper_bound(row, row + photons, word) - row;
    value = ToLevel(static_cast<float>(arrived) * step);
  }
}

// scikit-image's random_noise(mode="s&p"): each value by itself, half of them 255.
void ImpulseNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&) {
  const double share = strength.Of(kImpulses);
  const auto white = static_cast<uint32_t>(share / 2 * kWords);
  const auto black = static_cast<uint32_t>(share * kWords);
  for (uint8_t& value : picture.pixels) {
    const uint32_t word = stream.NextU32();
    if (word < black) value = word < white ? 255 : 0;
  }
}

}  // namespace cvtrain::formats
