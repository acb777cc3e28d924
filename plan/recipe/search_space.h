#ifndef CVTRAIN_PLAN_RECIPE_SEARCH_SPACE_H_
#define CVTRAIN_PLAN_RECIPE_SEARCH_SPACE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {

// Path of a field of ExperimentSpec -> value, spelled as in YAML.
using Parameters = std::map<std::string, std::string>;

// Where a parameter lies, as numbers that a search may reckon with: logarithms where its
// distribution is one of logarithms; the index of a choice. Integers and steps are points of a
// grid.
struct Axis {
  enum class Kind { kNumber, kLogarithm, kChoice };
  Kind kind = Kind::kNumber;
  // The bounds; of a grid half a step beyond its ends, so that each point has its share.
  double low = 0;
  double high = 0;
  // Between points, before the logarithm; 0: any number.
  double step = 0;
  // Of a choice.
  int choices = 0;
};

// The parameters of random, sobol, tpe, asha and hyperband, with their conditions and constraints.
//
// A parameter whose conditions do not hold is left out: the recipe's value stands. Draws that break
// a constraint are drawn again, up to kDrawsMax times. Immutable; thread-safe.
class SearchSpace {
 public:
  // Of one point; a valid specification finds one sooner.
  static constexpr uint64_t kDrawsMax = 1000;

  // nullopt for methods without a space.
  static std::optional<SearchSpace> Of(const v1::Search& search);

  size_t size() const { return parameters_.size(); }
  const v1::RandomParameter& parameter(size_t i) const { return parameters_[i]; }
  const std::vector<v1::Constraint>& constraints() const { return constraints_; }
  const Axis& axis(size_t i) const { return axes_[i]; }

  // A point on an axis, as text: rounded to the grid, inside the bounds.
  std::string TextAt(size_t i, double on_axis) const;
  // Where a value lies; nullopt if it is none of the parameter's.
  std::optional<double> OnAxis(size_t i, const std::string& text) const;

  // Whether the conditions of a parameter hold, given those before it.
  bool Applies(size_t i, const Parameters& chosen) const;
  // Whether all constraints hold.
  bool Allows(const Parameters& chosen) const;

  // An independent draw, a function of (seed, index); nullopt if kDrawsMax draws broke a
  // constraint.
  std::optional<Parameters> Draw(uint64_t seed, uint64_t index) const;

  // The values at a point of the unit cube, one coordinate in [0, 1) for each parameter.
  Parameters AtUnit(absl::Span<const double> unit) const;

 private:
  SearchSpace(std::vector<v1::RandomParameter> parameters, std::vector<v1::Constraint> constraints);

  std::vector<v1::RandomParameter> parameters_;
  std::vector<v1::Constraint> constraints_;
  std::vector<Axis> axes_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_SEARCH_SPACE_H_
