#include "common/random.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/search/fixed_list.h"
#include "coordinator/search/methods.h"
#include "coordinator/search/number_text.h"

namespace cvtrain::coordinator {
namespace {

// In [low, high): rounding to a parameter's text may reach `high`, which stays out unless equal.
std::string DrawLogUniform(const v1::NumberRange& range, KeyedStream& stream) {
  return NumberText(std::exp(stream.Uniform(std::log(range.min()), std::log(range.max()))));
}

std::string DrawInteger(const v1::IntegerRange& range, KeyedStream& stream) {
  // Unsigned, because the width of the whole range does not fit an int64.
  const uint64_t width = static_cast<uint64_t>(range.max()) - static_cast<uint64_t>(range.min());
  const uint64_t offset = width == ~uint64_t{0} ? stream.NextU64() : stream.UniformInt(width + 1);
  return absl::StrCat(static_cast<int64_t>(static_cast<uint64_t>(range.min()) + offset));
}

std::string Draw(const v1::RandomParameter& parameter, KeyedStream& stream) {
  switch (parameter.distribution_case()) {
    case v1::RandomParameter::kUniform:
      return NumberText(stream.Uniform(parameter.uniform().min(), parameter.uniform().max()));
    case v1::RandomParameter::kLogUniform:
      return DrawLogUniform(parameter.log_uniform(), stream);
    case v1::RandomParameter::kInteger:
      return DrawInteger(parameter.integer(), stream);
    case v1::RandomParameter::kChoice: {
      const auto& values = parameter.choice().values();
      return values.Get(static_cast<int>(stream.UniformInt(static_cast<uint64_t>(values.size()))));
    }
    case v1::RandomParameter::DISTRIBUTION_NOT_SET:
      break;
  }
  return "";
}

class RandomSearcher : public FixedList {
 public:
  RandomSearcher(v1::RandomSearch search, uint64_t seed)
      : search_(std::move(search)), seed_(seed) {}

 private:
  int64_t Size() const override { return search_.trials(); }

  Parameters At(int64_t index) const override {
    Parameters parameters;
    for (int i = 0; i < search_.parameters_size(); ++i) {
      // A stream of its own for each value: adding a parameter moves no other.
      KeyedStream stream("search/random/v1",
                         {seed_, static_cast<uint64_t>(index), static_cast<uint64_t>(i)});
      const v1::RandomParameter& parameter = search_.parameters(i);
      parameters[parameter.parameter()] = Draw(parameter, stream);
    }
    return parameters;
  }

  const v1::RandomSearch search_;
  const uint64_t seed_;
};

}  // namespace

std::unique_ptr<Searcher> MakeRandom(const v1::ExperimentSpec& spec) {
  const v1::RandomSearch& search = spec.search().random();
  return std::make_unique<RandomSearcher>(search,
                                          search.has_seed() ? search.seed() : spec.recipe().seed());
}

}  // namespace cvtrain::coordinator
