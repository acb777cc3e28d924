#include "formats/ladder/picture_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::formats {
namespace {

// Parts of a pixel to which a crop is known in a rung; enough to be seen nowhere.
constexpr int64_t kUnit = 256;

// One side of a crop in pixels of a rung: inside, at least a pixel long.
Resizer::Span ToRung(double from, double length, double scale, int pixels) {
  const int64_t end = pixels * kUnit;
  const auto round = [&](double value, int64_t low, int64_t high) {
    return std::clamp<int64_t>(std::llround(value * scale * static_cast<double>(kUnit)), low, high);
  };
  Resizer::Span side = {.unit = kUnit};
  side.from = round(from, 0, end - kUnit);
  side.length = round(from + length, side.from + kUnit, end) - side.from;
  return side;
}

ImageView Part(const Image& image, const Rect& rect) {
  const int64_t stride = int64_t{3} * image.width;
  return {image.pixels.data() + rect.y * stride + int64_t{3} * rect.x, rect.width, rect.height,
          stride};
}

}  // namespace

int PictureReader::SectionOf(const ShardRecord& record, const std::vector<int>& rungs,
                             const PictureTarget& target) {
  return PickRung(record, rungs,
                  {.crop_width = target.crop.width,
                   .crop_height = target.crop.height,
                   .target_width = target.width,
                   .target_height = target.height});
}

PictureReader::Cut PictureReader::CutOf(const ShardReader& shard, int64_t record,
                                        const PictureTarget& target) {
  const ShardRecord facts = shard.record(record);
  const std::vector<int>& rungs = shard.info().rungs;
  const int rung = SectionOf(facts, rungs, target);
  const PictureSize size = RungSize(facts, rungs, rung);
  Cut cut;
  if (rung == static_cast<int>(rungs.size())) {
    cut.is_jpeg = facts.source_format == SourceFormat::kJpeg && facts.source_orientation == 1;
  }
  cut.crop =
      PlanScaledCrop(ToRung(target.crop.x, target.crop.width,
                            static_cast<double>(size.width) / facts.source.width, size.width),
                     ToRung(target.crop.y, target.crop.height,
                            static_cast<double>(size.height) / facts.source.height, size.height),
                     target.width, target.height, /*denominator_max=*/cut.is_jpeg ? 8 : 1);
  const int denominator = cut.crop.scale_denominator;
  cut.key = {.shard = &shard, .record = record, .rung = rung, .scale_denominator = denominator};
  cut.width = ScaledSide(size.width, denominator);
  cut.height = ScaledSide(size.height, denominator);
  return cut;
}

absl::Status PictureReader::Read(ShardReader& shard, int64_t record, const PictureTarget& target,
                                 absl::Span<uint8_t> pixels) {
  CVT_RETURN_IF_ERROR(Find(shard, record, target));
  return Decode(pixels);
}

absl::Status PictureReader::Find(ShardReader& shard, int64_t record, const PictureTarget& target) {
  target_ = target;
  cut_ = CutOf(shard, record, target);
  whole_ = cache_ != nullptr ? cache_->Find(cut_.key) : nullptr;
  if (whole_ != nullptr) return absl::OkStatus();
  CVT_ASSIGN_OR_RETURN(bytes_, shard.Read(record, cut_.key.rung, &scratch_));
  return absl::OkStatus();
}

absl::Status PictureReader::Decode(absl::Span<uint8_t> pixels) {
  CVT_CHECK(pixels.size() ==
            static_cast<size_t>(target_.width) * static_cast<size_t>(target_.height) * 3);
  CVT_ASSIGN_OR_RETURN(const ImageView cut, DecodeCut());
  resizer_.AreaOf(cut, cut_.crop.x, cut_.crop.y,
                  {.width = target_.width, .height = target_.height, .mirror = target_.flip},
                  pixels.data());
  return absl::OkStatus();
}

absl::StatusOr<ImageView> PictureReader::DecodeCut() {
  if (whole_ == nullptr) DecodeForCache();
  if (whole_ != nullptr) return Part(*whole_, cut_.crop.rect);
  if (!cut_.is_jpeg) {
    CVT_RETURN_IF_ERROR(DecodeWhole(&decoded_));
    return Part(decoded_, cut_.crop.rect);
  }
  CVT_RETURN_IF_ERROR(decoder_.Decode(
      bytes_,
      {.scale_denominator = cut_.key.scale_denominator, .crop = cut_.crop.rect, .fast = true},
      &decoded_));
  return ImageView(decoded_);
}

absl::Status PictureReader::DecodeWhole(Image* out) {
  if (cut_.is_jpeg) {
    CVT_RETURN_IF_ERROR(decoder_.Decode(
        bytes_, {.scale_denominator = cut_.key.scale_denominator, .fast = true}, out));
  } else {
    CVT_RETURN_IF_ERROR(originals_.Decode(bytes_, out));
  }
  if (out->width != cut_.width || out->height != cut_.height) {
    return InvalidArgument(Reason::kDataBad, "the picture is not of the size that its shard says");
  }
  return absl::OkStatus();
}

void PictureReader::DecodeForCache() {
  const int64_t size = int64_t{3} * cut_.width * cut_.height;
  if (cache_ == nullptr || !cache_->Reserve(size)) return;
  auto image = std::make_shared<Image>();
  // Damage outside the cut is none of this picture's business: whether a sample is bad must not
  // depend on the room in the cache. What is wrong with the cut, its own decoding will say.
  if (!DecodeWhole(image.get()).ok()) {
    cache_->Release(size);
    return;
  }
  cache_->Insert(cut_.key, image, size);
  whole_ = std::move(image);
}

}  // namespace cvtrain::formats
