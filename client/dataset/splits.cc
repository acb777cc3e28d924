#include "client/dataset/splits.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/dataset/source_files.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

absl::Status CheckClassCount(size_t count) {
  if (count <= limits::kClassesPerDatasetMax) return absl::OkStatus();
  return LimitExceeded("kClassesPerDatasetMax",
                       absl::StrCat(count, " classes, at most ", limits::kClassesPerDatasetMax));
}

// By key; of several with one key the first.
std::vector<SourceSample> KeepFirsts(const std::string& split, std::vector<SourceSample> samples,
                                     DatasetListing* listing) {
  std::stable_sort(samples.begin(), samples.end(),
                   [](const auto& a, const auto& b) { return a.key < b.key; });
  std::vector<SourceSample> kept;
  kept.reserve(samples.size());
  for (SourceSample& sample : samples) {
    if (!kept.empty() && kept.back().key == sample.key) {
      listing->skipped.push_back({split, sample.key, "duplicate", "its name came before"});
      continue;
    }
    kept.push_back(std::move(sample));
  }
  return kept;
}

}  // namespace

uint64_t HoldOutRank(uint64_t seed, absl::string_view key) {
  const Sha256Digest digest = Sha256Of(key);
  uint64_t word = 0;
  for (size_t i = 0; i < 8; ++i) word = word << 8 | digest[i];
  return KeyedStream("dataset-hold-out/v1", {seed, word}).NextU64();
}

absl::Status CheckTrainFraction(double train_fraction) {
  if (train_fraction > 0 && train_fraction <= 1) return absl::OkStatus();
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("train_fraction: must be in (0, 1], got ", train_fraction));
}

void HoldOutInto(std::vector<SourceSample> samples, const ReaderOptions& options,
                 DatasetListing* listing) {
  // First, or one of two of a name might end in each part.
  samples = KeepFirsts("", std::move(samples), listing);
  HeldOut<SourceSample> parts = HoldOut(std::move(samples), options.train_fraction, options.seed);
  listing->splits.push_back({"test", std::move(parts.test)});
  listing->splits.push_back({"train", std::move(parts.train)});
}

absl::Status FinishListing(absl::string_view format, absl::string_view path,
                           DatasetListing* listing) {
  size_t count = 0;
  for (SourceSplit& split : listing->splits) {
    split.samples = KeepFirsts(split.name, std::move(split.samples), listing);
    count += split.samples.size();
  }
  std::erase_if(listing->splits, [](const SourceSplit& split) { return split.samples.empty(); });
  std::sort(listing->splits.begin(), listing->splits.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (count > 0) return absl::OkStatus();
  if (listing->skipped.empty()) return BadSource(format, path, "has no samples");
  const SkippedSource& first = listing->skipped.front();
  return BadSource(format, path,
                   absl::StrCat("none of ", listing->skipped.size(),
                                " samples can be taken; the first: ", SafeText(first.key), ": ",
                                first.cause, ", ", SafeText(first.detail)));
}

absl::Status LabelNames::Number(const std::vector<std::string>& names) {
  if (names.empty()) {
    for (const auto& [text, number] : numbers_) classes_.push_back(text);
    const auto value = [](const std::string& text) {
      int64_t number = 0;
      return absl::SimpleAtoi(text, &number) ? number : int64_t{-1};
    };
    if (std::all_of(classes_.begin(), classes_.end(),
                    [&](const std::string& text) { return value(text) >= 0; })) {
      std::stable_sort(
          classes_.begin(), classes_.end(),
          [&](const std::string& a, const std::string& b) { return value(a) < value(b); });
    }
  } else {
    classes_ = names;
  }
  CVT_RETURN_IF_ERROR(CheckClassCount(classes_.size()));
  for (auto& [text, number] : numbers_) number = -1;
  for (size_t i = 0; i < classes_.size(); ++i) {
    if (!IsClassName(classes_[i])) {
      return InvalidArgument(
          Reason::kFieldInvalid,
          absl::StrCat("class ", SafeText(classes_[i]), ": its name must be plain UTF-8 text"));
    }
    numbers_[classes_[i]] = static_cast<int64_t>(i);
  }
  return absl::OkStatus();
}

int64_t LabelNames::LabelOf(const std::string& text) const {
  const auto found = numbers_.find(text);
  return found == numbers_.end() ? -1 : found->second;
}

absl::StatusOr<std::vector<std::string>> NumberedClasses(int64_t count,
                                                         const std::vector<std::string>& names) {
  if (!names.empty()) return names;
  CVT_RETURN_IF_ERROR(CheckClassCount(static_cast<size_t>(count)));
  std::vector<std::string> classes;
  for (int64_t i = 0; i < count; ++i) classes.push_back(absl::StrCat(i));
  return classes;
}

}  // namespace cvtrain::client
