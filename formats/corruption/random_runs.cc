#include "formats/corruption/random_runs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace cvtrain::formats {
namespace {

constexpr float kUnit = 0x1p-24F;
constexpr size_t kPairs = kRandomRun / 2;
using Numbers = std::array<float, kPairs>;

// Of a positive, normal number: ln(m 2^e) with m in [0.7, 1.4), by 2 artanh((m - 1) / (m + 1)).
float Log(float value) {
  constexpr int32_t kMantissaBits = 23;
  constexpr int32_t kRootHalf = 0x3F3504F3;  // bits of sqrt(0.5)
  const int32_t bits = std::bit_cast<int32_t>(value) - kRootHalf;
  const int32_t exponent = bits >> kMantissaBits;
  const auto m = std::bit_cast<float>((bits & ((1 << kMantissaBits) - 1)) + kRootHalf);
  const float s = (m - 1) / (m + 1);  // up to 0.172
  const float s2 = s * s;
  const float series = 1 + s2 * (1.0F / 3 + s2 * (1.0F / 5 + s2 * (1.0F / 7 + s2 * (1.0F / 9))));
  return 2 * s * series + static_cast<float>(exponent) * std::numbers::ln2_v<float>;
}

// In place: shares of a turn, 0 to 1, become cosines; the sines go to `sines`.
void Turn(Numbers& turns, Numbers& sines) {
  for (size_t i = 0; i < kPairs; ++i) {
    const int quarter = static_cast<int>(turns[i] * 4 + 0.5F);  // the nearest one, 0 to 4
    const float angle =
        (turns[i] - static_cast<float>(quarter) * 0.25F) * (2 * std::numbers::pi_v<float>);
    const float a2 = angle * angle;  // up to 0.62
    const float sine =
        angle * (1 + a2 * (-1.0F / 6 + a2 * (1.0F / 120 + a2 * (-1.0F / 5040 + a2 / 362880))));
    const float cosine = 1 + a2 * (-1.0F / 2 + a2 * (1.0F / 24 + a2 * (-1.0F / 720 + a2 / 40320)));
    const bool odd = (quarter & 1) != 0;
    const float c = odd ? sine : cosine;
    const float s = odd ? cosine : sine;
    turns[i] = ((quarter + 1) & 2) != 0 ? -c : c;
    sines[i] = (quarter & 2) != 0 ? -s : s;
  }
}

}  // namespace

void FillNormal(KeyedStream& stream, absl::Span<float> values) {
  Numbers radii = {};
  Numbers cosines = {};
  Numbers sines;
  while (!values.empty()) {
    const size_t count = std::min(values.size(), kRandomRun);
    const size_t half = (count + 1) / 2;
    for (size_t i = 0; i < half; ++i) {
      radii[i] = static_cast<float>((stream.NextU32() >> 8) + 1) * kUnit;  // in (0, 1]
      cosines[i] = static_cast<float>(stream.NextU32() >> 8) * kUnit;      // in [0, 1)
    }
    // All of a run, so that there are as many each time: what lies behind `half` is not used.
    for (float& radius : radii) radius = std::max(-2 * Log(std::max(radius, kUnit)), 0.0F);
    for (float& radius : radii)
      radius = std::sqrt(radius);  // by itself: it is no vector instruction
    Turn(cosines, sines);
    for (size_t i = 0; i < half; ++i) values[i] = radii[i] * cosines[i];
    for (size_t i = half; i < count; ++i) values[i] = radii[i - half] * sines[i - half];
    values.remove_prefix(count);
  }
}

void FillUniform(KeyedStream& stream, float low, float high, absl::Span<float> values) {
  const float step = (high - low) * kUnit;
  for (float& value : values) value = low + static_cast<float>(stream.NextU32() >> 8) * step;
}

}  // namespace cvtrain::formats
