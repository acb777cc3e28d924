#include "coordinator/search/parzen.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <numeric>

namespace cvtrain::coordinator {
namespace {

// Beyond so many deviations a kernel adds nothing that a double shows beside the prior.
constexpr double kReach = 8;

// Density of the standard normal distribution at 0.
constexpr double kNormalPeak = std::numbers::inv_sqrtpi / std::numbers::sqrt2;

double NormalMass(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

// Of the standard normal distribution; bisection on erfc, which has no inverse in the library, to
// about 1e-12.
double NormalQuantile(double mass) {
  double low = -9;
  double high = 9;
  for (int i = 0; i < 48; ++i) {
    const double middle = 0.5 * (low + high);
    (NormalMass(middle) < mass ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// As wide as the farther of both neighbours, where the middle of the axis is one of them.
std::vector<double> Deviations(const plan::Axis& axis, absl::Span<const double> observations) {
  const double middle = 0.5 * (axis.low + axis.high);
  std::vector<size_t> order(observations.size() + 1);
  std::iota(order.begin(), order.end(), size_t{0});
  const auto at = [&](size_t i) { return i < observations.size() ? observations[i] : middle; };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return at(a) < at(b); });
  const double width = axis.high - axis.low;
  const double kernels = static_cast<double>(observations.size() + 1);
  const double narrowest = width / std::min(100.0, 1 + kernels);
  std::vector<double> deviations(observations.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] >= observations.size()) continue;
    const double own = at(order[i]);
    // The ends of the axis are no neighbours, unless there is no other.
    const double before = i > 0 ? own - at(order[i - 1]) : own - axis.low;
    const double after = i + 1 < order.size() ? at(order[i + 1]) - own : axis.high - own;
    double deviation = std::max(before, after);
    if (order.size() >= 2 && i == 0) deviation = after;
    if (order.size() >= 2 && i + 1 == order.size()) deviation = before;
    deviations[order[i]] = std::clamp(deviation, narrowest, width);
  }
  return deviations;
}

}  // namespace

Parzen::Parzen(const plan::Axis& axis, absl::Span<const double> observations,
               absl::Span<const double> weights)
    : axis_(axis) {
  if (axis.kind != plan::Axis::Kind::kChoice) {
    AddKernels(observations, weights);
    return;
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 1.0);
  const double choices = axis.choices;
  // Each kernel is a distribution: one for its own choice, and the prior's share for all.
  const double prior = 1 / static_cast<double>(observations.size() + 1);
  masses_.assign(static_cast<size_t>(axis.choices), 1 / total / choices);
  for (size_t i = 0; i < observations.size(); ++i) {
    const double scale = weights[i] / total / (1 + prior * choices);
    for (double& mass : masses_) mass += scale * prior;
    masses_[static_cast<size_t>(observations[i])] += scale;
  }
}

void Parzen::AddKernels(absl::Span<const double> observations, absl::Span<const double> weights) {
  const std::vector<double> deviations = Deviations(axis_, observations);
  const double total = std::accumulate(weights.begin(), weights.end(), 1.0);
  double sum = 0;
  for (size_t i = 0; i <= observations.size(); ++i) {
    const bool is_prior = i == observations.size();
    Kernel kernel;
    kernel.mean = is_prior ? 0.5 * (axis_.low + axis_.high) : observations[i];
    kernel.deviation = is_prior ? axis_.high - axis_.low : deviations[i];
    const double weight = (is_prior ? 1 : weights[i]) / total;
    if (kernel.deviation > 0) {
      kernel.mass_low = NormalMass((axis_.low - kernel.mean) / kernel.deviation);
      kernel.mass_high = NormalMass((axis_.high - kernel.mean) / kernel.deviation);
    }
    kernel.weight = weight / (kernel.mass_high - kernel.mass_low);
    kernels_.push_back(kernel);
    sum += weight;
    cumulative_.push_back(sum);
  }
}

double Parzen::Draw(KeyedStream& stream) const {
  if (!masses_.empty()) {
    double left = stream.Uniform01();
    for (size_t i = 0; i + 1 < masses_.size(); ++i) {
      left -= masses_[i];
      if (left < 0) return static_cast<double>(i);
    }
    return static_cast<double>(masses_.size() - 1);
  }
  const double which = stream.Uniform01() * cumulative_.back();
  const size_t index = static_cast<size_t>(
      std::upper_bound(cumulative_.begin(), cumulative_.end(), which) - cumulative_.begin());
  const Kernel& kernel = kernels_[std::min(index, kernels_.size() - 1)];
  const double mass = stream.Uniform(kernel.mass_low, kernel.mass_high);
  return std::clamp(kernel.mean + kernel.deviation * NormalQuantile(mass), axis_.low, axis_.high);
}

double Parzen::LogDensity(double value) const {
  if (!masses_.empty()) return std::log(masses_[static_cast<size_t>(value)]);
  const bool on_grid = axis_.step > 0 && axis_.kind == plan::Axis::Kind::kNumber;
  double density = 0;
  for (const Kernel& kernel : kernels_) {
    if (!(kernel.deviation > 0)) continue;  // an axis of one point
    const double z = (value - kernel.mean) / kernel.deviation;
    const double half = 0.5 * axis_.step / kernel.deviation;
    if (std::abs(z) > kReach + (on_grid ? half : 0)) continue;
    density += kernel.weight * (on_grid ? NormalMass(z + half) - NormalMass(z - half)
                                        : kNormalPeak * std::exp(-0.5 * z * z) / kernel.deviation);
  }
  return density > 0 ? std::log(density) : -std::numeric_limits<double>::infinity();
}

}  // namespace cvtrain::coordinator
