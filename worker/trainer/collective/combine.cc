#include "worker/trainer/collective/combine.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace cvtrain::trainer {
namespace {

// Elements that are summed at a time: with what they are read from and written to, they stay in the
// first-level cache.
constexpr int64_t kBlock = 1024;

template <typename T, typename Operation>
void CombineAs(absl::Span<const char* const> parts, int64_t count, char* out, Operation operation) {
  std::array<T, kBlock> sum;
  for (int64_t first = 0; first < count; first += kBlock) {
    const auto n = static_cast<size_t>(std::min(kBlock, count - first));
    const auto at = static_cast<size_t>(first) * sizeof(T);
    std::memcpy(sum.data(), parts[0] + at, n * sizeof(T));
    for (size_t part = 1; part < parts.size(); ++part) {
      const T* values = reinterpret_cast<const T*>(parts[part] + at);
      for (size_t i = 0; i < n; ++i) sum[i] = operation(sum[i], values[i]);
    }
    std::memcpy(out + at, sum.data(), n * sizeof(T));
  }
}

template <typename T>
void CombineOf(Combination combination, absl::Span<const char* const> parts, int64_t count,
               char* out) {
  if (combination == Combination::kSum) {
    CombineAs<T>(parts, count, out, [](T a, T b) { return static_cast<T>(a + b); });
  } else {
    CombineAs<T>(parts, count, out, [](T a, T b) { return std::max(a, b); });
  }
}

}  // namespace

void Combine(Combination combination, c10::ScalarType type, absl::Span<const char* const> parts,
             int64_t count, char* out) {
  switch (type) {
    case c10::ScalarType::Float:
      return CombineOf<float>(combination, parts, count, out);
    case c10::ScalarType::Double:
      return CombineOf<double>(combination, parts, count, out);
    case c10::ScalarType::Long:
      return CombineOf<int64_t>(combination, parts, count, out);
    default:
      TORCH_CHECK(false, "ranks cannot combine tensors of ", type);
  }
}

void SumInPlace(absl::Span<float* const> parts, int64_t count) {
  std::array<float, kBlock> sum;
  for (int64_t first = 0; first < count; first += kBlock) {
    const auto n = static_cast<size_t>(std::min(kBlock, count - first));
    std::memcpy(sum.data(), parts[0] + first, n * sizeof(float));
    for (size_t part = 1; part < parts.size(); ++part) {
      const float* values = parts[part] + first;
      for (size_t i = 0; i < n; ++i) sum[i] += values[i];
    }
    for (float* part : parts) std::memcpy(part + first, sum.data(), n * sizeof(float));
  }
}

}  // namespace cvtrain::trainer
