#ifndef CVTRAIN_PLAN_AUGMENT_BATCH_DRAW_H_
#define CVTRAIN_PLAN_AUGMENT_BATCH_DRAW_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "common/random.h"
#include "plan/augment/crop.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::v1 {
class Augmentation;
class RandomErasing;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

// What is done to the tensors of a batch, drawn. Specs are resolved. Pure
// functions of their stream or key; thread-safe.

// Whole pixels of a picture of a batch.
struct PixelBox {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;

  int64_t area() const { return int64_t{width} * height; }
  friend bool operator==(const PixelBox&, const PixelBox&) = default;
};

// torchvision's RandomErasing: with the probability of `spec`, the first of ten
// boxes that is smaller than the picture on both axes, of a uniform share of the
// area and a log-uniform ratio of height to width. Nothing if none is.
std::optional<PixelBox> DrawErasing(const v1::RandomErasing& spec, PixelSize size,
                                    KeyedStream stream);

// How the batch of one logical rank is mixed with itself.
struct BatchMix {
  enum class Kind : uint8_t { kNone, kMixUp, kCutMix };
  Kind kind = Kind::kNone;
  // Share of each picture in its own label, and with mixup in its own pixels; the
  // rest is its partner's. 0 to 1.
  double own = 1;
  // With cutmix: where the pixels are the partner's. Its share of the area is
  // 1 - own. May be empty.
  PixelBox box;
  // Of each picture, the index of its partner: a permutation, in which a picture
  // may stay where it is.
  std::vector<int64_t> partners;
};

// A batch of `count` pictures of `size`. MixUp (Zhang et al. 2017) and CutMix (Yun
// et al. 2019) with torchvision's box: its share of the area is 1 - weight before
// it is cut at the edges. With both, either is chosen with probability 1/2 and then
// done with its own probability.
BatchMix DrawMix(const v1::Augmentation& augmentation, int64_t count, PixelSize size,
                 const RankStepKey& key);

// Beta(alpha, alpha), by two Gamma variables (Marsaglia and Tsang 2000) in
// logarithms, so that a small `alpha` gives 0 or 1 and not 0/0. `alpha` > 0.
double DrawBeta(double alpha, KeyedStream& stream);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_AUGMENT_BATCH_DRAW_H_
