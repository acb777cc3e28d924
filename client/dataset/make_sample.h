#ifndef CVTRAIN_CLIENT_DATASET_MAKE_SAMPLE_H_
#define CVTRAIN_CLIENT_DATASET_MAKE_SAMPLE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/dataset/dataset_reader.h"
#include "client/dataset/fit_annotation.h"
#include "client/dataset/ladder.h"
#include "formats/image/picture_decoder.h"
#include "formats/shard/dataset_digest.h"

namespace cvtrain::client {

// A sample as a shard takes it, or why it takes none.
struct MadeSample {
  // INTERNAL ends the build; for others, `cause` is a word for counting.
  absl::Status status;
  std::string cause;

  Ladder ladder;
  Sha256Digest digest = {};
  FittedAnnotation fitted;
  bool annotated = false;
  // Of the picture as it was read, pixels; 0 for what is none.
  int short_side = 0;
};

// Reads samples and makes them what shards hold: pictures become ladders, their boxes follow;
// sounds are checked; other files are taken as they are. Thread-compatible: one per thread.
class SampleMaker {
 public:
  // `reader` and `options` must outlive this. `classes`: labels of boxes are below it.
  SampleMaker(const DatasetReader& reader, const formats::LadderOptions& options, uint32_t classes);

  MadeSample Make(const SourceSample& sample);

 private:
  void MakePicture(const SourceSample& sample, const std::string& file, MadeSample* made);

  const DatasetReader& reader_;
  const formats::LadderOptions& options_;
  const uint32_t classes_;
  LadderMaker ladders_;
  formats::PictureDecoder decoder_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_MAKE_SAMPLE_H_
