#ifndef CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_CHECKPOINT_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_CHECKPOINT_FIXTURES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::formats::testing {

// One tensor of each role, of several types: 7 tensors, some hundred bytes.
std::vector<TensorSpec> SmallTensors();

// All that a manifest says but its tensors.
CheckpointManifest SmallManifest();

// Data of tensor `index`: a function of its arguments.
std::string TensorData(int index, int64_t bytes);

// A complete file with that manifest and data.
std::string MakeCheckpoint(const std::vector<TensorSpec>& tensors = SmallTensors());

// A file whose header, manifest and trailer are right by all of their digests, with whatever
// `manifest` says and `data_bytes` zeros: what a program that lies could write.
std::string ForgeCheckpoint(const CheckpointManifest& manifest, int64_t data_bytes);
// The same with any bytes for a manifest.
std::string ForgeCheckpoint(absl::string_view manifest, int64_t data_bytes);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_CHECKPOINT_FIXTURES_H_
