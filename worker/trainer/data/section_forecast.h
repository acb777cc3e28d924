#ifndef CVTRAIN_WORKER_TRAINER_DATA_SECTION_FORECAST_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SECTION_FORECAST_H_

#include <map>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "plan/augment/crop.h"
#include "plan/curriculum/scale_set.h"
#include "worker/trainer/data/section_set.h"

namespace cvtrain::v1 {
class Augmentation;
class DatasetVersion;
}  // namespace cvtrain::v1

namespace cvtrain::trainer {

// Which sections of the shards a stage will read, before any shard is here: what is drawn of a few
// hundred pictures of the sizes that the data set is said to have. A rung that hardly any picture
// needs may be missed; it is fetched when one does.
//
// Remembers the sizes that it was asked about. Thread-compatible.
class SectionForecast {
 public:
  explicit SectionForecast(const cvtrain::v1::DatasetVersion& dataset);

  // For training pictures at these sizes. `augmentation` is resolved, and the same in all calls.
  SectionSet OfTraining(const cvtrain::v1::Augmentation& augmentation,
                        absl::Span<const plan::Scale> scales);
  // For an evaluation that resizes the short side to `resize` and cuts `crop` out of the centre.
  SectionSet OfEvaluation(int resize, int crop) const;

 private:
  SectionSet SectionOf(plan::PixelSize picture, const plan::CropRect& crop,
                       plan::PixelSize target) const;

  SectionSet OfSize(const cvtrain::v1::Augmentation& augmentation, plan::PixelSize target) const;

  std::vector<int> rungs_;
  std::vector<plan::PixelSize> pictures_;  // sizes to expect
  // Of training at a size, (height, width), under the augmentation asked about first.
  std::map<std::pair<int, int>, SectionSet> of_size_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SECTION_FORECAST_H_
