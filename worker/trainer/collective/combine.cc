#include "worker/trainer/collective/combine.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cstddef>
#include <cstring>
#include <vector>

namespace cvtrain::trainer {
namespace {

// Numbers that are handled at once: as many as the registers of any machine hold. Wider ones would
// wait for memory all the same.
template <typename T>
struct Pack {
  static constexpr size_t kCount = 16 / sizeof(T);
  typedef T Type __attribute__((vector_size(16)));
};

template <typename T>
typename Pack<T>::Type Load(const T* from) {
  typename Pack<T>::Type values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

template <typename T>
void Store(const typename Pack<T>::Type& values, T* to) {
  std::memcpy(to, &values, sizeof(values));
}

struct Sum {
  template <typename V>
  V operator()(const V& a, const V& b) const {
    return a + b;
  }
};
struct Max {
  template <typename V>
  V operator()(const V& a, const V& b) const {
    return a > b ? a : b;  // of packs: element by element
  }
};

// The parts combined in their order, put where each of `outs` is. Each element is read before it is
// written, so an `out` may be a part.
template <typename T, typename Operation>
void CombineInto(const T* const* parts, size_t part_count, T* const* outs, size_t out_count,
                 size_t count, Operation operation) {
  size_t i = 0;
  for (; i + Pack<T>::kCount <= count; i += Pack<T>::kCount) {
    auto values = Load(parts[0] + i);
    for (size_t part = 1; part < part_count; ++part) {
      values = operation(values, Load(parts[part] + i));
    }
    for (size_t out = 0; out < out_count; ++out) Store(values, outs[out] + i);
  }
  for (; i < count; ++i) {
    T value = parts[0][i];
    for (size_t part = 1; part < part_count; ++part) value = operation(value, parts[part][i]);
    for (size_t out = 0; out < out_count; ++out) outs[out][i] = value;
  }
}

template <typename T>
void CombineOf(Combination combination, absl::Span<const char* const> parts, int64_t count,
               char* out) {
  std::vector<const T*> typed;
  for (const char* part : parts) typed.push_back(reinterpret_cast<const T*>(part));
  T* const to = reinterpret_cast<T*>(out);
  const auto n = static_cast<size_t>(count);
  if (combination == Combination::kSum) {
    CombineInto<T>(typed.data(), typed.size(), &to, 1, n, Sum());
  } else {
    CombineInto<T>(typed.data(), typed.size(), &to, 1, n, Max());
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
  const auto n = static_cast<size_t>(count);
  const size_t ranks = parts.size();
  const float* const* from = parts.data();
  // Loops of known length for the usual numbers of ranks.
  if (ranks == 2) return CombineInto<float>(from, 2, parts.data(), 2, n, Sum());
  if (ranks == 4) return CombineInto<float>(from, 4, parts.data(), 4, n, Sum());
  CombineInto<float>(from, ranks, parts.data(), ranks, n, Sum());
}

}  // namespace cvtrain::trainer
