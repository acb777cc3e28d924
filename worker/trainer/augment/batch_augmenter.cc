#include "worker/trainer/augment/batch_augmenter.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/trainer/augment/normal_numbers.h"

namespace cvtrain::trainer {
namespace {

using plan::BatchMix;
using plan::PixelBox;

plan::PixelSize SizeOf(const at::Tensor& images) {
  return {.width = static_cast<int>(images.size(3)), .height = static_cast<int>(images.size(2))};
}

at::Tensor IndicesOf(const std::vector<int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

// The part of every picture that lies in `box`: a view.
at::Tensor Cut(const at::Tensor& images, const PixelBox& box) {
  return images.narrow(2, box.y, box.height).narrow(3, box.x, box.width);
}

// Pictures of a batch with a box each.
struct Boxes {
  std::vector<int64_t> chosen;                    // positions in the batch
  std::vector<int64_t> left, top, right, bottom;  // right and bottom are outside
};

// B' x 1 x H x W: true inside of each picture's box.
at::Tensor MaskOf(const Boxes& boxes, const at::Tensor& images) {
  const auto options = at::TensorOptions(at::kLong).device(images.device());
  const at::Tensor x = at::arange(images.size(3), options).view({1, 1, 1, -1});
  const at::Tensor y = at::arange(images.size(2), options).view({1, 1, -1, 1});
  const auto column = [&](const std::vector<int64_t>& values) {
    return IndicesOf(values, images).view({-1, 1, 1, 1});
  };
  const at::Tensor across = x.ge(column(boxes.left)).logical_and(x.lt(column(boxes.right)));
  const at::Tensor down = y.ge(column(boxes.top)).logical_and(y.lt(column(boxes.bottom)));
  return across.logical_and(down);
}

}  // namespace

BatchAugmenter::Output BatchAugmenter::Apply(const at::Tensor& images, const at::Tensor& labels,
                                             const plan::RankStepKey& key) const {
  Output output = {.images = images, .targets = labels};
  if (spec_.has_random_erasing()) output.images = Erase(images, key);
  const BatchMix mix = plan::DrawMix(spec_, images.size(0), SizeOf(images), key);
  if (mix.kind == BatchMix::Kind::kNone) return output;
  const at::Tensor partners = IndicesOf(mix.partners, images);
  output.images = MixImages(output.images, mix, partners);
  output.targets = MixLabels(labels, mix.own, partners);
  return output;
}

at::Tensor BatchAugmenter::Erase(const at::Tensor& images, const plan::RankStepKey& key) const {
  Boxes boxes;
  for (int64_t i = 0; i < images.size(0); ++i) {
    const plan::SampleKey sample = {.step = key, .position = static_cast<int32_t>(i)};
    const std::optional<PixelBox> box =
        plan::DrawErasing(spec_.random_erasing(), SizeOf(images), plan::ErasingStream(sample));
    if (!box.has_value()) continue;
    boxes.chosen.push_back(i);
    boxes.left.push_back(box->x);
    boxes.top.push_back(box->y);
    boxes.right.push_back(box->x + box->width);
    boxes.bottom.push_back(box->y + box->height);
  }
  if (boxes.chosen.empty()) return images;
  const at::Tensor index = IndicesOf(boxes.chosen, images);
  const at::Tensor before = images.index_select(0, index);
  const at::Tensor mask = MaskOf(boxes, images);
  // index_copy() alone would not keep the memory format.
  at::Tensor erased = images.clone();
  if (!spec_.random_erasing().noise()) {
    return erased.index_copy_(0, index, before.masked_fill(mask, 0));
  }
  const at::Tensor noise =
      NormalNumbers(before.sizes(), boxes.chosen, key, plan::ErasingNoiseStream)
          .to(images.device());
  return erased.index_copy_(0, index, at::where(mask, noise, before));
}

at::Tensor BatchAugmenter::MixImages(const at::Tensor& images, const BatchMix& mix,
                                     const at::Tensor& partners) const {
  if (mix.kind == BatchMix::Kind::kMixUp) {
    return images * mix.own + images.index_select(0, partners) * (1 - mix.own);
  }
  if (mix.box.area() == 0) return images;
  at::Tensor mixed = images.clone();
  Cut(mixed, mix.box).copy_(Cut(images, mix.box).index_select(0, partners));
  return mixed;
}

at::Tensor BatchAugmenter::MixLabels(const at::Tensor& labels, double own,
                                     const at::Tensor& partners) const {
  const at::Tensor column = labels.unsqueeze(1);
  const auto share = [&](double value) {
    return at::full({labels.size(0), 1}, value,
                    at::TensorOptions(at::kFloat).device(labels.device()));
  };
  return at::zeros({labels.size(0), classes_},
                   at::TensorOptions(at::kFloat).device(labels.device()))
      .scatter_add_(1, column, share(own))
      .scatter_add_(1, column.index_select(0, partners), share(1 - own));
}

}  // namespace cvtrain::trainer
