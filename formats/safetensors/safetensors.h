#ifndef CVTRAIN_FORMATS_SAFETENSORS_SAFETENSORS_H_
#define CVTRAIN_FORMATS_SAFETENSORS_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/checkpoint_stream.h"

namespace cvtrain::formats {

inline constexpr int64_t kSafetensorsHeaderBytesMax = int64_t{16} << 20;

// Which weights of a checkpoint are meant: as they are trained, or their moving averages, which
// evaluations are of where the recipe asks for averages.
enum class Weights { kTrained, kAveraged };

// kAveraged if `checkpoint` has averages.
Weights EvaluatedWeights(const CheckpointView& checkpoint);

// Writes the parameters and buffers of `checkpoint`, under their names (torchvision's), as a
// safetensors file that Python's library reads: sorted by descending alignment and name, data
// 8-aligned, no hole. Optimizer and augmentation are left out. Its metadata tells where it is from:
// trial, attempt, step, epoch, seed, plan version, recipe, data set and checkpoint digests.
//
// Returns FAILED_PRECONDITION (WRONG_STATE) if the checkpoint has neither parameters nor buffers,
// or no averages where they are wanted; the errors of `sink`.
absl::Status WriteSafetensors(const CheckpointView& checkpoint, Weights weights,
                              const ByteSink& sink);

// What the header of a safetensors file says, compared with the length of the file.
struct SafetensorsIndex {
  struct Tensor {
    std::string name;
    storage::v1::Tensor::DataType data_type;
    std::vector<int64_t> shape;
    // Of its data in the file, bytes.
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };

  std::vector<Tensor> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
};

// Reads the header of a file, and nothing of its data. `name` is what errors call it.
//
// Returns INVALID_ARGUMENT (DATA_BAD), naming file, tensor and offset, if the header is over 16 MiB
// or not strict JSON of the expected form, has a name or key twice, an unknown type, a shape that
// overflows or does not match its length, or if the tensors overlap, leave a hole or do not end
// where the file does. (It is somebody's input, not our stored bytes.) And the errors of `file`.
absl::StatusOr<SafetensorsIndex> ReadSafetensorsIndex(const RandomAccessFile& file,
                                                      absl::string_view name);

// A safetensors file in memory or mapped, checked before anything of it can be used.
//
// Immutable. The bytes must outlive it and not change.
class SafetensorsView {
 public:
  struct Tensor {
    std::string name;
    storage::v1::Tensor::DataType data_type;
    std::vector<int64_t> shape;
    absl::string_view data;
  };

  // Errors as ReadSafetensorsIndex().
  static absl::StatusOr<SafetensorsView> Open(absl::string_view file, absl::string_view name);

  // In the order of their data.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsView() = default;

  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SAFETENSORS_SAFETENSORS_H_
