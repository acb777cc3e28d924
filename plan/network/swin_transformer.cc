#include <array>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "plan/network/family.h"
#include "plan/network/transformer.h"

namespace cvtrain::plan {
namespace {

constexpr int64_t kSwinWidth = 96;
constexpr int64_t kSwinHeadWidth = 32;
constexpr int64_t kSwinPatch = 4;
using SwinDepths = std::array<int, 4>;

SwinDepths DepthsOf(v1::SwinTransformer::Size size) {
  return size == v1::SwinTransformer::SIZE_TINY ? SwinDepths{2, 2, 6, 2} : SwinDepths{2, 2, 18, 2};
}

void WriteSwinDefaults(v1::Model& model) {
  v1::SwinTransformer& own = *model.mutable_swin();
  CVT_DEFAULT(own, window, 7);
  CVT_DEFAULT(own, drop_path, own.size() == v1::SwinTransformer::SIZE_TINY ? 0.2 : 0.3);
}

void CheckSwin(const v1::Model& model, const std::string& path, Rules& rules) {
  const v1::SwinTransformer& own = model.swin();
  if (own.size() == v1::SwinTransformer::SIZE_UNSPECIFIED) {
    rules.Add(path + ".size", "is required: tiny or small");
  }
  if (own.has_window()) rules.InRange(path + ".window", own.window(), Closed(2, 32));
  rules.InRange(path + ".drop_path", own.drop_path(), ProbabilityInterval());
}

void DescribeSwin(const v1::Model& model, GraphBuilder& graph) {
  const v1::SwinTransformer& own = model.swin();
  const SwinDepths depths = DepthsOf(own.size());
  const int all = std::accumulate(depths.begin(), depths.end(), 0);
  int64_t width = kSwinWidth;
  graph.Append("features.0.0", PatchConv(width, kSwinPatch));
  graph.Append("features.0.1", ToGrid{});
  graph.Append("features.0.2", LayerNorm{.channels = width});
  int done = 0;
  for (size_t stage = 0; stage < depths.size(); ++stage) {
    for (int i = 0; i < depths[stage]; ++i) {
      const std::string name = absl::StrCat("features.", 2 * stage + 1, ".", i);
      AppendTransformerBlock({.name = name,
                              .channels = width,
                              .attention = WindowAttention{.channels = width,
                                                           .heads = width / kSwinHeadWidth,
                                                           .window = own.window(),
                                                           .shifted = i % 2 == 1},
                              .hidden_name = name + ".mlp.0",
                              .output_name = name + ".mlp.3",
                              .drop_path = own.drop_path() * done / (all - 1)},
                             graph);
      ++done;
    }
    if (stage + 1 == depths.size()) break;
    const std::string name = absl::StrCat("features.", 2 * stage + 2);
    graph.Append(name + ".merge", MergePatches{});
    graph.Append(name + ".norm", LayerNorm{.channels = 4 * width});
    graph.Append(name + ".reduction", TransformerLinear(4 * width, 2 * width, /*bias=*/false));
    width *= 2;
  }
  graph.Append("norm", LayerNorm{.channels = width});
  graph.Append("avgpool", GridAvgPool{});
  graph.Append("head", TransformerLinear(width, graph.num_classes()));
}

}  // namespace

const Family kSwinTransformer = {
    .member = v1::Model::kSwin,
    .write_defaults = WriteSwinDefaults,
    .check = CheckSwin,
    .describe = DescribeSwin,
};

}  // namespace cvtrain::plan
