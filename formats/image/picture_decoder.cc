#include "formats/image/picture_decoder.h"

#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/png.h"
#include "formats/image/tiff.h"
#include "formats/image/webp.h"

namespace cvtrain::formats {

PictureDecoder::PictureDecoder(const ImageLimits& limits) : limits_(limits), jpeg_(limits) {}

absl::StatusOr<ImageInfo> PictureDecoder::ReadInfo(absl::string_view bytes) {
  if (bytes.empty()) return InvalidArgument(Reason::kDataBad, "image: the file is empty");
  switch (SniffImageKind(bytes)) {
    case ImageKind::kJpeg:
      return jpeg_.ReadInfo(bytes);
    case ImageKind::kPng:
      return ReadPngInfo(bytes, limits_);
    case ImageKind::kTiff:
      return ReadTiffInfo(bytes, limits_);
    case ImageKind::kWebp:
      return ReadWebpInfo(bytes, limits_);
    case ImageKind::kUnknown:
      break;
  }
  return InvalidArgument(Reason::kDataBad, "image: neither JPEG, PNG, TIFF nor WebP");
}

absl::Status PictureDecoder::Decode(absl::string_view bytes, Image* out) {
  CVT_ASSIGN_OR_RETURN(const ImageInfo info, ReadInfo(bytes));
  switch (info.kind) {
    case ImageKind::kJpeg:
      CVT_RETURN_IF_ERROR(jpeg_.Decode(bytes, {}, out));
      break;
    case ImageKind::kPng:
      CVT_RETURN_IF_ERROR(DecodePng(bytes, limits_, out));
      break;
    case ImageKind::kTiff:
      CVT_RETURN_IF_ERROR(DecodeTiff(bytes, limits_, out));
      break;
    case ImageKind::kWebp:
      CVT_RETURN_IF_ERROR(DecodeWebp(bytes, limits_, out));
      break;
    case ImageKind::kUnknown:
      return Internal(Reason::kInternal, "image: a kind without a decoder");
  }
  ApplyOrientation(info.orientation, out);
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
