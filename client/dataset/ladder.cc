#include "client/dataset/ladder.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"

namespace cvtrain::client {

using formats::ImageInfo;
using formats::ImageKind;
using formats::PictureSize;
using formats::SourceFormat;

namespace {

// A small picture with a large file is mostly metadata, which every trial would read again.
constexpr size_t kKeptFileBytesMax = size_t{1} << 20;

PictureSize Upright(const ImageInfo& info) {
  if (info.orientation >= 5) return {info.height, info.width};
  return {info.width, info.height};
}

SourceFormat FormatOf(ImageKind kind) {
  switch (kind) {
    case ImageKind::kJpeg:
      return SourceFormat::kJpeg;
    case ImageKind::kPng:
      return SourceFormat::kPng;
    default:
      return SourceFormat::kOther;
  }
}

// Short side up to which a picture has Huffman tables of its own. On 60 photos of ImageNet at
// quality 90 they save 9 % of the bytes at 72 pixels, 4 % at 144 and 500, and take as long again as
// all the rest.
constexpr int kOwnTablesSideMax = 112;

}  // namespace

LadderMaker::LadderMaker(formats::LadderOptions options, const formats::ImageLimits& limits)
    : options_(std::move(options)), pictures_(limits), jpeg_(limits) {}

absl::Status LadderMaker::DecodeUpright(absl::string_view file, const ImageInfo& info) {
  if (info.kind != ImageKind::kJpeg) return pictures_.Decode(file, &picture_);
  formats::JpegDecodeOptions options;
  const int shorter = std::min(info.width, info.height);
  while (options.scale_denominator < 8 &&
         shorter / (options.scale_denominator * 2) >= 2 * options_.source_side) {
    options.scale_denominator *= 2;
  }
  CVT_RETURN_IF_ERROR(jpeg_.Decode(file, options, &picture_));
  formats::ApplyOrientation(info.orientation, &picture_);
  return absl::OkStatus();
}

bool LadderMaker::KeepsFile(absl::string_view file, const ImageInfo& info) const {
  return info.kind == ImageKind::kJpeg && !info.progressive && info.orientation == 1 &&
         info.channels <= 3 && std::min(info.width, info.height) <= options_.source_side &&
         file.size() <= kKeptFileBytesMax;
}

absl::StatusOr<Ladder> LadderMaker::Make(absl::string_view file) {
  CVT_ASSIGN_OR_RETURN(const ImageInfo info, pictures_.ReadInfo(file));
  CVT_RETURN_IF_ERROR(DecodeUpright(file, info));
  const PictureSize original = Upright(info);
  const PictureSize capped = formats::ShrinkToShortSide(original, options_.source_side);
  Shrink(capped);

  Ladder ladder;
  if (options_.keep_originals) {
    ladder.size = original;
    ladder.source = std::string(file);
    ladder.source_orientation = info.orientation;
    ladder.source_format = FormatOf(info.kind);
  } else {
    ladder.size = capped;
    if (KeepsFile(file, info)) {
      ladder.source = std::string(file);
    } else {
      CVT_ASSIGN_OR_RETURN(ladder.source, Encode());
    }
  }
  // From the largest down, each from the one above: an average of averages is the average.
  ladder.rungs.resize(options_.rungs.size());
  for (size_t i = options_.rungs.size(); i-- > 0;) {
    const int side = options_.rungs[i];
    if (std::min(ladder.size.width, ladder.size.height) <= side) continue;
    Shrink(formats::ShrinkToShortSide(ladder.size, side));
    CVT_ASSIGN_OR_RETURN(ladder.rungs[i], Encode());
  }
  return ladder;
}

absl::StatusOr<std::string> LadderMaker::Encode() const {
  const bool small = std::min(picture_.width, picture_.height) <= kOwnTablesSideMax;
  return formats::EncodeJpeg(picture_, {.quality = options_.jpeg_quality, .optimize = small});
}

void LadderMaker::Shrink(PictureSize size) {
  if (picture_.width == size.width && picture_.height == size.height) return;
  smaller_.Resize(size.width, size.height);
  resizer_.Area(picture_, {.width = size.width, .height = size.height}, smaller_.pixels.data());
  std::swap(picture_, smaller_);
}

std::string SkipCause(absl::string_view file, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return "too_large";
    case absl::StatusCode::kInvalidArgument:
      if (file.empty()) return "empty";
      return formats::SniffImageKind(file) == ImageKind::kUnknown ? "not_an_image" : "damaged";
    default:
      return "unreadable";
  }
}

}  // namespace cvtrain::client
