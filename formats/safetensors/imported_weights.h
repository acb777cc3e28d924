#ifndef CVTRAIN_FORMATS_SAFETENSORS_IMPORTED_WEIGHTS_H_
#define CVTRAIN_FORMATS_SAFETENSORS_IMPORTED_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_stream.h"

namespace cvtrain::formats {

struct ImportOptions {
  // Taken away from the front of each name that begins with it, such as the `module.` that
  // DataParallel adds. One name at least must.
  std::string strip_prefix;
};

// The weights in a safetensors file as a checkpoint that no trial made: its tensors under their
// names, in the order of their data.
//
// A network takes parameters and statistics as F32, counts and indices as I64, so other types are
// refused. The file does not say which tensor is a parameter and which a buffer: those that torch
// keeps as buffers are known by the end of their names. Who begins with the weights goes by names
// alone, so nothing depends on that.
//
// Holds the header, never the data. Thread-compatible; `file` must outlive it and not change.
class ImportedWeights {
 public:
  // `name` is what errors call the file. Returns the errors of ReadSafetensorsIndex();
  // INVALID_ARGUMENT (DATA_BAD) if it has no tensors, one of another type, or names that all begin
  // with `module.`, and (FIELD_INVALID) if a name is not one that a checkpoint may have;
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if it is too large for a checkpoint.
  static absl::StatusOr<ImportedWeights> Open(const RandomAccessFile& file, absl::string_view name,
                                              const ImportOptions& options);

  // Length of the checkpoint file, bytes.
  int64_t file_bytes() const { return layout_.file_bytes(); }
  int tensor_count() const { return layout_.tensor_count(); }

  // Writes the checkpoint file of the name `checkpoint` (checkpoints/{uuid}) to `sink`, in pieces
  // as WriteCheckpoint() does. The same bytes each time.
  //
  // Returns INVALID_ARGUMENT (DATA_BAD) if the file has become shorter, and the errors of reading
  // it and of `sink`.
  absl::StatusOr<CheckpointDigests> Write(const std::string& checkpoint,
                                          const ByteSink& sink) const;

 private:
  struct Source {
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };

  ImportedWeights(const RandomAccessFile& file, std::string name, CheckpointLayout layout)
      : file_(&file), name_(std::move(name)), layout_(std::move(layout)) {}

  absl::Status Read(const Source& source, const ByteSink& sink) const;

  const RandomAccessFile* file_;
  std::string name_;
  CheckpointLayout layout_;
  std::vector<Source> sources_;  // of the layout's tensors
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SAFETENSORS_IMPORTED_WEIGHTS_H_
