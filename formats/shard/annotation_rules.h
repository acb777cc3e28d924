#ifndef CVTRAIN_FORMATS_SHARD_ANNOTATION_RULES_H_
#define CVTRAIN_FORMATS_SHARD_ANNOTATION_RULES_H_

#include <cstdint>
#include <string>

#include "cvtrain/storage/v1/annotation.pb.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::formats {

// Which rule of annotation.proto `annotation` breaks for a picture of `size`, for people: "box 3:
// must lie within 640x480"; empty if it keeps all: numbers are finite, boxes and corners lie within
// the picture, boxes have an area, labels are below `classes`, runs are as long as the picture, and
// nothing is outside the limits of shard_format.h. Takes no memory that the message does not have.
std::string ProblemOf(const storage::v1::Annotation& annotation, PictureSize size,
                      uint32_t classes);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_ANNOTATION_RULES_H_
