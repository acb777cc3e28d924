#ifndef CVTRAIN_CLIENT_DATASET_SPLITS_H_
#define CVTRAIN_CLIENT_DATASET_SPLITS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/dataset/dataset_reader.h"

// Splits and classes, as every reader makes them.
namespace cvtrain::client {

// Where a sample stands in the row from which some are held out: depends on both alone, so that
// adding samples to a class moves few of the others.
uint64_t HoldOutRank(uint64_t seed, absl::string_view key);

// INVALID_ARGUMENT (FIELD_INVALID) unless it is in (0, 1].
absl::Status CheckTrainFraction(double train_fraction);

template <typename Sample>
struct HeldOut {
  std::vector<Sample> train;
  std::vector<Sample> test;
};

// Parts `samples`, which have `key` and `label`, as ReaderOptions say. Each part is by key.
template <typename Sample>
HeldOut<Sample> HoldOut(std::vector<Sample> samples, double train_fraction, uint64_t seed) {
  std::map<uint32_t, std::vector<std::pair<uint64_t, Sample>>> by_class;
  for (Sample& sample : samples) {
    by_class[sample.label].emplace_back(HoldOutRank(seed, sample.key), std::move(sample));
  }
  HeldOut<Sample> parts;
  for (auto& [label, ranked] : by_class) {
    std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
      return std::tie(a.first, a.second.key) < std::tie(b.first, b.second.key);
    });
    const auto count = static_cast<int64_t>(ranked.size());
    auto keep = static_cast<int64_t>(train_fraction * static_cast<double>(count) + 0.5);
    if (train_fraction < 1) keep = std::clamp<int64_t>(keep, 1, std::max<int64_t>(1, count - 1));
    for (int64_t i = 0; i < count; ++i) {
      auto& part = i < keep ? parts.train : parts.test;
      part.push_back(std::move(ranked[static_cast<size_t>(i)].second));
    }
  }
  for (std::vector<Sample>* part : {&parts.train, &parts.test}) {
    std::sort(part->begin(), part->end(),
              [](const auto& a, const auto& b) { return a.key < b.key; });
  }
  return parts;
}

// Makes the splits of a set that has none.
void HoldOutInto(std::vector<SourceSample> samples, const ReaderOptions& options,
                 DatasetListing* listing);

// Puts splits in order of their names and samples in order of their keys, and drops empty splits.
// Returns INVALID_ARGUMENT (FIELD_INVALID) if there is no sample; of two samples with one key the
// later is skipped (`duplicate`). `format` and `path` are for messages.
absl::Status FinishListing(absl::string_view format, absl::string_view path,
                           DatasetListing* listing);

// Labels that are texts, made numbers: in order of the numbers if all are numbers, else of the
// texts. Or those of `names`, in their order, if there are some.
class LabelNames {
 public:
  void Add(const std::string& text) { numbers_.emplace(text, 0); }

  // Call once, after the last Add(). INVALID_ARGUMENT (FIELD_INVALID) if a text is no possible name
  // of a class; LIMIT_EXCEEDED (kClassesPerDatasetMax).
  absl::Status Number(const std::vector<std::string>& names);

  const std::vector<std::string>& classes() const { return classes_; }
  // Negative if `text` is none of `names`.
  int64_t LabelOf(const std::string& text) const;

 private:
  std::map<std::string, int64_t> numbers_;
  std::vector<std::string> classes_;
};

// Names for labels that are numbers below `count`: `names` if there are some, else "0", "1", ...
// Returns LIMIT_EXCEEDED (kClassesPerDatasetMax).
absl::StatusOr<std::vector<std::string>> NumberedClasses(int64_t count,
                                                         const std::vector<std::string>& names);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_SPLITS_H_
