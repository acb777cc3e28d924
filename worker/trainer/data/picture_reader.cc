#include "worker/trainer/data/picture_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/png.h"

namespace cvtrain::trainer {
namespace {

using formats::Image;
using formats::ImageView;
using formats::Rect;

// The crop in pixels of a rung: scaled, rounded, at least one pixel, inside.
Rect ToRung(const CropRect& crop, formats::PictureSize source, formats::PictureSize rung) {
  const double sx = static_cast<double>(rung.width) / source.width;
  const double sy = static_cast<double>(rung.height) / source.height;
  const auto clamp = [](double value, int low, int high) {
    return std::clamp(static_cast<int>(std::lround(value)), low, high);
  };
  Rect rect;
  rect.x = clamp(crop.x * sx, 0, rung.width - 1);
  rect.y = clamp(crop.y * sy, 0, rung.height - 1);
  rect.width = clamp((crop.x + crop.width) * sx, rect.x + 1, rung.width) - rect.x;
  rect.height = clamp((crop.y + crop.height) * sy, rect.y + 1, rung.height) - rect.y;
  return rect;
}

// The largest of 1, 2, 4, 8 at which the crop is still at least as large as wanted.
int ScaleDenominator(const Rect& crop, const PictureTarget& target) {
  int denominator = 1;
  while (denominator < 8 && crop.width >= target.width * denominator * 2 &&
         crop.height >= target.height * denominator * 2) {
    denominator *= 2;
  }
  return denominator;
}

// A crop of the picture in pixels of the picture at 1/denominator.
Rect AtScale(const Rect& crop, int denominator) {
  const int x = crop.x / denominator;
  const int y = crop.y / denominator;
  return {.x = x,
          .y = y,
          .width = std::max(1, (crop.x + crop.width) / denominator - x),
          .height = std::max(1, (crop.y + crop.height) / denominator - y)};
}

ImageView Cut(const Image& image, const Rect& rect) {
  const int64_t stride = int64_t{3} * image.width;
  return {image.pixels.data() + rect.y * stride + int64_t{3} * rect.x, rect.width, rect.height,
          stride};
}

void CopyRows(const Image& image, bool flip, absl::Span<uint8_t> pixels) {
  if (!flip) {
    std::memcpy(pixels.data(), image.pixels.data(), pixels.size());
    return;
  }
  const size_t width = static_cast<size_t>(image.width);
  for (size_t row = 0; row < static_cast<size_t>(image.height); ++row) {
    const uint8_t* from = image.pixels.data() + row * width * 3;
    uint8_t* to = pixels.data() + row * width * 3;
    for (size_t x = 0; x < width; ++x) std::memcpy(to + x * 3, from + (width - 1 - x) * 3, 3);
  }
}

}  // namespace

absl::Status PictureReader::Read(formats::ShardReader& shard, int64_t record,
                                 const PictureTarget& target, absl::Span<uint8_t> pixels) {
  CVT_CHECK(pixels.size() ==
            static_cast<size_t>(target.width) * static_cast<size_t>(target.height) * 3);
  const formats::ShardRecord facts = shard.record(record);
  const std::vector<int>& rungs = shard.info().rungs;
  const int rung = formats::PickRung(facts, rungs,
                                     {.crop_width = target.crop.width,
                                      .crop_height = target.crop.height,
                                      .target_width = target.width,
                                      .target_height = target.height});
  CVT_ASSIGN_OR_RETURN(const absl::string_view bytes, shard.Read(record, rung, &scratch_));
  const Rect crop = ToRung(target.crop, facts.source, formats::RungSize(facts, rungs, rung));
  const bool is_source = rung == static_cast<int>(rungs.size());
  if (is_source &&
      (facts.source_format != formats::SourceFormat::kJpeg || facts.source_orientation != 1)) {
    CVT_RETURN_IF_ERROR(DecodeWhole(bytes, facts.source_orientation));
    if (crop.x + crop.width > decoded_.width || crop.y + crop.height > decoded_.height) {
      return InvalidArgument(Reason::kDataBad, "the picture is smaller than its shard says");
    }
    formats::ResizeArea(Cut(decoded_, crop), target.width, target.height, &resized_);
  } else {
    CVT_RETURN_IF_ERROR(DecodeCrop(bytes, crop, target));
  }
  CopyRows(resized_, target.flip, pixels);
  return absl::OkStatus();
}

absl::Status PictureReader::DecodeCrop(absl::string_view bytes, const Rect& crop,
                                       const PictureTarget& target) {
  const int denominator = ScaleDenominator(crop, target);
  CVT_RETURN_IF_ERROR(decoder_.Decode(
      bytes, {.scale_denominator = denominator, .crop = AtScale(crop, denominator), .fast = true},
      &decoded_));
  formats::ResizeArea(decoded_, target.width, target.height, &resized_);
  return absl::OkStatus();
}

absl::Status PictureReader::DecodeWhole(absl::string_view bytes, int orientation) {
  switch (formats::SniffImageKind(bytes)) {
    case formats::ImageKind::kJpeg:
      CVT_RETURN_IF_ERROR(decoder_.Decode(bytes, {.fast = true}, &decoded_));
      break;
    case formats::ImageKind::kPng:
      CVT_RETURN_IF_ERROR(formats::DecodePng(bytes, {}, &decoded_));
      break;
    default:
      return InvalidArgument(Reason::kDataBad, "the source is no picture that can be decoded");
  }
  formats::ApplyOrientation(orientation, &decoded_);
  return absl::OkStatus();
}

}  // namespace cvtrain::trainer
