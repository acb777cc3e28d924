#ifndef CVTRAIN_CLIENT_DATASET_FIT_ANNOTATION_H_
#define CVTRAIN_CLIENT_DATASET_FIT_ANNOTATION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/dataset/dataset_reader.h"
#include "cvtrain/storage/v1/annotation.pb.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::client {

// A picture on its way from a file into a shard.
struct PictureChange {
  // As the file stores it, and the EXIF orientation, 1 to 8, that makes it upright.
  formats::PictureSize file;
  int orientation = 1;
  // As the shard stores it: upright, shrunk or not.
  formats::PictureSize stored;
};

struct FittedAnnotation {
  storage::v1::Annotation annotation;
  // Boxes that reached outside the picture and were cut to it; that had no area then, and are
  // gone; masks that were no masks of this picture, and are gone.
  int64_t boxes_cut = 0;
  int64_t boxes_dropped = 0;
  int64_t masks_dropped = 0;
};

// The annotation in pixels of the stored picture, turned and shrunk with it. It keeps the rules of
// formats/shard/annotation_rules.h for pictures of `classes` classes.
//
// Returns INVALID_ARGUMENT (DATA_BAD) if it is meant for a picture of another size, or is outside
// the limits of a shard.
absl::StatusOr<FittedAnnotation> FitAnnotation(const SourceAnnotation& source,
                                               const PictureChange& change, uint32_t classes);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_FIT_ANNOTATION_H_
