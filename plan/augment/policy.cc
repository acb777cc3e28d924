#include "plan/augment/policy.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::plan {
namespace {

// Those of RandAugment and TrivialAugmentWide are the first ones, in order.
constexpr uint64_t kDrawnOperations = 14;
static_assert(static_cast<uint64_t>(PictureOperation::kEqualize) + 1 == kDrawnOperations);

// AutoAugment's policies count magnitudes in tenths.
constexpr int kAutoAugmentBins = 10;

// The magnitude of the last bin, where that of the first is 0.
double GreatestMagnitude(MagnitudeSpace space, PictureOperation operation, PixelSize size) {
  const bool is_wide = space == MagnitudeSpace::kTrivial;
  switch (operation) {
    case PictureOperation::kShearX:
    case PictureOperation::kShearY:
      return is_wide ? 0.99 : 0.3;
    case PictureOperation::kTranslateX:
      return is_wide ? 32 : 150.0 * size.width / 331;
    case PictureOperation::kTranslateY:
      return is_wide ? 32 : 150.0 * size.height / 331;
    case PictureOperation::kRotate:
      return is_wide ? 135 : 30;
    case PictureOperation::kBrightness:
    case PictureOperation::kColor:
    case PictureOperation::kContrast:
    case PictureOperation::kSharpness:
      return is_wide ? 0.99 : 0.9;
    default:
      return 0;
  }
}

void Append(PictureOperation operation, double magnitude, PictureSteps& steps) {
  if (operation != PictureOperation::kIdentity) steps.push_back(StepOf(operation, magnitude));
}

// One of the operations, each as likely; `draw_bin` is asked after it.
template <typename DrawBin>
void AppendDrawn(MagnitudeSpace space, int bins, PixelSize size, const DrawBin& draw_bin,
                 KeyedStream& stream, PictureSteps& steps) {
  const auto operation = static_cast<PictureOperation>(stream.UniformInt(kDrawnOperations));
  double magnitude = MagnitudeAt(space, operation, {.bin = draw_bin(), .bins = bins}, size);
  if (IsSigned(operation) && stream.Bernoulli(0.5)) magnitude = -magnitude;
  Append(operation, magnitude, steps);
}

}  // namespace

bool IsSigned(PictureOperation operation) {
  return operation >= PictureOperation::kShearX && operation <= PictureOperation::kSharpness;
}

bool HasMagnitude(PictureOperation operation) {
  return IsSigned(operation) || operation == PictureOperation::kPosterize ||
         operation == PictureOperation::kSolarize;
}

double MagnitudeAt(MagnitudeSpace space, PictureOperation operation, MagnitudeBin bin,
                   PixelSize size) {
  const double last = bin.bins - 1;
  if (operation == PictureOperation::kPosterize) {
    // Bits that stay. Halves are rounded to even numbers, as torch does.
    const double lost = space == MagnitudeSpace::kTrivial ? 6 : 4;
    return 8 - std::nearbyint(bin.bin / (last / lost));
  }
  if (operation == PictureOperation::kSolarize) return 255 - 255 * bin.bin / last;
  return GreatestMagnitude(space, operation, size) * bin.bin / last;
}

PictureStep StepOf(PictureOperation operation, double magnitude) {
  switch (operation) {
    case PictureOperation::kTranslateX:
    case PictureOperation::kTranslateY:
      return {operation, std::trunc(magnitude)};
    case PictureOperation::kBrightness:
    case PictureOperation::kColor:
    case PictureOperation::kContrast:
    case PictureOperation::kSharpness:
      return {operation, 1 + magnitude};
    default:
      return {operation, magnitude};
  }
}

void DrawColorJitter(const v1::ColorJitter& spec, KeyedStream stream, PictureSteps& steps) {
  if (!stream.Bernoulli(spec.probability())) return;
  struct Jitter {
    PictureOperation operation;
    double low;
    double high;
  };
  const auto factor = [](PictureOperation operation, double x) {
    return Jitter{operation, std::max(0.0, 1 - x), 1 + x};
  };
  std::array<Jitter, 4> jitters = {factor(PictureOperation::kBrightness, spec.brightness()),
                                   factor(PictureOperation::kContrast, spec.contrast()),
                                   factor(PictureOperation::kColor, spec.saturation()),
                                   {PictureOperation::kHue, -spec.hue(), spec.hue()}};
  stream.Shuffle(absl::MakeSpan(jitters));
  for (const Jitter& jitter : jitters) {
    const double parameter = stream.Uniform(jitter.low, jitter.high);
    if (jitter.low < jitter.high) steps.push_back({jitter.operation, parameter});
  }
}

void DrawRandAugment(const v1::RandAugment& spec, PixelSize size, KeyedStream stream,
                     PictureSteps& steps) {
  const auto bin = [&] { return spec.magnitude(); };
  for (int i = 0; i < spec.num_ops(); ++i) {
    AppendDrawn(MagnitudeSpace::kRand, spec.num_magnitude_bins(), size, bin, stream, steps);
  }
}

void DrawTrivialAugment(const v1::TrivialAugment& spec, PixelSize size, KeyedStream stream,
                        PictureSteps& steps) {
  const int bins = spec.num_magnitude_bins();
  const auto bin = [&] { return static_cast<int>(stream.UniformInt(static_cast<uint64_t>(bins))); };
  AppendDrawn(MagnitudeSpace::kTrivial, bins, size, bin, stream, steps);
}

void DrawAutoAugment(const v1::AutoAugment& spec, PixelSize size, KeyedStream stream,
                     PictureSteps& steps) {
  const absl::Span<const SubPolicy> policies =
      spec.policy() == v1::AutoAugment::POLICY_CIFAR10 ? Cifar10Policy() : ImageNetPolicy();
  const SubPolicy& policy = policies[stream.UniformInt(policies.size())];
  for (const SubPolicy::Part& part : {policy.first, policy.second}) {
    const bool is_done = stream.Bernoulli(part.probability);
    const bool is_negative = stream.Bernoulli(0.5);
    if (!is_done) continue;
    double magnitude = 0;
    if (part.bin >= 0) {
      magnitude = MagnitudeAt(MagnitudeSpace::kRand, part.operation,
                              {.bin = part.bin, .bins = kAutoAugmentBins}, size);
    }
    if (IsSigned(part.operation) && is_negative) magnitude = -magnitude;
    Append(part.operation, magnitude, steps);
  }
}

}  // namespace cvtrain::plan
