#ifndef CVTRAIN_CLIENT_DATASET_SOUND_CHECK_H_
#define CVTRAIN_CLIENT_DATASET_SOUND_CHECK_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain::client {

struct SoundProblem {
  // `empty`, `not_a_sound`, `no_samples`, `damaged`, `too_large`; empty if nothing is wrong.
  std::string cause;
  std::string detail;
};

// What is wrong with a WAV, FLAC or MP3 file: all of it is decoded. Thread-safe.
SoundProblem CheckSound(absl::string_view file);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_SOUND_CHECK_H_
