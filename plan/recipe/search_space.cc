#include "plan/recipe/search_space.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "plan/recipe/search_points.h"

namespace cvtrain::plan {
namespace {

// As LinearPoints() has it.
constexpr double kGridTolerance = 1e-6;
// Of a sum of numbers that were written in decimals.
constexpr double kSumTolerance = 1e-9;

double StepsOf(const v1::NumberRange& range) {
  return std::floor((range.max() - range.min()) / range.step() + kGridTolerance);
}

Axis AxisOf(const v1::RandomParameter& parameter) {
  Axis axis;
  switch (parameter.distribution_case()) {
    case v1::RandomParameter::kUniform: {
      const v1::NumberRange& range = parameter.uniform();
      axis = {Axis::Kind::kNumber, range.min(), range.max(), range.step(), 0};
      if (axis.step > 0) {
        axis.high = range.min() + (StepsOf(range) + 0.5) * axis.step;
        axis.low = range.min() - 0.5 * axis.step;
      }
      break;
    }
    case v1::RandomParameter::kLogUniform:
      axis = {Axis::Kind::kLogarithm, std::log(parameter.log_uniform().min()),
              std::log(parameter.log_uniform().max()), 0, 0};
      break;
    case v1::RandomParameter::kInteger:
      axis = {Axis::Kind::kNumber, static_cast<double>(parameter.integer().min()) - 0.5,
              static_cast<double>(parameter.integer().max()) + 0.5, 1, 0};
      break;
    case v1::RandomParameter::kLogInteger:
      axis = {Axis::Kind::kLogarithm,
              std::log(static_cast<double>(parameter.log_integer().min()) - 0.5),
              std::log(static_cast<double>(parameter.log_integer().max()) + 0.5), 1, 0};
      break;
    case v1::RandomParameter::kChoice:
      axis = {Axis::Kind::kChoice, 0, static_cast<double>(parameter.choice().values_size()), 0,
              parameter.choice().values_size()};
      break;
    case v1::RandomParameter::DISTRIBUTION_NOT_SET:
      break;
  }
  return axis;
}

// The nearest integer of a range, also where doubles do not tell integers apart.
std::string IntegerText(const v1::IntegerRange& range, double value) {
  if (value <= static_cast<double>(range.min())) return absl::StrCat(range.min());
  if (value >= static_cast<double>(range.max())) return absl::StrCat(range.max());
  return absl::StrCat(std::clamp<int64_t>(std::llround(value), range.min(), range.max()));
}

std::string DrawInteger(const v1::IntegerRange& range, KeyedStream& stream) {
  // Unsigned, because the width of the whole range does not fit an int64.
  const uint64_t width = static_cast<uint64_t>(range.max()) - static_cast<uint64_t>(range.min());
  const uint64_t offset = width == ~uint64_t{0} ? stream.NextU64() : stream.UniformInt(width + 1);
  return absl::StrCat(static_cast<int64_t>(static_cast<uint64_t>(range.min()) + offset));
}

template <typename Space>
std::optional<double> NumberIn(const Space& chosen, const std::string& path) {
  const auto found = chosen.find(path);
  double value = 0;
  if (found == chosen.end() || !absl::SimpleAtod(found->second, &value)) return std::nullopt;
  return value;
}

bool Holds(const v1::Constraint& constraint, const Parameters& chosen) {
  double sum = 0;
  double scale = 0;
  for (const v1::ConstraintTerm& term : constraint.terms()) {
    const std::optional<double> value = NumberIn(chosen, term.parameter());
    if (!value) return true;  // left to the recipe
    const double part = (term.has_factor() ? term.factor() : 1) * *value;
    sum += part;
    scale += std::abs(part);
  }
  const double slack = kSumTolerance * scale;
  return (!constraint.has_min() || sum >= constraint.min() - slack) &&
         (!constraint.has_max() || sum <= constraint.max() + slack);
}

template <typename Method>
std::pair<std::vector<v1::RandomParameter>, std::vector<v1::Constraint>> PartsOf(
    const Method& method) {
  return {{method.parameters().begin(), method.parameters().end()},
          {method.constraints().begin(), method.constraints().end()}};
}

}  // namespace

std::optional<SearchSpace> SearchSpace::Of(const v1::Search& search) {
  std::pair<std::vector<v1::RandomParameter>, std::vector<v1::Constraint>> parts;
  switch (search.method_case()) {
    case v1::Search::kRandom:
      parts = PartsOf(search.random());
      break;
    case v1::Search::kSobol:
      parts = PartsOf(search.sobol());
      break;
    case v1::Search::kTpe:
      parts = PartsOf(search.tpe());
      break;
    case v1::Search::kAsha:
      parts = PartsOf(search.asha());
      break;
    case v1::Search::kHyperband:
      parts = PartsOf(search.hyperband());
      break;
    default:
      return std::nullopt;
  }
  return SearchSpace(std::move(parts.first), std::move(parts.second));
}

SearchSpace::SearchSpace(std::vector<v1::RandomParameter> parameters,
                         std::vector<v1::Constraint> constraints)
    : parameters_(std::move(parameters)), constraints_(std::move(constraints)) {
  for (const v1::RandomParameter& parameter : parameters_) axes_.push_back(AxisOf(parameter));
}

std::string SearchSpace::TextAt(size_t i, double on_axis) const {
  const v1::RandomParameter& parameter = parameters_[i];
  const Axis& axis = axes_[i];
  const double inside = std::clamp(on_axis, axis.low, axis.high);
  switch (parameter.distribution_case()) {
    case v1::RandomParameter::kUniform: {
      const v1::NumberRange& range = parameter.uniform();
      if (axis.step == 0) return PointText(inside);
      const double steps = std::round((inside - range.min()) / axis.step);
      return PointText(range.min() + std::clamp(steps, 0.0, StepsOf(range)) * axis.step);
    }
    case v1::RandomParameter::kLogUniform:
      return PointText(std::exp(inside));
    case v1::RandomParameter::kInteger:
      return IntegerText(parameter.integer(), inside);
    case v1::RandomParameter::kLogInteger:
      return IntegerText(parameter.log_integer(), std::exp(inside));
    case v1::RandomParameter::kChoice:
      return parameter.choice().values(std::min(static_cast<int>(inside), axis.choices - 1));
    case v1::RandomParameter::DISTRIBUTION_NOT_SET:
      break;
  }
  return "";
}

std::optional<double> SearchSpace::OnAxis(size_t i, const std::string& text) const {
  const Axis& axis = axes_[i];
  if (axis.kind == Axis::Kind::kChoice) {
    const auto& values = parameters_[i].choice().values();
    const auto found = std::find(values.begin(), values.end(), text);
    if (found == values.end()) return std::nullopt;
    return static_cast<double>(found - values.begin());
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value)) return std::nullopt;
  return axis.kind == Axis::Kind::kLogarithm ? std::log(value) : value;
}

bool SearchSpace::Applies(size_t i, const Parameters& chosen) const {
  const auto& conditions = parameters_[i].when();
  return std::all_of(conditions.begin(), conditions.end(), [&](const v1::Condition& condition) {
    const auto found = chosen.find(condition.parameter());
    return found != chosen.end() && std::find(condition.values().begin(), condition.values().end(),
                                              found->second) != condition.values().end();
  });
}

bool SearchSpace::Allows(const Parameters& chosen) const {
  return std::all_of(constraints_.begin(), constraints_.end(),
                     [&](const v1::Constraint& constraint) { return Holds(constraint, chosen); });
}

std::optional<Parameters> SearchSpace::Draw(uint64_t seed, uint64_t index) const {
  for (uint64_t draw = 0; draw < kDrawsMax; ++draw) {
    Parameters chosen;
    for (size_t i = 0; i < size(); ++i) {
      if (!Applies(i, chosen)) continue;
      // A stream of its own for each value: adding a parameter moves no other.
      std::vector<uint64_t> key = {seed, index, i};
      if (draw > 0) key.push_back(draw);
      KeyedStream stream("search/random/v1", key);
      const v1::RandomParameter& parameter = parameters_[i];
      std::string& text = chosen[parameter.parameter()];
      if (parameter.has_integer()) {
        text = DrawInteger(parameter.integer(), stream);
      } else if (parameter.has_choice()) {
        const uint64_t choices = static_cast<uint64_t>(parameter.choice().values_size());
        text = parameter.choice().values(static_cast<int>(stream.UniformInt(choices)));
      } else {
        text = TextAt(i, stream.Uniform(axes_[i].low, axes_[i].high));
      }
    }
    if (Allows(chosen)) return chosen;
  }
  return std::nullopt;
}

Parameters SearchSpace::AtUnit(absl::Span<const double> unit) const {
  Parameters chosen;
  for (size_t i = 0; i < size(); ++i) {
    if (!Applies(i, chosen)) continue;
    const Axis& axis = axes_[i];
    chosen[parameters_[i].parameter()] = TextAt(i, axis.low + (axis.high - axis.low) * unit[i]);
  }
  return chosen;
}

}  // namespace cvtrain::plan
