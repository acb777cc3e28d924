#include "tests/unit/formats/checkpoint/checkpoint_fixtures.h"

#include <cstring>

#include "common/crc32c.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint_header.h"

namespace cvtrain::formats::testing {

using storage::v1::Tensor;

std::vector<TensorSpec> SmallTensors() {
  return {
      {"conv1.weight", Tensor::DATA_TYPE_F32, {4, 3, 3, 1}, Tensor::ROLE_PARAMETER},
      {"bn1.weight", Tensor::DATA_TYPE_F32, {4}, Tensor::ROLE_PARAMETER},
      {"bn1.running_mean", Tensor::DATA_TYPE_F32, {4}, Tensor::ROLE_BUFFER},
      {"bn1.num_batches_tracked", Tensor::DATA_TYPE_I64, {}, Tensor::ROLE_BUFFER},
      {"fc.weight", Tensor::DATA_TYPE_BF16, {5, 3}, Tensor::ROLE_PARAMETER},
      {"momentum/conv1.weight", Tensor::DATA_TYPE_F32, {4, 3, 3, 1}, Tensor::ROLE_OPTIMIZER_STATE},
      {"range/brightness", Tensor::DATA_TYPE_F64, {2}, Tensor::ROLE_AUGMENTATION},
  };
}

CheckpointManifest SmallManifest() {
  CheckpointManifest manifest;
  manifest.set_checkpoint("checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11");
  manifest.set_trial("experiments/12/trials/3");
  manifest.set_attempt("experiments/12/trials/3/attempts/2");
  manifest.set_step(1234);
  manifest.set_epoch(5);
  manifest.set_step_in_epoch(34);
  manifest.set_stage(1);
  manifest.set_samples(39'488);
  manifest.set_flops(1.5e15);
  manifest.set_plan_version(1);
  manifest.set_seed(7);
  manifest.set_logical_ranks(2);
  manifest.set_recipe_digest(std::string(64, 'a'));
  manifest.set_dataset_digest(std::string(64, 'b'));
  manifest.set_program_version("0.1.0");
  storage::v1::NamedState& state = *manifest.add_states();
  state.set_name("meter");
  state.set_value("some bytes");
  return manifest;
}

std::string TensorData(int index, int64_t bytes) {
  KeyedStream stream("checkpoint-fixture/v1", {static_cast<uint64_t>(index)});
  std::string data(static_cast<size_t>(bytes), '\0');
  for (char& byte : data) byte = static_cast<char>(stream.NextU32());
  return data;
}

std::string MakeCheckpoint(const std::vector<TensorSpec>& tensors) {
  const absl::StatusOr<CheckpointLayout> layout = CheckpointLayout::Plan(tensors, 1024);
  CVT_CHECK_OK(layout.status());
  std::string file(static_cast<size_t>(layout->file_bytes()), 'x');
  CVT_CHECK_OK(layout->WriteHeaderAndManifest(SmallManifest(), absl::MakeSpan(file)));
  for (int i = 0; i < layout->tensor_count(); ++i) {
    const std::string data = TensorData(i, layout->tensor_bytes(i));
    std::memcpy(file.data() + layout->tensor_offset(i), data.data(), data.size());
  }
  CVT_CHECK_OK(FinishTrailer(absl::MakeSpan(file)).status());
  return file;
}

std::string ForgeCheckpoint(const CheckpointManifest& manifest, int64_t data_bytes) {
  return ForgeCheckpoint(absl::string_view(manifest.SerializeAsString()), data_bytes);
}

std::string ForgeCheckpoint(absl::string_view manifest, int64_t data_bytes) {
  internal::CheckpointHeader header;
  header.manifest_bytes = static_cast<int64_t>(manifest.size());
  header.manifest_crc32c = Crc32c(manifest);
  header.data_offset =
      internal::AlignUp(kCheckpointHeaderBytes + header.manifest_bytes, kCheckpointDataAlignment);
  header.data_bytes = data_bytes;
  header.file_bytes = header.ExpectedFileBytes();
  std::string file = internal::SerializeHeader(header);
  file.append(manifest.data(), manifest.size());
  file.resize(static_cast<size_t>(header.file_bytes));
  CVT_CHECK_OK(FinishTrailer(absl::MakeSpan(file)).status());
  return file;
}

}  // namespace cvtrain::formats::testing
