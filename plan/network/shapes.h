#ifndef CVTRAIN_PLAN_NETWORK_SHAPES_H_
#define CVTRAIN_PLAN_NETWORK_SHAPES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/network/description.h"

namespace cvtrain::plan {

// Shape of one picture inside the network.
struct Shape {
  enum class Layout {
    kImages,  // C x H x W
    kGrid,    // H x W x C
    kTokens,  // (1 + H * W) x C: the class token, then a grid row by row
    kVector,  // C
  };

  int64_t channels = 0;
  int64_t height = 1;
  int64_t width = 1;
  Layout layout = Layout::kImages;

  // Numbers for each channel.
  int64_t Places() const { return height * width + (layout == Layout::kTokens ? 1 : 0); }
  int64_t ElementCount() const { return channels * Places(); }
  friend bool operator==(const Shape&, const Shape&) = default;
};

// Size of an input image, pixels.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
};

// Shape of each layer's output, by index.
//
// Returns INVALID_ARGUMENT (RECIPE_INVALID) if the image is so small that a layer would be empty,
// and INTERNAL if the description contradicts itself (channels that do not match, an edge to a
// later layer).
absl::StatusOr<std::vector<Shape>> InferShapes(const NetworkDescription& network, ImageSize size);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_SHAPES_H_
