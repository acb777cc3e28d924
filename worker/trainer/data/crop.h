#ifndef CVTRAIN_WORKER_TRAINER_DATA_CROP_H_
#define CVTRAIN_WORKER_TRAINER_DATA_CROP_H_

#include "plan/augment/crop.h"

namespace cvtrain::trainer {

using plan::CropRect;

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_CROP_H_
