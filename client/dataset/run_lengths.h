#ifndef CVTRAIN_CLIENT_DATASET_RUN_LENGTHS_H_
#define CVTRAIN_CLIENT_DATASET_RUN_LENGTHS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cvtrain/storage/v1/annotation.pb.h"

namespace cvtrain::client {

// A mask in memory: column by column from the upper left, 1 where it is.
struct Bitmap {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;

  uint8_t at(int x, int y) const {
    return pixels[static_cast<size_t>(x) * static_cast<size_t>(height) + static_cast<size_t>(y)];
  }
};

// The lengths that a text of COCO stands for: base 32 with a sign, six bits a character from '0',
// each from the third on as the difference to the one two before (pycocotools, maskApi.c).
// INVALID_ARGUMENT (DATA_BAD) if it is none, or they are more than `pixels`.
absl::StatusOr<std::vector<uint32_t>> ParseCocoRuns(absl::string_view text, uint64_t pixels);

// `runs` must add up to its size.
Bitmap Unpack(const storage::v1::RunLengths& runs);
storage::v1::RunLengths Pack(const Bitmap& bitmap);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_RUN_LENGTHS_H_
