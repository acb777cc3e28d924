#ifndef CVTRAIN_PLAN_CURRICULUM_KEYS_H_
#define CVTRAIN_PLAN_CURRICULUM_KEYS_H_

#include <array>
#include <cstdint>

#include "common/random.h"

namespace cvtrain::plan {

// Every random choice of a trial, as a stream that any process can make anew
// from its key. Each purpose has its own stream, so that none can shift
// another. The tags and words of these streams are part of kPlanVersion:
// trials that run depend on them.
//
// Pure functions; thread-safe.

// One optimizer step, as one logical rank sees it.
struct RankStepKey {
  uint64_t seed = 0;
  int32_t epoch = 0;
  // Counting from 0 in its epoch.
  int64_t step_in_epoch = 0;
  int32_t logical_rank = 0;
};

// One image of such a step.
struct SampleKey {
  RankStepKey step;
  // Index in the batch of the logical rank. An image that the tail of an epoch
  // shows twice is augmented anew.
  int32_t position = 0;
};

enum class RangeAugmentOperation { kBrightness = 0, kContrast = 1, kNoise = 2 };

// Area, aspect ratio and place of the random resized crop.
KeyedStream CropStream(const SampleKey& key);

// Whether the image is flipped.
KeyedStream FlipStream(const SampleKey& key);

// Whether the colours are jittered, by which factors, in which order.
KeyedStream ColorJitterStream(const SampleKey& key);

// Operations of RandAugment, TrivialAugment or AutoAugment, their magnitudes and
// signs.
KeyedStream PolicyStream(const SampleKey& key);

// Whether a box of the image is erased, and which.
KeyedStream ErasingStream(const SampleKey& key);

// The words of the normal numbers that it is filled with, as
// RangeAugmentNoiseStream(): for the whole image, of which the box is kept.
KeyedStream ErasingNoiseStream(const SampleKey& key);

// Whether the batch is mixed with itself, how, by which weight, in which order.
KeyedStream MixStream(const RankStepKey& key);

// What dropout and drop path in layer `layer` of the network leave out, as the seed of a generator:
// the first NextU64().
KeyedStream DropStream(const RankStepKey& key, int32_t layer);

// Order of RangeAugment's operations, once a step and logical rank.
KeyedStream RangeAugmentOrderStream(const RankStepKey& key);

// Which half of the batch an operation is applied to.
KeyedStream RangeAugmentChoiceStream(const RankStepKey& key, RangeAugmentOperation operation);

// u of an image's magnitude, low + u * (high - low): the first Uniform01().
KeyedStream RangeAugmentMagnitudeStream(const SampleKey& key, RangeAugmentOperation operation);

// The normal numbers that operation noise adds, in order of channel, row, column.
KeyedStream RangeAugmentNoiseStream(const SampleKey& key);

// Initial values of the `tensor`-th entry of StateTensors().
KeyedStream InitStream(uint64_t seed, int32_t tensor);

// Noise of a noisy evaluation condition: the same for an image in every
// evaluation of every trial, in order of channel, row, column.
KeyedStream EvaluationNoiseStream(int64_t image);

// What a random corruption draws for an image of an evaluation: the same in every
// evaluation of every trial, at every size. `corruption` is a number of
// cvtrain.v1.EvaluationCondition.Corruption.
KeyedStream CorruptionStream(int64_t image, int32_t corruption, int32_t severity);

// Draws the size of each step of one epoch: one block of a counter-based
// generator per step, keyed by (seed, epoch) with the step as the counter, and
// by nothing else. Every logical rank draws the same.
//
// Immutable.
class ScaleDraw {
 public:
  ScaleDraw(uint64_t seed, int32_t epoch);

  // In [0, scale_count), each equally likely up to 2^-32.
  int32_t At(int64_t step_in_epoch, int32_t scale_count) const;

 private:
  std::array<uint32_t, 2> key_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_CURRICULUM_KEYS_H_
