#ifndef CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_STREAM_H_
#define CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_STREAM_H_

// Checkpoint files from front to back, for those who cannot hold one: written piece by piece, and
// checked as they arrive.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::formats {

// Receives a file piece by piece, in order. An error ends the writing and is returned.
using ByteSink = std::function<absl::Status(absl::string_view)>;

// Gives all bytes of tensor `index` of a layout to `sink`, in pieces of any size.
using TensorSource = std::function<absl::Status(int index, const ByteSink& sink)>;

// Writes the file that WriteHeaderAndManifest(), the tensors and FinishTrailer() make: pieces of
// kCheckpointBlockBytes, the last one fewer. Holds one of them, and the manifest.
//
// Returns the errors of WriteHead(), of `source` and `sink`, and INVALID_ARGUMENT (FIELD_INVALID)
// if `source` gives a tensor more or fewer bytes than it has.
absl::StatusOr<CheckpointDigests> WriteCheckpoint(const CheckpointLayout& layout,
                                                  const CheckpointManifest& manifest,
                                                  const TensorSource& source, const ByteSink& sink);

// Takes the files that CheckpointView::Open() takes with kAll, and no other. Holds the manifest and
// the trailer. Thread-compatible.
class CheckpointStreamCheck {
 public:
  // `name` is what errors call the file.
  explicit CheckpointStreamCheck(std::string name);
  ~CheckpointStreamCheck();

  // Takes the next bytes, in pieces of any size. Returns DATA_LOSS (CHECKPOINT_BAD) as soon as
  // something is seen to be wrong, and from then on.
  absl::Status Update(absl::string_view bytes);

  // After the last bytes: the manifest, or DATA_LOSS (CHECKPOINT_BAD). Call it once.
  absl::StatusOr<CheckpointManifest> Finish();

 private:
  class State;

  std::unique_ptr<State> state_;
  absl::Status status_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_STREAM_H_
