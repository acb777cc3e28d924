#include "formats/image/png.h"

#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/exif.h"

namespace cvtrain::formats {
namespace {

// libpng reports errors by a jump: between SetUp and the end of Run nothing with a destructor is
// created. Every chunk that is not needed is skipped unread: text, profiles and palettes for
// display are where decompression bombs hide.
constexpr char kSkippedChunks[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0"
    "tIME\0tRNS\0zTXt";

struct Reading {
  absl::string_view bytes;
  size_t offset = 0;
  char message[128] = {};
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* reading = static_cast<Reading*>(png_get_error_ptr(png));
  std::strncpy(reading->message, message, sizeof(reading->message) - 1);
  png_longjmp(png, 1);
}

void OnWarning(png_structp /*png*/, png_const_charp /*message*/) {}

void OnRead(png_structp png, png_bytep to, size_t count) {
  auto* reading = static_cast<Reading*>(png_get_io_ptr(png));
  if (count > reading->bytes.size() - reading->offset) png_error(png, "the file is truncated");
  std::memcpy(to, reading->bytes.data() + reading->offset, count);
  reading->offset += count;
}

// `rows` point into the picture. Returns false if libpng found an error.
bool Run(png_structp png, png_infop info, Reading* reading, const ImageLimits& limits,
         png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, reading, OnRead);
  png_set_user_limits(png, static_cast<png_uint_32>(limits.side_max),
                      static_cast<png_uint_32>(limits.side_max));
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER,
                              reinterpret_cast<png_const_bytep>(kSkippedChunks),
                              static_cast<int>(sizeof(kSkippedChunks) / 5));
  png_read_info(png, info);
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t row_bytes = size_t{3} * png_get_image_width(png, info);
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "not convertible to RGB");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

uint32_t ReadBigEndian32(absl::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

int ReadSide(absl::string_view bytes, size_t offset) {
  const uint32_t side = ReadBigEndian32(bytes, offset);
  return side > 0x7fffffff ? 0 : static_cast<int>(side);  // outside PNG's range: refused as 0
}

// Of the first eXIf chunk: each chunk is a length, a type, its content and a CRC.
int ReadPngOrientation(absl::string_view bytes) {
  constexpr size_t kAround = 12;
  for (size_t at = 8; bytes.size() - at >= kAround;) {
    const uint64_t length = ReadBigEndian32(bytes, at);
    if (length > bytes.size() - at - kAround) return 1;
    if (bytes.substr(at + 4, 4) == "eXIf") return OrientationOfExif(bytes.substr(at + 8, length));
    at += kAround + length;
  }
  return 1;
}

}  // namespace

absl::StatusOr<ImageInfo> ReadPngInfo(absl::string_view bytes, const ImageLimits& limits) {
  if (SniffImageKind(bytes) != ImageKind::kPng || bytes.size() < 33 ||
      bytes.substr(12, 4) != "IHDR") {
    return InvalidArgument(Reason::kDataBad, "image: not a PNG file, or one without its header");
  }
  ImageInfo info;
  info.kind = ImageKind::kPng;
  info.width = ReadSide(bytes, 16);
  info.height = ReadSide(bytes, 20);
  if (info.width == 0 || info.height == 0) {
    return InvalidArgument(Reason::kDataBad, "image: the PNG header says a size of 0");
  }
  switch (bytes[25]) {  // colour type
    case 0:
      info.channels = 1;
      break;
    case 2:
    case 3:
      info.channels = 3;
      break;
    case 4:
    case 6:
      info.channels = 4;
      break;
    default:
      return InvalidArgument(Reason::kDataBad, "image: the PNG header has an unknown colour type");
  }
  CVT_RETURN_IF_ERROR(CheckImageLimits(info, static_cast<int64_t>(bytes.size()), limits));
  info.orientation = ReadPngOrientation(bytes);
  return info;
}

absl::Status DecodePng(absl::string_view bytes, const ImageLimits& limits, Image* out) {
  CVT_ASSIGN_OR_RETURN(const ImageInfo image_info, ReadPngInfo(bytes, limits));
  out->Resize(image_info.width, image_info.height);
  std::vector<png_bytep> rows(static_cast<size_t>(image_info.height));
  for (size_t y = 0; y < rows.size(); ++y) {
    rows[y] = out->pixels.data() + y * static_cast<size_t>(image_info.width) * 3;
  }
  Reading reading{.bytes = bytes};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, OnError, OnWarning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool ok = info != nullptr && Run(png, info, &reading, limits, rows.data());
  png_destroy_read_struct(&png, &info, nullptr);
  if (!ok) {
    return InvalidArgument(Reason::kDataBad, absl::StrCat("image: bad PNG: ", reading.message));
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
