#ifndef CVTRAIN_WORKER_TRAINER_MODEL_ATTENTION_H_
#define CVTRAIN_WORKER_TRAINER_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include "plan/network/description.h"

namespace cvtrain::trainer {

// The layers of transformers. Functions of their arguments; throw c10::Error; thread-safe.

// `qkv`: 3C x C and 3C, queries first, then keys, then values, each head by head. `proj`: C x C
// and C.
struct Projections {
  const at::Tensor& qkv_weight;
  const at::Tensor& qkv_bias;
  const at::Tensor& proj_weight;
  const at::Tensor& proj_bias;
};

// B x N x C to the same.
at::Tensor SelfAttention(const at::Tensor& tokens, const plan::SelfAttention& op,
                         const Projections& projections);

// B x H x W x C to the same. `bias_table`: (2 w - 1)^2 x heads, for windows of side w; `index`:
// w^4, which row is that of each pair of places.
at::Tensor WindowAttention(const at::Tensor& grid, const plan::WindowAttention& op,
                           const at::Tensor& bias_table, const at::Tensor& index,
                           const Projections& projections);

// The `index` of WindowAttention(), int64.
at::Tensor OffsetsOfPairs(int64_t window);

// B x C x H x W to B x (1 + H W) x C. `class_token`: 1 x 1 x C; `positions`: 1 x (1 + h w) x C for
// the h x w of `op`, resampled bicubically with antialiasing where H x W differs, as timm does it.
at::Tensor EmbedTokens(const at::Tensor& images, const plan::EmbedTokens& op,
                       const at::Tensor& class_token, const at::Tensor& positions);

// B x H x W x C to B x ceil(H/2) x ceil(W/2) x 4C.
at::Tensor MergePatches(const at::Tensor& grid);

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_MODEL_ATTENTION_H_
