#ifndef CVTRAIN_WORKER_TRAINER_AUGMENT_NORMAL_NUMBERS_H_
#define CVTRAIN_WORKER_TRAINER_AUGMENT_NORMAL_NUMBERS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "common/random.h"
#include "plan/curriculum/keys.h"

namespace cvtrain::trainer {

// Which stream the numbers of a picture come from, such as RangeAugmentNoiseStream.
using SampleStreamFunction = KeyedStream (*)(const plan::SampleKey& key);

// Standard normal numbers for the pictures at positions `chosen` of a batch, each
// picture's from its own stream in order of channel, row, column: float32, on the
// CPU. `sizes` is chosen.size() x C x H x W.
//
// Made from 24-bit uniform numbers by Box and Muller: the first half are the
// cosines, the second the sines. LibTorch's vector functions make them several
// times faster than one number at a time.
at::Tensor NormalNumbers(at::IntArrayRef sizes, const std::vector<int64_t>& chosen,
                         const plan::RankStepKey& key, SampleStreamFunction stream_of);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_AUGMENT_NORMAL_NUMBERS_H_
