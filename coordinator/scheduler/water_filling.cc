#include "coordinator/scheduler/water_filling.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace cvtrain::coordinator {

std::vector<double> FillWater(absl::Span<const Claim> claims, double amount) {
  // Those that are full at the lowest level come first.
  std::vector<size_t> order(claims.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const double full_a = claims[a].most / claims[a].weight;
    const double full_b = claims[b].most / claims[b].weight;
    return full_a != full_b ? full_a < full_b : a < b;
  });
  double weight = 0;
  for (const Claim& claim : claims) weight += claim.weight;
  std::vector<double> parts(claims.size());
  size_t next = 0;
  for (; next < order.size(); ++next) {
    const Claim& claim = claims[order[next]];
    if (claim.most > claim.weight * (amount / weight)) break;
    parts[order[next]] = claim.most;
    amount -= claim.most;
    weight -= claim.weight;
  }
  // One level for all who are left, so that equal claims get equal parts to the last bit.
  for (; next < order.size(); ++next) {
    parts[order[next]] = claims[order[next]].weight * (amount / weight);
  }
  return parts;
}

}  // namespace cvtrain::coordinator
