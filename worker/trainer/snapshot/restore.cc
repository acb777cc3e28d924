#include "worker/trainer/snapshot/restore.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"
#include "worker/trainer/snapshot/tensor_types.h"

namespace cvtrain::trainer {
namespace {

using formats::CheckpointView;
using storage::v1::CheckpointManifest;

// Maps a whole file for reading.
class Mapping {
 public:
  static absl::StatusOr<Mapping> Open(const UniqueFd& file, int64_t size_bytes) {
    struct stat about = {};
    if (::fstat(file.get(), &about) != 0 || about.st_size != size_bytes || size_bytes <= 0) {
      return DataLoss(Reason::kCheckpointBad,
                      absl::StrCat("has ", about.st_size, " bytes, not ", size_bytes));
    }
    void* data =
        ::mmap(nullptr, static_cast<size_t>(size_bytes), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) {
      return ResourceExhausted(Reason::kOutOfMemory,
                               absl::StrCat("cannot be mapped: ", std::strerror(errno)));
    }
    return Mapping(static_cast<const char*>(data), static_cast<size_t>(size_bytes));
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
  }

  absl::string_view bytes() const { return {data_, size_}; }

 private:
  Mapping(const char* data, size_t size) : data_(data), size_(size) {}

  const char* data_;
  size_t size_;
};

template <typename T>
absl::Status CheckEqual(absl::string_view what, const T& has, const T& wanted) {
  if (has == wanted) return absl::OkStatus();
  return FailedPrecondition(Reason::kWrongState, absl::StrCat("its ", what, " is ", has,
                                                              ", that of the attempt ", wanted));
}

absl::Status CheckManifest(const CheckpointManifest& manifest, const RestoreExpectation& expected) {
  if (manifest.plan_version() != expected.plan_version) {
    return FailedPrecondition(Reason::kPlanVersionMismatch,
                              absl::StrCat("was made under plan version ", manifest.plan_version(),
                                           ", this program has ", expected.plan_version));
  }
  CVT_RETURN_IF_ERROR(
      CheckEqual("recipe digest", manifest.recipe_digest(), expected.recipe_digest));
  CVT_RETURN_IF_ERROR(
      CheckEqual("data set digest", manifest.dataset_digest(), expected.dataset_digest));
  CVT_RETURN_IF_ERROR(CheckEqual("seed", manifest.seed(), expected.seed));
  CVT_RETURN_IF_ERROR(
      CheckEqual("number of logical ranks", manifest.logical_ranks(), expected.logical_ranks));
  return CheckEqual("step", manifest.step(), expected.step);
}

absl::Status CheckTensor(const CheckpointView::Tensor& has, const at::Tensor& wanted) {
  CVT_ASSIGN_OR_RETURN(const auto type, DataTypeOf(wanted));
  if (has.data_type != type) {
    return DataLoss(
        Reason::kCheckpointBad,
        absl::StrCat("tensor ", has.name, " is ", storage::v1::Tensor::DataType_Name(has.data_type),
                     ", not ", storage::v1::Tensor::DataType_Name(type)));
  }
  if (has.shape != absl::MakeConstSpan(wanted.sizes().data(), wanted.sizes().size())) {
    return DataLoss(Reason::kCheckpointBad, absl::StrCat("tensor ", has.name, " has shape [",
                                                         absl::StrJoin(has.shape, ", "), "], not [",
                                                         absl::StrJoin(wanted.sizes(), ", "), "]"));
  }
  return absl::OkStatus();
}

bool LiesAsInFiles(const at::Tensor& tensor) {
  return tensor.is_contiguous() && tensor.device().is_cpu();
}

// A part of the file that lies in memory as the tensor has it.
struct Segment {
  const char* from = nullptr;
  char* to = nullptr;
  int64_t bytes = 0;
};

// What of `segments`, which are in order, lies in `block`.
void CopyBlock(absl::string_view block, const std::vector<Segment>& segments) {
  auto segment = std::partition_point(segments.begin(), segments.end(), [&](const Segment& one) {
    return one.from + one.bytes <= block.data();
  });
  for (; segment != segments.end() && segment->from < block.end(); ++segment) {
    const char* begin = std::max(segment->from, block.data());
    const char* end = std::min(segment->from + segment->bytes, block.end());
    std::memcpy(segment->to + (begin - segment->from), begin, static_cast<size_t>(end - begin));
  }
}

// Checks all blocks of `view`, and copies its tensors `from` into `tensors`, on as many threads as
// operations have.
absl::Status CheckAndCopy(const CheckpointView& view,
                          const std::vector<CheckpointView::Tensor>& from,
                          const std::vector<SnapshotTensor>& tensors) {
  at::NoGradGuard no_grad;
  std::vector<Segment> segments;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!LiesAsInFiles(tensors[i].tensor) || from[i].data.empty()) continue;
    segments.push_back({from[i].data.data(), static_cast<char*>(tensors[i].tensor.data_ptr()),
                        static_cast<int64_t>(from[i].data.size())});
  }
  std::sort(segments.begin(), segments.end(),
            [](const Segment& a, const Segment& b) { return a.from < b.from; });
  absl::Mutex mu;
  int64_t bad_block = view.block_count();
  absl::Status status;  // of the first bad block
  at::parallel_for(0, view.block_count(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const absl::StatusOr<absl::string_view> bytes = view.Block(block);
      if (bytes.ok()) {
        CopyBlock(*bytes, segments);
        continue;
      }
      absl::MutexLock lock(&mu);
      if (block < bad_block) {
        bad_block = block;
        status = bytes.status();
      }
      return;
    }
  });
  CVT_RETURN_IF_ERROR(status);
  for (size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor tensor = tensors[i].tensor;
    if (LiesAsInFiles(tensor)) continue;
    // from_blob() wants a mutable pointer and does not write.
    tensor.copy_(at::from_blob(const_cast<char*>(from[i].data.data()), tensor.sizes(),
                               tensor.options().device(at::kCPU).requires_grad(false)));
  }
  return absl::OkStatus();
}

absl::StatusOr<CheckpointManifest> RestoreFrom(const UniqueFd& file, int64_t size_bytes,
                                               const RestoreExpectation& expected,
                                               const std::vector<SnapshotTensor>& tensors) {
  CVT_ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Open(file, size_bytes));
  // The agent has compared the digest of the whole; the blocks' sums guard what has happened since.
  CVT_ASSIGN_OR_RETURN(const CheckpointView view,
                       CheckpointView::Open(mapping.bytes(), expected.checkpoint,
                                            formats::CheckpointVerify::kStructure));
  CVT_RETURN_IF_ERROR(CheckManifest(view.manifest(), expected));

  std::vector<CheckpointView::Tensor> found;
  for (const SnapshotTensor& tensor : tensors) {
    const auto one = view.FindTensor(tensor.name);
    if (!one.ok()) {
      return DataLoss(Reason::kCheckpointBad, absl::StrCat("tensor ", tensor.name, " is missing"));
    }
    CVT_RETURN_IF_ERROR(CheckTensor(*one, tensor.tensor));
    found.push_back(*one);
  }
  if (view.tensor_count() != static_cast<int>(tensors.size())) {
    for (int i = 0; i < view.tensor_count(); ++i) {
      const absl::string_view name = view.tensor(i).name;
      const auto known = [&](const SnapshotTensor& tensor) { return tensor.name == name; };
      if (!std::any_of(tensors.begin(), tensors.end(), known)) {
        return DataLoss(Reason::kCheckpointBad,
                        absl::StrCat("tensor ", name, " is none of this recipe"));
      }
    }
  }

  CVT_RETURN_IF_ERROR(CheckAndCopy(view, found, tensors));
  return view.manifest();
}

absl::Status Unfit(absl::string_view tensor, absl::string_view problem) {
  return InvalidArgument(
      Reason::kRecipeInvalid,
      absl::StrCat(
          "tensor ", tensor, problem,
          "; name its layer in recipe.init_from.except to draw it, or take a checkpoint of "
          "the same model"));
}

absl::Status LoadFrom(const UniqueFd& file, int64_t size_bytes, const std::string& checkpoint,
                      const std::vector<SnapshotTensor>& tensors,
                      const std::set<std::string>& skipped) {
  CVT_ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Open(file, size_bytes));
  CVT_ASSIGN_OR_RETURN(
      const CheckpointView view,
      CheckpointView::Open(mapping.bytes(), checkpoint, formats::CheckpointVerify::kStructure));
  std::set<absl::string_view> wanted;
  std::vector<CheckpointView::Tensor> found;
  for (const SnapshotTensor& tensor : tensors) {
    wanted.insert(tensor.name);
    auto one = view.FindTensor(tensor.name);
    if (!one.ok()) return Unfit(tensor.name, " is missing");
    const auto average = view.FindTensor(absl::StrCat(kAveragePrefix, tensor.name));
    if (average.ok()) one = average;
    if (const absl::Status status = CheckTensor(*one, tensor.tensor); !status.ok()) {
      return Unfit(tensor.name, absl::StrCat(" does not fit: ", status.message()));
    }
    found.push_back(*one);
  }
  for (int i = 0; i < view.tensor_count(); ++i) {
    const CheckpointView::Tensor tensor = view.tensor(i);
    if (tensor.role != storage::v1::Tensor::ROLE_PARAMETER &&
        tensor.role != storage::v1::Tensor::ROLE_BUFFER) {
      continue;
    }
    if (!wanted.contains(tensor.name) && !skipped.contains(std::string(tensor.name))) {
      return Unfit(tensor.name, " is none of this network");
    }
  }
  return CheckAndCopy(view, found, tensors);
}

}  // namespace

absl::StatusOr<CheckpointManifest> Restore(const UniqueFd& file, int64_t size_bytes,
                                           const RestoreExpectation& expected,
                                           const std::vector<SnapshotTensor>& tensors) {
  auto manifest = RestoreFrom(file, size_bytes, expected, tensors);
  if (!manifest.ok()) return Annotate(manifest.status(), "restoring", expected.checkpoint);
  return manifest;
}

absl::Status LoadWeights(const UniqueFd& file, int64_t size_bytes, const std::string& checkpoint,
                         const std::vector<SnapshotTensor>& tensors,
                         const std::set<std::string>& skipped) {
  return Annotate(LoadFrom(file, size_bytes, checkpoint, tensors, skipped),
                  "loading the weights of", checkpoint);
}

}  // namespace cvtrain::trainer
