#ifndef CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_H_
#define CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_H_

// A checkpoint file: header | manifest | tensor data | trailer. docs/formats/checkpoint.md has the
// byte layout.
//
// How one is made, and what a crash leaves behind:
//   1. The trainer plans a layout once and gets a buffer (a memfd) of layout.file_bytes().
//   2. At a step it writes header and manifest, whose places and sizes are known.
//   3. It copies each tensor to its place. That copy is the whole stall.
//   4. Off the step path somebody, perhaps another process, writes the trailer: digests over all of
//   it.
// A file without its trailer does not open: a crash before the end of 4 leaves nothing that could
// be mistaken for a checkpoint. Nothing here syncs or renames; whoever stores the bytes does.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"

namespace cvtrain::formats {

inline constexpr absl::string_view kCheckpointMagic = "CVTCKPT\n";
inline constexpr absl::string_view kCheckpointTrailerMagic = "CVTCKEND";
inline constexpr uint32_t kCheckpointVersion = 2;
inline constexpr int64_t kCheckpointHeaderBytes = 64;
inline constexpr int64_t kCheckpointDataAlignment = 4096;
inline constexpr int64_t kCheckpointTensorAlignment = 64;
inline constexpr int64_t kCheckpointBlockBytes = int64_t{1} << 20;

// With those of common/limits.h: size, manifest, tensors, dimensions.
inline constexpr int kCheckpointNameBytesMax = 256;
inline constexpr int kCheckpointStatesMax = 64;

using storage::v1::CheckpointManifest;

// Bytes of one element; 0 for an unknown type.
int64_t ElementBytes(storage::v1::Tensor::DataType type);

// What a tensor of a checkpoint is, without its data.
struct TensorSpec {
  std::string name;
  storage::v1::Tensor::DataType data_type = storage::v1::Tensor::DATA_TYPE_UNSPECIFIED;
  std::vector<int64_t> shape;
  storage::v1::Tensor::Role role = storage::v1::Tensor::ROLE_UNSPECIFIED;
};

struct CheckpointDigests {
  // BlockDigest of the whole file, lower-case hex: the `digest` of v1.Checkpoint.
  std::string file_digest;
  // CRC32C of each 1 MiB block of what precedes the trailer.
  std::vector<uint32_t> block_crc32c;
};

// Where everything of a checkpoint lies, as a function of its tensors: the same for all checkpoints
// of an attempt, so that one buffer serves them all.
//
// Immutable.
class CheckpointLayout {
 public:
  // `extra_bytes` is room in the manifest for all that is not a tensor (names, digests, states).
  //
  // Returns INVALID_ARGUMENT (FIELD_INVALID) if a name is not plain or not unique, or a type, role
  // or shape is not allowed; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if a limit is.
  static absl::StatusOr<CheckpointLayout> Plan(std::vector<TensorSpec> tensors,
                                               int64_t extra_bytes = 16 << 10);

  int64_t file_bytes() const { return file_bytes_; }
  int tensor_count() const { return static_cast<int>(manifest_.tensors_size()); }

  // Where the data section begins and ends in the file, bytes.
  int64_t data_offset() const { return data_offset_; }
  int64_t data_end() const { return data_offset_ + data_bytes_; }

  // Place of tensor `index` in the file, bytes.
  int64_t tensor_offset(int index) const;
  int64_t tensor_bytes(int index) const;

  // Writes header, manifest and all padding into `file`, which has file_bytes(). `manifest` has
  // everything but `tensors`, which are the layout's. After it, copy the tensors.
  //
  // Returns RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if `manifest` does not fit in its room or has too
  // many states, INVALID_ARGUMENT (FIELD_INVALID) if `file` has another size or text is no UTF-8.
  // The old content of `file` does not matter.
  absl::Status WriteHeaderAndManifest(CheckpointManifest manifest, absl::Span<char> file) const;

  // The same for the first data_offset() bytes alone: header, manifest and the zeros after it.
  absl::Status WriteHead(CheckpointManifest manifest, absl::Span<char> head) const;

 private:
  CheckpointLayout() = default;

  CheckpointManifest manifest_;  // tensors only
  std::vector<int64_t> tensor_bytes_;
  int64_t manifest_room_ = 0;
  int64_t data_offset_ = 0;
  int64_t data_bytes_ = 0;
  int64_t file_bytes_ = 0;
};

// Completes a file whose header, manifest and tensors are in place: computes the digests of
// everything before the trailer and writes it. Needs nothing but the bytes, so that any process
// that has them can do it.
//
// Returns DATA_LOSS (CHECKPOINT_BAD) if the header is not one or claims another size.
absl::StatusOr<CheckpointDigests> FinishTrailer(absl::Span<char> file);

// Reads the manifest from the first bytes of a file, such as its first chunks on a wire: header,
// manifest and its CRC are checked, nothing else. Tensors may lie anywhere in it.
//
// Returns OUT_OF_RANGE if `prefix` ends before the manifest does; DATA_LOSS (CHECKPOINT_BAD) if
// anything of it is wrong. `name` is what errors call the file.
absl::StatusOr<CheckpointManifest> ReadManifest(absl::string_view prefix, absl::string_view name);

enum class CheckpointVerify {
  // Header, manifest and trailer with their own CRCs, and the structure; not the data, whose blocks
  // the caller checks one by one.
  kStructure,
  // Also every block, and the digest: any flipped bit is found.
  kAll,
};

// A checkpoint in memory or in a mapped file, checked before anything of it can be used.
//
// Immutable. The bytes must outlive it and not change.
class CheckpointView {
 public:
  struct Tensor {
    absl::string_view name;
    storage::v1::Tensor::DataType data_type;
    absl::Span<const int64_t> shape;
    storage::v1::Tensor::Role role;
    absl::string_view data;
  };

  // `name` is what errors call the file. Returns DATA_LOSS (CHECKPOINT_BAD), naming file, tensor or
  // part, and offset, if anything is wrong, too large, or of a later version.
  static absl::StatusOr<CheckpointView> Open(absl::string_view file, absl::string_view name,
                                             CheckpointVerify verify = CheckpointVerify::kAll);

  const CheckpointManifest& manifest() const { return manifest_; }

  int tensor_count() const { return manifest_.tensors_size(); }
  // `index` is in [0, tensor_count()). Valid as long as the bytes and the view.
  Tensor tensor(int index) const;
  // Returns NOT_FOUND (UNKNOWN_NAME) if there is no tensor of this name.
  absl::StatusOr<Tensor> FindTensor(absl::string_view tensor_name) const;

  // For who opens with kStructure and checks each block just before it is used, perhaps on several
  // threads: blocks of kCheckpointBlockBytes, the last one shorter, up to the trailer.
  int64_t block_count() const { return block_count_; }
  // The bytes of block `index`, which is in [0, block_count()). Returns DATA_LOSS (CHECKPOINT_BAD)
  // with its offset if they do not have their CRC.
  absl::StatusOr<absl::string_view> Block(int64_t index) const;

  // BlockDigest of the whole file, lower-case hex. Empty unless opened with kAll.
  const std::string& file_digest() const { return file_digest_; }

 private:
  CheckpointView() = default;

  absl::string_view covered_;  // by blocks
  int64_t block_count_ = 0;
  const char* block_crcs_ = nullptr;
  std::string name_;
  absl::string_view data_;
  CheckpointManifest manifest_;
  std::vector<int64_t> tensor_bytes_;
  absl::flat_hash_map<std::string, int> by_name_;
  std::string file_digest_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CHECKPOINT_CHECKPOINT_H_
