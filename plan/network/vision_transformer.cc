#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/transformer.h"

namespace cvtrain::plan {
namespace {

constexpr double kVitEpsilon = 1e-6;
constexpr int64_t kHeadWidth = 64;
constexpr int kImageSideMax = 4096;

int64_t VitWidth(v1::VisionTransformer::Size size) {
  switch (size) {
    case v1::VisionTransformer::SIZE_TINY:
      return 192;
    case v1::VisionTransformer::SIZE_SMALL:
      return 384;
    default:
      return 768;
  }
}

void WriteVitDefaults(v1::Model& model) {
  v1::VisionTransformer& own = *model.mutable_vit();
  CVT_DEFAULT(own, depth, 12);
  CVT_DEFAULT(own, patch, 16);
  CVT_DEFAULT(own, image, 224);
  CVT_DEFAULT(own, drop_path, 0);
}

void CheckVit(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::VisionTransformer& own = model.vit();
  if (own.size() == v1::VisionTransformer::SIZE_UNSPECIFIED) {
    rules.Add(path + ".size", "is required: tiny, small or base");
  }
  if (own.has_depth()) rules.InRange(path + ".depth", own.depth(), Closed(1, 64));
  if (own.has_patch()) rules.InRange(path + ".patch", own.patch(), Closed(1, 64));
  const int patch = own.has_patch() ? own.patch() : 16;
  if (own.has_image() &&
      (own.image() < 1 || own.image() > kImageSideMax || patch < 1 || own.image() % patch != 0)) {
    rules.Add(path + ".image",
              absl::StrCat("must be a multiple of the patch, ", patch, ", up to ", kImageSideMax),
              absl::StrCat(own.image()));
  }
  rules.InRange(path + ".drop_path", own.drop_path(), ProbabilityInterval());
}

void DescribeVit(const v1::Model& model, GraphBuilder& graph) {
  const v1::VisionTransformer& own = model.vit();
  const int64_t width = VitWidth(own.size());
  const int64_t side = own.image() / own.patch();
  graph.Append("patch_embed.proj", PatchConv(width, own.patch()));
  graph.Append("embed", EmbedTokens{.channels = width, .grid_height = side, .grid_width = side});
  for (int i = 0; i < own.depth(); ++i) {
    const std::string name = absl::StrCat("blocks.", i);
    AppendTransformerBlock(
        {.name = name,
         .channels = width,
         .attention = SelfAttention{.channels = width, .heads = width / kHeadWidth},
         .epsilon = kVitEpsilon,
         .hidden_name = name + ".mlp.fc1",
         .output_name = name + ".mlp.fc2",
         .drop_path = own.depth() == 1 ? 0 : own.drop_path() * i / (own.depth() - 1)},
        graph);
  }
  // Of the class token only: a norm sees each token by itself.
  graph.Append("class_token", ClassToken{});
  graph.Append("norm", LayerNorm{.channels = width, .epsilon = kVitEpsilon});
  graph.Append("head", TransformerLinear(width, graph.num_classes()));
}

}  // namespace

const Family kVisionTransformer = {
    .member = v1::Model::kVit,
    .write_defaults = WriteVitDefaults,
    .check = CheckVit,
    .describe = DescribeVit,
};

}  // namespace cvtrain::plan
