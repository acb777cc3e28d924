#ifndef CVTRAIN_PLAN_AUGMENT_POLICY_H_
#define CVTRAIN_PLAN_AUGMENT_POLICY_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/random.h"
#include "plan/augment/crop.h"
#include "plan/augment/operation.h"

namespace cvtrain::v1 {
class AutoAugment;
class ColorJitter;
class RandAugment;
class TrivialAugment;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What is done to the colours and the shape of one picture, drawn: ColorJitter,
// RandAugment, TrivialAugmentWide and AutoAugment as torchvision defines them,
// with the same operations, magnitudes and signs. Specs are resolved.
//
// Pure functions of their stream; thread-safe.

using PictureSteps = std::vector<PictureStep>;

// Which table of magnitudes: RandAugment's, which AutoAugment shares, or the wider
// one of TrivialAugmentWide.
enum class MagnitudeSpace : uint8_t { kRand, kTrivial };

// A magnitude as a place in a table: bin `bin` of `bins`, from 0 on; at least 2.
struct MagnitudeBin {
  int bin = 0;
  int bins = 2;
};

// Whether a magnitude of the operation is negated with probability 1/2, and
// whether it has one at all.
bool IsSigned(PictureOperation operation);
bool HasMagnitude(PictureOperation operation);

// The magnitude at `bin`, for a picture of `size`; 0 if the operation has none.
// In double: torchvision's float32 table differs in the seventh digit.
double MagnitudeAt(MagnitudeSpace space, PictureOperation operation, MagnitudeBin bin,
                   PixelSize size);

// The operation with the number that its function takes for a magnitude with its
// sign: 1 more for a factor, cut to whole pixels for a translation.
PictureStep StepOf(PictureOperation operation, double magnitude);

// One of AutoAugment's policies: two operations, each with a probability and a bin
// of 10; the bin is -1 where there is no magnitude.
struct SubPolicy {
  struct Part {
    PictureOperation operation;
    double probability;
    int bin;
  };
  Part first;
  Part second;
};
absl::Span<const SubPolicy> ImageNetPolicy();
absl::Span<const SubPolicy> Cifar10Policy();

// Each appends what it draws to `steps`, but for identities. `size` is that of the
// picture that the operations are done to.
void DrawColorJitter(const v1::ColorJitter& spec, KeyedStream stream, PictureSteps& steps);
void DrawRandAugment(const v1::RandAugment& spec, PixelSize size, KeyedStream stream,
                     PictureSteps& steps);
void DrawTrivialAugment(const v1::TrivialAugment& spec, PixelSize size, KeyedStream stream,
                        PictureSteps& steps);
void DrawAutoAugment(const v1::AutoAugment& spec, PixelSize size, KeyedStream stream,
                     PictureSteps& steps);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_AUGMENT_POLICY_H_
