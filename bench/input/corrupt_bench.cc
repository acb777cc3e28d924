#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/input/bench.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/corruption/corruptor.h"
#include "formats/image/image.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::bench {
namespace {

constexpr int64_t kPictures = 64;

absl::StatusOr<formats::Corruption> ParseCorruption(absl::string_view argument) {
  const std::pair<std::string, std::string> words =
      absl::StrSplit(argument, absl::MaxSplits(' ', 1));
  formats::Corruption corruption;
  v1::EvaluationCondition::Corruption kind;
  if (!v1::EvaluationCondition::Corruption_Parse(
          absl::StrCat("CORRUPTION_", absl::AsciiStrToUpper(words.first)), &kind) ||
      kind == v1::EvaluationCondition::CORRUPTION_UNSPECIFIED ||
      !absl::SimpleAtoi(words.second, &corruption.severity) || corruption.severity < 1 ||
      corruption.severity > 5) {
    return InvalidArgument(
        Reason::kUsage,
        absl::StrCat("must be a corruption and a severity, as fog 3, got ", argument));
  }
  corruption.kind = static_cast<formats::CorruptionKind>(kind);
  return corruption;
}

// Waves with some texture: what costs time hangs on the size.
formats::Image MakeClean(int size) {
  formats::Image image;
  image.Resize(size, size);
  uint32_t noise = 1;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    noise = noise * 1'664'525 + 1'013'904'223;
    image.pixels[i] = static_cast<uint8_t>((i / 40) % 200 + (noise >> 27));
  }
  return image;
}

}  // namespace

absl::StatusOr<Runner> NewCorruptBench(int size) {
  const auto corruptor = std::make_shared<formats::Corruptor>();
  return [corruptor, clean = MakeClean(size)](absl::string_view argument) -> absl::StatusOr<Pass> {
    CVT_ASSIGN_OR_RETURN(const formats::Corruption corruption, ParseCorruption(argument));
    formats::Image image = clean;
    for (int64_t i = 0; i < kPictures; ++i) {
      std::copy(clean.pixels.begin(), clean.pixels.end(), image.pixels.begin());
      CVT_RETURN_IF_ERROR(corruptor->Apply(
          corruption,
          plan::CorruptionStream(i, static_cast<int32_t>(corruption.kind), corruption.severity),
          image));
    }
    return Pass{.images = kPictures};
  };
}

}  // namespace cvtrain::bench
