#include "coordinator/search/paired_test.h"

#include <cmath>
#include <numbers>

namespace cvtrain::coordinator {

double StudentUpperTail(double t, int degrees) {
  const double angle = std::atan(std::abs(t) / std::sqrt(static_cast<double>(degrees)));
  const double sine = std::sin(angle);
  const double cosine = std::cos(angle);
  const bool is_odd = degrees % 2 == 1;
  // Terms of the series: cos^k, k up to degrees - 2, with the ratios of their coefficients.
  double term = is_odd ? cosine : 1;
  double sum = degrees == 1 ? 0 : term;
  for (int k = is_odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  const double inside =
      is_odd ? 2 / std::numbers::pi * (angle + sine * sum) : sine * sum;  // P(|T| <= |t|)
  return t >= 0 ? (1 - inside) / 2 : (1 + inside) / 2;
}

bool IsClearlyPositive(absl::Span<const double> differences, double confidence) {
  if (differences.size() < 2) return false;
  const double count = static_cast<double>(differences.size());
  double mean = 0;
  for (const double difference : differences) mean += difference / count;
  double squares = 0;
  for (const double difference : differences) {
    squares += (difference - mean) * (difference - mean);
  }
  if (squares == 0) return mean > 0;
  const double t = mean / std::sqrt(squares / (count - 1) / count);
  return StudentUpperTail(t, static_cast<int>(differences.size()) - 1) <= 1 - confidence;
}

}  // namespace cvtrain::coordinator
