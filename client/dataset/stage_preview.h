#ifndef CVTRAIN_CLIENT_DATASET_STAGE_PREVIEW_H_
#define CVTRAIN_CLIENT_DATASET_STAGE_PREVIEW_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/dataset/contact_sheet.h"
#include "common/file_system.h"
#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/recipe.pb.h"

namespace cvtrain::client {

struct StagePreviewOptions {
  // Of each size, 1 to 64; a batch that has fewer shows all.
  int pictures = 8;
  // Only this stage, counting from 0; -1: all.
  int stage = -1;
  // Sizes of a stage; of more, the smallest, the largest and those between evenly.
  int sizes_max = 3;
};

// Opens a shard of the version.
using OpenShard =
    std::function<absl::StatusOr<std::unique_ptr<RandomAccessFile>>(const v1::Shard& shard)>;

// The first pictures that each stage of a trial feeds at each of its sizes, pixel by pixel what its
// logical rank 0 decodes: cut, resized, flipped, jittered, with the operations of the policy. What
// is done to tensors (RangeAugment, normalisation, erasing, mixing) is not in them.
//
// `recipe` is resolved, with its search's parameters filled in, and of pictures; `logical_ranks`
// are the experiment's. A size that no step of its stage draws has no row.
//
//   INVALID_ARGUMENT (RECIPE_INVALID)   there is no plan for it, or no such split
//   INVALID_ARGUMENT (FIELD_INVALID)    no such stage
//   DATA_LOSS (SHARD_BAD), INVALID_ARGUMENT (DATA_BAD) and errors of `open`
absl::StatusOr<std::vector<SheetRow>> PreviewStages(const v1::Recipe& recipe,
                                                    const v1::DatasetVersion& version,
                                                    int32_t logical_ranks,
                                                    const StagePreviewOptions& options,
                                                    const OpenShard& open);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_STAGE_PREVIEW_H_
