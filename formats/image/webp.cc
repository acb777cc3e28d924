// The only file that calls libwebp. It reports errors by its answers, and prints nothing.

#include "formats/image/webp.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <climits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/exif.h"

namespace cvtrain::formats {
namespace {

absl::Status BadWebp(absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, absl::StrCat("image: bad WebP: ", problem));
}

const uint8_t* Data(absl::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

struct Deleter {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, Deleter>;

// Points into `bytes`.
absl::StatusOr<Demuxer> Open(absl::string_view bytes, const ImageLimits& limits) {
  if (SniffImageKind(bytes) != ImageKind::kWebp) {
    return InvalidArgument(Reason::kDataBad, "image: not a WebP file");
  }
  // Of the whole file, before its frames are listed.
  CVT_RETURN_IF_ERROR(CheckImageLimits({}, static_cast<int64_t>(bytes.size()), limits));
  const WebPData data = {Data(bytes), bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  Demuxer demuxer(WebPDemuxPartial(&data, &state));
  if (demuxer == nullptr || state != WEBP_DEMUX_DONE) {
    const bool truncated = state >= WEBP_DEMUX_PARSING_HEADER;
    return BadWebp(truncated ? "the file is truncated" : "its chunks do not fit together");
  }
  return demuxer;
}

int ReadOrientation(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk;
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0) {
    orientation = OrientationOfExif(
        absl::string_view(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size));
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

absl::StatusOr<ImageInfo> ReadInfo(const WebPDemuxer* demuxer, int64_t file_bytes,
                                   const ImageLimits& limits) {
  const uint32_t flags = WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS);
  ImageInfo info;
  info.kind = ImageKind::kWebp;
  info.width =
      static_cast<int>(std::min<uint32_t>(WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH), INT_MAX));
  info.height =
      static_cast<int>(std::min<uint32_t>(WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT), INT_MAX));
  info.channels = (flags & ALPHA_FLAG) != 0 ? 4 : 3;
  info.orientation = ReadOrientation(demuxer);
  CVT_RETURN_IF_ERROR(CheckImageLimits(info, file_bytes, limits));
  return info;
}

// Decodes the frame into its place of `out`, whose size is the canvas's.
absl::Status DecodeFrame(const WebPIterator& frame, const ImageLimits& limits, Image* out) {
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.width < 1 || frame.height < 1 ||
      frame.width > out->width - frame.x_offset || frame.height > out->height - frame.y_offset) {
    return BadWebp("its first frame lies outside the canvas");
  }
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0)
    return BadWebp("another version of libwebp is installed");
  const WebPData& data = frame.fragment;
  if (WebPGetFeatures(data.bytes, data.size, &config.input) != VP8_STATUS_OK ||
      config.input.width != frame.width || config.input.height != frame.height) {
    return BadWebp("the header of its first frame is damaged");
  }
  const int64_t work_bytes = int64_t{4} * frame.width * frame.height;
  constexpr int kLossless = 2;
  if (config.input.format == kLossless && work_bytes > limits.work_bytes_max) {
    return LimitExceeded("work_bytes_max",
                         absl::StrCat("image: the WebP needs ", work_bytes,
                                      " bytes to be decoded, at most ", limits.work_bytes_max));
  }
  const int64_t stride = int64_t{3} * out->width;
  const int64_t begin = frame.y_offset * stride + int64_t{3} * frame.x_offset;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out->pixels.data() + begin;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = out->pixels.size() - static_cast<size_t>(begin);
  const VP8StatusCode code = WebPDecode(data.bytes, data.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (code == VP8_STATUS_OK) return absl::OkStatus();
  if (code == VP8_STATUS_OUT_OF_MEMORY) {
    return LimitExceeded("work_bytes_max", "image: no memory to decode the WebP");
  }
  const bool truncated = code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED;
  return BadWebp(truncated ? "its data ends too early" : "its data is damaged");
}

}  // namespace

absl::StatusOr<ImageInfo> ReadWebpInfo(absl::string_view bytes, const ImageLimits& limits) {
  CVT_ASSIGN_OR_RETURN(const Demuxer demuxer, Open(bytes, limits));
  return ReadInfo(demuxer.get(), static_cast<int64_t>(bytes.size()), limits);
}

absl::Status DecodeWebp(absl::string_view bytes, const ImageLimits& limits, Image* out) {
  CVT_ASSIGN_OR_RETURN(const Demuxer demuxer, Open(bytes, limits));
  CVT_ASSIGN_OR_RETURN(const ImageInfo info,
                       ReadInfo(demuxer.get(), static_cast<int64_t>(bytes.size()), limits));
  WebPIterator frame;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) return BadWebp("it has no frame");
  out->Resize(info.width, info.height);
  if (frame.width != info.width || frame.height != info.height) {
    std::fill(out->pixels.begin(), out->pixels.end(), uint8_t{0});
  }
  const absl::Status status = DecodeFrame(frame, limits, out);
  WebPDemuxReleaseIterator(&frame);
  return status;
}

}  // namespace cvtrain::formats
