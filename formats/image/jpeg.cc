// The only file that calls libjpeg. The library reports an error by calling error_exit, which must
// not return: ours jumps back to Guard(). What runs inside a Guard() therefore creates nothing with
// a destructor; everything that owns memory is made before it.

#include "formats/image/jpeg.h"

#include <jpeglib.h>
// After jpeglib.h, whose macros decide the numbers of jerror.h.
#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/exif.h"

namespace cvtrain::formats {
namespace {

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  int code = 0;
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void OnError(j_common_ptr info) {
  auto* error = reinterpret_cast<ErrorManager*>(info->err);
  error->code = error->base.msg_code;
  error->base.format_message(info, error->message);
  std::longjmp(error->jump, 1);
}

// Warnings (level -1) that mean lost data end the decoding; the others are about metadata or
// harmless filling between segments.
void OnMessage(j_common_ptr info, int level) {
  if (level != -1) return;
  switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      OnError(info);
    default:
      return;
  }
}

void OnOutput(j_common_ptr /*info*/) {}

void SetUp(ErrorManager* error) {
  jpeg_std_error(&error->base);
  error->base.error_exit = OnError;
  error->base.emit_message = OnMessage;
  error->base.output_message = OnOutput;
}

// Runs `body`; returns false if libjpeg found an error in it.
template <typename Body>
bool Guard(ErrorManager* error, const Body& body) {
  error->code = 0;
  if (setjmp(error->jump) != 0) return false;
  body();
  return true;
}

// A source that is memory, and ends where it ends: asking for more is an error.
void OnSourceStart(j_decompress_ptr /*info*/) {}
void OnSourceEnd(j_decompress_ptr /*info*/) {}
boolean OnSourceEmpty(j_decompress_ptr info) {
  ERREXIT(info, JERR_INPUT_EOF);
  return FALSE;
}
void OnSourceSkip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > info->src->bytes_in_buffer) ERREXIT(info, JERR_INPUT_EOF);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

struct Progress {
  jpeg_progress_mgr base;
  int scans_max = 0;
  bool too_many = false;
};

void OnProgress(j_common_ptr info) {
  auto* progress = reinterpret_cast<Progress*>(info->progress);
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > progress->scans_max) {
    progress->too_many = true;
    ERREXIT(info, JERR_BAD_PROGRESSION);
  }
}

// Adobe's files, which are all CMYK files that there are, store inverted values.
void CmykToRgb(const uint8_t* cmyk, int pixels, uint8_t* rgb) {
  for (int i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<uint8_t>((cmyk[c] * cmyk[3] + 127) / 255);
  }
}

}  // namespace

struct JpegDecoder::State {
  ImageLimits limits;
  jpeg_decompress_struct info = {};
  ErrorManager error;
  jpeg_source_mgr source = {};
  Progress progress = {};
  std::vector<uint8_t> row;

  absl::Status Failure() const;
  bool ReadHeader(absl::string_view bytes);
  absl::StatusOr<ImageInfo> CheckHeader(absl::string_view bytes);
  void Start(const JpegDecodeOptions& options);
  void ReadRows(const Rect& crop, bool fast, Image* out);
};

absl::Status JpegDecoder::State::Failure() const {
  if (progress.too_many) {
    return LimitExceeded(
        "scans_max", absl::StrCat("image: the JPEG has more than ", limits.scans_max, " scans"));
  }
  if (error.code == JERR_NO_BACKING_STORE || error.code == JERR_OUT_OF_MEMORY) {
    return LimitExceeded("work_bytes_max",
                         absl::StrCat("image: the JPEG needs more than ", limits.work_bytes_max,
                                      " bytes to be decoded"));
  }
  if (error.code == JERR_INPUT_EOF) {
    return InvalidArgument(Reason::kDataBad, "image: bad JPEG: the file is truncated");
  }
  return InvalidArgument(Reason::kDataBad, absl::StrCat("image: bad JPEG: ", error.message));
}

bool JpegDecoder::State::ReadHeader(absl::string_view bytes) {
  progress.too_many = false;
  return Guard(&error, [&] {
    // Anew, not aborted: else a file that lacks tables is decoded with those of the one before.
    jpeg_destroy_decompress(&info);
    jpeg_create_decompress(&info);
    source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source.bytes_in_buffer = bytes.size();
    info.src = &source;
    info.progress = &progress.base;
    info.mem->max_memory_to_use = static_cast<long>(limits.work_bytes_max);
    jpeg_read_header(&info, TRUE);
  });
}

absl::StatusOr<ImageInfo> JpegDecoder::State::CheckHeader(absl::string_view bytes) {
  if (SniffImageKind(bytes) != ImageKind::kJpeg) {
    return InvalidArgument(Reason::kDataBad, "image: not a JPEG file");
  }
  if (!ReadHeader(bytes)) return Failure();
  ImageInfo result;
  result.kind = ImageKind::kJpeg;
  result.width = static_cast<int>(info.image_width);
  result.height = static_cast<int>(info.image_height);
  result.channels = info.num_components;
  result.progressive = info.progressive_mode != 0;
  CVT_RETURN_IF_ERROR(CheckImageLimits(result, static_cast<int64_t>(bytes.size()), limits));
  if (info.jpeg_color_space == JCS_UNKNOWN) {
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("image: a JPEG of ", info.num_components,
                                        " components has no colour space that we know"));
  }
  return result;
}

void JpegDecoder::State::Start(const JpegDecodeOptions& options) {
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(options.scale_denominator);
  info.dct_method = options.fast ? JDCT_IFAST : JDCT_ISLOW;
  info.do_fancy_upsampling = options.fast ? FALSE : TRUE;
  jpeg_start_decompress(&info);
}

// Skips whole rows of iMCUs above `crop` and whole columns beside it, and cuts the rest here: the
// library skips and crops correctly only at those borders. Smooth upsampling looks one iMCU
// further, so without `fast` one more is decoded on each side.
void JpegDecoder::State::ReadRows(const Rect& crop, bool fast, Image* out) {
  const int scaled_block = info.min_DCT_scaled_size;
  const int mcu_width = scaled_block * info.max_h_samp_factor;
  const int mcu_height = scaled_block * info.max_v_samp_factor;
  const int full_width = static_cast<int>(info.output_width);
  const int margin = fast ? 0 : 1;

  int first_column = 0;
  if (crop.width < full_width) {
    const int left = std::max(0, crop.x - margin * mcu_width);
    const int right = std::min(full_width, crop.x + crop.width + margin * mcu_width);
    auto column = static_cast<JDIMENSION>(left);
    auto columns = static_cast<JDIMENSION>(right - left);
    jpeg_crop_scanline(&info, &column, &columns);
    first_column = static_cast<int>(column);
  }
  const int skipped = std::max(0, crop.y / mcu_height - margin) * mcu_height;
  if (skipped > 0) jpeg_skip_scanlines(&info, static_cast<JDIMENSION>(skipped));

  const size_t out_stride = static_cast<size_t>(crop.width) * 3;
  const size_t channels = static_cast<size_t>(info.output_components);
  const bool direct = channels == 3 && static_cast<int>(info.output_width) == crop.width;
  for (int y = skipped; y < crop.y + crop.height; ++y) {
    uint8_t* to = out->pixels.data() + static_cast<size_t>(std::max(0, y - crop.y)) * out_stride;
    JSAMPROW rows[1] = {direct ? to : row.data()};
    jpeg_read_scanlines(&info, rows, 1);
    if (direct || y < crop.y) continue;
    const uint8_t* from = row.data() + static_cast<size_t>(crop.x - first_column) * channels;
    if (channels == 3) {
      std::memcpy(to, from, out_stride);
    } else {
      CmykToRgb(from, crop.width, to);
    }
  }
}

JpegDecoder::JpegDecoder(const ImageLimits& limits) : state_(std::make_unique<State>()) {
  state_->limits = limits;
  SetUp(&state_->error);
  state_->info.err = &state_->error.base;
  CVT_CHECK(Guard(&state_->error, [this] { jpeg_create_decompress(&state_->info); }))
      << "libjpeg: " << state_->error.message;
  state_->source.init_source = OnSourceStart;
  state_->source.term_source = OnSourceEnd;
  state_->source.fill_input_buffer = OnSourceEmpty;
  state_->source.skip_input_data = OnSourceSkip;
  state_->source.resync_to_restart = jpeg_resync_to_restart;
  state_->progress.base.progress_monitor = OnProgress;
  state_->progress.scans_max = limits.scans_max;
}

JpegDecoder::~JpegDecoder() { jpeg_destroy_decompress(&state_->info); }

absl::StatusOr<ImageInfo> JpegDecoder::ReadInfo(absl::string_view bytes) {
  CVT_ASSIGN_OR_RETURN(ImageInfo info, state_->CheckHeader(bytes));
  info.orientation = ReadExifOrientation(bytes);
  return info;
}

absl::Status JpegDecoder::Decode(absl::string_view bytes, const JpegDecodeOptions& options,
                                 Image* out) {
  const int denominator = options.scale_denominator;
  if (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("scale_denominator: must be 1, 2, 4 or 8, got ", denominator));
  }
  CVT_ASSIGN_OR_RETURN(const ImageInfo info, state_->CheckHeader(bytes));
  const int width = ScaledSide(info.width, denominator);
  const int height = ScaledSide(info.height, denominator);
  const Rect crop = options.crop.value_or(Rect{0, 0, width, height});
  if (crop.x < 0 || crop.y < 0 || crop.width < 1 || crop.height < 1 ||
      crop.width > width - crop.x || crop.height > height - crop.y) {
    return InvalidArgument(
        Reason::kFieldInvalid,
        absl::StrCat("crop: must lie within the picture of ", width, "x", height, ", got ",
                     crop.width, "x", crop.height, " at ", crop.x, ",", crop.y));
  }
  out->Resize(crop.width, crop.height);
  state_->row.resize(static_cast<size_t>(width) * 4);
  const bool ok = Guard(&state_->error, [&] {
    state_->Start(options);
    state_->ReadRows(crop, options.fast, out);
  });
  return ok ? absl::OkStatus() : state_->Failure();
}

namespace {

// A destination that grows. jpeg_mem_dest would leak on an error.
struct Destination {
  jpeg_destination_mgr base;
  JOCTET* data = nullptr;
  size_t capacity = 0;

  ~Destination() { std::free(data); }
};

void Grow(j_compress_ptr info, size_t capacity) {
  auto* destination = reinterpret_cast<Destination*>(info->dest);
  auto* data = static_cast<JOCTET*>(std::realloc(destination->data, capacity));
  if (data == nullptr) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
  destination->base.next_output_byte = data + destination->capacity;
  destination->base.free_in_buffer = capacity - destination->capacity;
  destination->data = data;
  destination->capacity = capacity;
}

void OnDestinationStart(j_compress_ptr info) { Grow(info, 64 << 10); }
boolean OnDestinationFull(j_compress_ptr info) {
  Grow(info, reinterpret_cast<Destination*>(info->dest)->capacity * 2);
  return TRUE;
}
void OnDestinationEnd(j_compress_ptr /*info*/) {}

}  // namespace

absl::StatusOr<std::string> EncodeJpeg(const ImageView& image, const JpegEncodeOptions& options) {
  if (image.width < 1 || image.height < 1 || image.width > JPEG_MAX_DIMENSION ||
      image.height > JPEG_MAX_DIMENSION) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("image: a JPEG has sides of 1 to ", JPEG_MAX_DIMENSION,
                                        ", got ", image.width, "x", image.height));
  }
  if (options.quality < 1 || options.quality > 100) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("quality: must be in 1 to 100, got ", options.quality));
  }
  ErrorManager error;
  SetUp(&error);
  Destination destination;
  destination.base.init_destination = OnDestinationStart;
  destination.base.empty_output_buffer = OnDestinationFull;
  destination.base.term_destination = OnDestinationEnd;
  jpeg_compress_struct info = {};
  info.err = &error.base;
  const bool ok = Guard(&error, [&] {
    jpeg_create_compress(&info);
    info.dest = &destination.base;
    info.image_width = static_cast<JDIMENSION>(image.width);
    info.image_height = static_cast<JDIMENSION>(image.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);  // YCbCr, 4:2:0
    jpeg_set_quality(&info, options.quality, TRUE);
    info.optimize_coding = options.optimize ? TRUE : FALSE;
    info.dct_method = JDCT_ISLOW;
    jpeg_start_compress(&info, TRUE);
    for (int y = 0; y < image.height; ++y) {
      JSAMPROW row[1] = {const_cast<JSAMPROW>(image.data + y * image.stride)};
      jpeg_write_scanlines(&info, row, 1);
    }
    jpeg_finish_compress(&info);
  });
  const size_t size = destination.capacity - destination.base.free_in_buffer;
  jpeg_destroy_compress(&info);
  if (!ok) {
    return Internal(Reason::kOutOfMemory, absl::StrCat("image: encoding JPEG: ", error.message));
  }
  return std::string(reinterpret_cast<const char*>(destination.data), size);
}

}  // namespace cvtrain::formats
