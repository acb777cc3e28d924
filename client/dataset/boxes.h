#ifndef CVTRAIN_CLIENT_DATASET_BOXES_H_
#define CVTRAIN_CLIENT_DATASET_BOXES_H_

#include <cstdint>

#include "cvtrain/storage/v1/annotation.pb.h"

namespace cvtrain::client {

// The one label of a picture with boxes: that of the largest box that is no crowd, of the first of
// several; 0 if there is none. It puts pictures into classes for counting and for holding out; what
// is to be learned from are the boxes.
inline uint32_t LabelOfBoxes(const storage::v1::Annotation& annotation) {
  uint32_t label = 0;
  double largest = 0;
  for (const storage::v1::Box& box : annotation.boxes()) {
    const double area = (double{box.right()} - box.left()) * (double{box.bottom()} - box.top());
    if (box.crowd() || !(area > largest)) continue;
    largest = area;
    label = box.label();
  }
  return label;
}

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_BOXES_H_
