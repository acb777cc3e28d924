#ifndef CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_BAD_CHECKPOINTS_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_BAD_CHECKPOINTS_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain::formats::testing {

// `name` says what was done.
using BadCheckpointVisitor = std::function<void(const std::string& name, absl::string_view bytes)>;

// Calls `visit` with damaged and lying checkpoints, one after the other: bytes turned in header,
// manifest, data and trailer, cut, grown, blocks swapped, two files mixed; and headers and
// manifests with other values under right digests. None is the good one, and no two have one name.
// A function of the fixtures.
void ForEachBadCheckpoint(const BadCheckpointVisitor& visit);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_CHECKPOINT_BAD_CHECKPOINTS_H_
