#ifndef CVTRAIN_FORMATS_PICTURE_PICTURE_EDITOR_H_
#define CVTRAIN_FORMATS_PICTURE_PICTURE_EDITOR_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "formats/picture/picture_span.h"
#include "plan/augment/operation.h"

namespace cvtrain::formats {

// Does to pictures what plan/augment has drawn for them: operations.h by the name
// of the operation.
//
// Keeps its buffer from picture to picture. Thread-compatible: one per thread.
class PictureEditor {
 public:
  // Applies `steps` in order. Their parameters are in the ranges that
  // plan/augment/operation.h gives.
  void Apply(absl::Span<const plan::PictureStep> steps, PictureSpan picture);

 private:
  std::vector<uint8_t> scratch_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_PICTURE_PICTURE_EDITOR_H_
