// The only file that calls libtiff.
//
//   1. our own reader takes size, orientation and compression from the first directory, and limits
//   are
//      checked;
//   2. libtiff opens the bytes as if they were a mapped file, so that it copies nothing, and reads
//      the directory; single allocations of it are bounded;
//   3. what kind of samples there are is checked against what this file can convert;
//   4. rows, tiles or planes are read, each made 8 bits a sample, then RGB.
//
// Errors and warnings go to this picture's handlers. A warning while data is read means that some
// of it was lost, but for a few that are listed.

#include "formats/image/tiff.h"

#include <tiffio.h>

#include <algorithm>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/image/tiff_directory.h"
#include "formats/image/tiff_samples.h"

namespace cvtrain::formats {

using internal::TiffColor;
using internal::TiffLayout;
using internal::TiffSamplesToRgb;
using internal::UnpackTiffSamples;

namespace {

// More than any picture for people has; hyperspectral ones are not.
constexpr int kSamplesMax = 16;

// Warnings about files that break a rule and lose nothing by it.
constexpr absl::string_view kHarmless[] = {
    "Old-style LZW codes",
    "JPEG strip size exceeds expected dimensions",
    "The JPEG strip/tile is encoded with progressive mode",
};

absl::Status BadTiff(absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, absl::StrCat("image: bad TIFF: ", problem));
}

absl::Status Unsupported(absl::string_view what) {
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("image: a TIFF of ", what,
                                      " is not read: save it as 8 or 16 bits of grey or RGB"));
}

struct Reading {
  absl::string_view bytes;
  uint64_t offset = 0;
  bool in_data = false;  // past the directory
  bool failed = false;
  char message[160] = {};  // the first one
};

void Fail(Reading* reading, const char* format, va_list arguments) {
  if (!reading->failed) {
    std::vsnprintf(reading->message, sizeof(reading->message), format, arguments);
  }
  reading->failed = true;
}

int OnError(TIFF* /*tiff*/, void* user, const char* /*module*/, const char* format,
            va_list arguments) {
  Fail(static_cast<Reading*>(user), format, arguments);
  return 1;  // handled: nothing is printed
}

int OnWarning(TIFF* /*tiff*/, void* user, const char* /*module*/, const char* format,
              va_list arguments) {
  auto* reading = static_cast<Reading*>(user);
  const bool harmless =
      std::any_of(std::begin(kHarmless), std::end(kHarmless),
                  [&](absl::string_view text) { return absl::StartsWith(format, text); });
  if (reading->in_data && !harmless) Fail(reading, format, arguments);
  return 1;
}

tmsize_t OnRead(thandle_t handle, void* to, tmsize_t count) {
  auto* reading = reinterpret_cast<Reading*>(handle);
  const uint64_t size = reading->bytes.size();
  if (count <= 0 || reading->offset >= size) return 0;
  const uint64_t got = std::min(static_cast<uint64_t>(count), size - reading->offset);
  std::memcpy(to, reading->bytes.data() + reading->offset, got);
  reading->offset += got;
  return static_cast<tmsize_t>(got);
}

tmsize_t OnWrite(thandle_t /*handle*/, void* /*from*/, tmsize_t /*count*/) { return 0; }

toff_t OnSeek(thandle_t handle, toff_t offset, int whence) {
  auto* reading = reinterpret_cast<Reading*>(handle);
  if (whence == SEEK_CUR) offset += reading->offset;
  if (whence == SEEK_END) offset += reading->bytes.size();
  reading->offset = offset;
  return offset;
}

int OnClose(thandle_t /*handle*/) { return 0; }

toff_t OnSize(thandle_t handle) { return reinterpret_cast<Reading*>(handle)->bytes.size(); }

int OnMap(thandle_t handle, void** base, toff_t* size) {
  const absl::string_view bytes = reinterpret_cast<Reading*>(handle)->bytes;
  *base = const_cast<char*>(bytes.data());  // libtiff only reads what is mapped
  *size = bytes.size();
  return 1;
}

void OnUnmap(thandle_t /*handle*/, void* /*base*/, toff_t /*size*/) {}

struct Closer {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using TiffHandle = std::unique_ptr<TIFF, Closer>;

// `reading` must outlive the handle. Null if libtiff found an error.
TiffHandle Open(Reading* reading, const ImageLimits& limits) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  if (options == nullptr) return nullptr;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, static_cast<tmsize_t>(limits.work_bytes_max));
  TIFFOpenOptionsSetErrorHandlerExtR(options, OnError, reading);
  TIFFOpenOptionsSetWarningHandlerExtR(options, OnWarning, reading);
  // c: a picture in one strip stays that.
  TIFF* tiff = TIFFClientOpenExt("picture", "rc", reinterpret_cast<thandle_t>(reading), OnRead,
                                 OnWrite, OnSeek, OnClose, OnSize, OnMap, OnUnmap, options);
  TIFFOpenOptionsFree(options);
  return TiffHandle(tiff);
}

int Number(TIFF* tiff, uint32_t tag, int otherwise) {
  uint16_t value = 0;
  return TIFFGetFieldDefaulted(tiff, tag, &value) == 1 ? value : otherwise;
}

absl::Status ReadPalette(TIFF* tiff, TiffLayout* layout) {
  uint16_t* maps[3] = {};
  if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &maps[0], &maps[1], &maps[2]) != 1) {
    return BadTiff("there is no palette");
  }
  const size_t colors = size_t{1} << layout->bits;
  // Some writers give 8 bits where 16 are due.
  bool small = true;
  for (const uint16_t* map : maps) {
    small = small && std::all_of(map, map + colors, [](uint16_t v) { return v < 256; });
  }
  for (size_t i = 0; i < colors; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      layout->palette[3 * i + c] = static_cast<uint8_t>(small ? maps[c][i] : maps[c][i] >> 8);
    }
  }
  return absl::OkStatus();
}

// Others are not even shown to libtiff: what is rare is tested least.
absl::StatusOr<int> ReadCompression(absl::string_view bytes) {
  const uint64_t compression =
      ReadTiffNumber(bytes, TIFFTAG_COMPRESSION).value_or(COMPRESSION_NONE);
  switch (compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_JPEG:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
    case COMPRESSION_WEBP:
      return static_cast<int>(compression);
    default:
      return Unsupported(absl::StrCat("compression ", compression));
  }
}

// Colours, and how many samples they take. JPEG is asked to turn YCbCr to RGB.
absl::Status ReadColor(TIFF* tiff, int compression, TiffLayout* layout) {
  const int photometric = Number(tiff, TIFFTAG_PHOTOMETRIC, -1);
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
      layout->color = TiffColor::kWhiteIsZero;
      layout->used = 1;
      break;
    case PHOTOMETRIC_MINISBLACK:
      layout->color = TiffColor::kBlackIsZero;
      layout->used = 1;
      break;
    case PHOTOMETRIC_PALETTE:
      layout->color = TiffColor::kPalette;
      layout->used = 1;
      break;
    case PHOTOMETRIC_RGB:
      layout->color = TiffColor::kRgb;
      layout->used = 3;
      break;
    case PHOTOMETRIC_YCBCR:
      if (compression != COMPRESSION_JPEG || layout->planes || layout->samples != 3) {
        return Unsupported("YCbCr outside JPEG");
      }
      TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      layout->color = TiffColor::kRgb;
      layout->used = 3;
      break;
    case PHOTOMETRIC_SEPARATED:
      if (Number(tiff, TIFFTAG_INKSET, INKSET_CMYK) != INKSET_CMYK) {
        return Unsupported("inks other than CMYK");
      }
      layout->color = TiffColor::kCmyk;
      layout->used = 4;
      break;
    default:
      return Unsupported(absl::StrCat("photometric interpretation ", photometric));
  }
  return absl::OkStatus();
}

absl::Status CheckSamples(TIFF* tiff, const TiffLayout& layout) {
  if (layout.samples < layout.used || layout.samples > kSamplesMax) {
    return Unsupported(absl::StrCat(layout.samples, " samples a pixel"));
  }
  const int format = Number(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
    return Unsupported("samples that are signed or not whole");
  }
  const bool grey =
      layout.color == TiffColor::kWhiteIsZero || layout.color == TiffColor::kBlackIsZero;
  const bool palette = layout.color == TiffColor::kPalette;
  const bool small = layout.bits == 1 || layout.bits == 2 || layout.bits == 4;
  if (!(layout.bits == 8 || (layout.bits == 16 && !palette) || (small && (grey || palette)))) {
    return Unsupported(absl::StrCat(layout.bits, "-bit samples"));
  }
  return absl::OkStatus();
}

// `compression` is what our own reader found in `bytes`.
absl::StatusOr<TiffLayout> ReadLayout(TIFF* tiff, absl::string_view bytes, const ImageInfo& info,
                                      int compression) {
  uint32_t width = 0;
  uint32_t height = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
  if (width != static_cast<uint32_t>(info.width) || height != static_cast<uint32_t>(info.height) ||
      Number(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE) != compression) {
    return BadTiff("its size or its compression is given twice");
  }
  TiffLayout layout;
  layout.bits = Number(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  layout.samples = Number(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.planes =
      Number(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE &&
      layout.samples > 1;
  layout.tiled = TIFFIsTiled(tiff) != 0;
  CVT_RETURN_IF_ERROR(ReadColor(tiff, compression, &layout));
  CVT_RETURN_IF_ERROR(CheckSamples(tiff, layout));
  if (layout.color == TiffColor::kPalette) CVT_RETURN_IF_ERROR(ReadPalette(tiff, &layout));
  const bool says_palette = ReadTiffNumber(bytes, kTiffPhotometricTag) == PHOTOMETRIC_PALETTE;
  if (layout.color == TiffColor::kBlackIsZero && says_palette) {
    return BadTiff("there is no palette");  // libtiff would take the indices for grey
  }
  uint16_t extras = 0;
  const uint16_t* kinds = nullptr;
  const bool colors = layout.color == TiffColor::kRgb || layout.color == TiffColor::kBlackIsZero;
  if (colors && TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds) == 1 && extras > 0 &&
      kinds[0] == EXTRASAMPLE_ASSOCALPHA && layout.samples > layout.used) {
    layout.divides = true;
    ++layout.used;
  }
  return layout;
}

// libtiff takes the length of a single strip for a mistake if it does not fit, and reads what the
// size asks for: what lies behind the strip would become pixels. Left out, or too long, it is one.
absl::Status CheckStrip(absl::string_view bytes, const TiffLayout& layout, const ImageInfo& info) {
  const uint64_t length = ReadTiffNumber(bytes, TIFFTAG_STRIPBYTECOUNTS).value_or(0);
  const int64_t row_bytes = (int64_t{info.width} * layout.samples * layout.bits + 7) / 8;
  if (length != 0 && length < static_cast<uint64_t>(row_bytes * info.height)) {
    return BadTiff("its strip is shorter than the picture");
  }
  return absl::OkStatus();
}

// Reads the blocks of one picture: rows or tiles, of all samples or of one plane.
class BlockReader {
 public:
  BlockReader(TIFF* tiff, const TiffLayout& layout, int width, int height)
      : tiff_(tiff), layout_(layout), width_(width), height_(height) {}

  // Takes memory for one block. Errors as of DecodeTiff().
  absl::Status Prepare(int64_t file_bytes, const ImageLimits& limits) {
    tile_width_ = width_;
    tile_height_ = 1;
    if (layout_.tiled) {
      uint32_t width = 0;
      uint32_t height = 0;
      TIFFGetField(tiff_, TIFFTAG_TILEWIDTH, &width);
      TIFFGetField(tiff_, TIFFTAG_TILELENGTH, &height);
      if (width == 0 || height == 0) return BadTiff("tiles of no size");
      ImageInfo tile;
      tile.width = static_cast<int>(std::min<uint32_t>(width, INT_MAX));
      tile.height = static_cast<int>(std::min<uint32_t>(height, INT_MAX));
      CVT_RETURN_IF_ERROR(CheckImageLimits(tile, file_bytes, limits));
      tile_width_ = tile.width;
      tile_height_ = tile.height;
    }
    block_samples_ = layout_.planes ? 1 : layout_.samples;
    const int64_t row_samples = int64_t{tile_width_} * block_samples_;
    row_bytes_ = (row_samples * layout_.bits + 7) / 8;
    const int64_t block_bytes = row_bytes_ * tile_height_;
    if (block_bytes > limits.work_bytes_max) {
      return LimitExceeded("work_bytes_max",
                           absl::StrCat("image: a tile of the TIFF has ", block_bytes,
                                        " bytes, at most ", limits.work_bytes_max, " are read"));
    }
    const int64_t expected = layout_.tiled ? TIFFTileSize64(tiff_) : TIFFScanlineSize64(tiff_);
    if (expected != block_bytes) return BadTiff("its samples and its rows differ in size");
    block_.resize(static_cast<size_t>(block_bytes));
    row_.resize(static_cast<size_t>(row_samples));
    return absl::OkStatus();
  }

  // Calls `take(x, y, count, samples)` for each piece of a row: `count` pixels from (x, y) on, in
  // samples of 8 bits. Returns false if libtiff found an error.
  template <typename Take>
  bool Read(int plane, const Take& take) {
    for (int y = 0; y < height_; y += tile_height_) {
      for (int x = 0; x < width_; x += tile_width_) {
        if (!ReadBlock(x, y, plane)) return false;
        const int64_t count = std::min(tile_width_, width_ - x);
        const int rows = std::min(tile_height_, height_ - y);
        for (int row = 0; row < rows; ++row) {
          UnpackTiffSamples(layout_, block_.data() + row * row_bytes_, count * block_samples_,
                            row_.data());
          take(x, y + row, count, row_.data());
        }
      }
    }
    return true;
  }

 private:
  bool ReadBlock(int x, int y, int plane) {
    const auto column = static_cast<uint32_t>(x);
    const auto row = static_cast<uint32_t>(y);
    const auto sample = static_cast<uint16_t>(plane);
    return layout_.tiled ? TIFFReadTile(tiff_, block_.data(), column, row, 0, sample) >= 0
                         : TIFFReadScanline(tiff_, block_.data(), row, sample) == 1;
  }

  TIFF* const tiff_;
  const TiffLayout& layout_;
  const int width_;
  const int height_;
  int tile_width_ = 0;
  int tile_height_ = 0;
  int block_samples_ = 0;  // of a pixel in a block
  int64_t row_bytes_ = 0;
  std::vector<uint8_t> block_;
  std::vector<uint8_t> row_;
};

// Samples of different planes come together only when all are read.
absl::StatusOr<bool> ReadPlanes(const TiffLayout& layout, const ImageLimits& limits,
                                BlockReader* blocks, Image* out) {
  const int64_t used = layout.used;
  const int64_t pixels = int64_t{out->width} * out->height;
  if (pixels * used > limits.work_bytes_max) {
    return LimitExceeded("work_bytes_max",
                         absl::StrCat("image: the planes of the TIFF have ", pixels * used,
                                      " bytes, at most ", limits.work_bytes_max, " are read"));
  }
  std::vector<uint8_t> samples(static_cast<size_t>(pixels * used));
  for (int plane = 0; plane < used; ++plane) {
    const bool ok = blocks->Read(plane, [&](int x, int y, int64_t count, const uint8_t* from) {
      uint8_t* to = samples.data() + (int64_t{y} * out->width + x) * used + plane;
      for (int64_t i = 0; i < count; ++i) to[i * used] = from[i];
    });
    if (!ok) return false;
  }
  TiffSamplesToRgb(layout, samples.data(), layout.used, pixels, out->pixels.data());
  return true;
}

}  // namespace

absl::StatusOr<ImageInfo> ReadTiffInfo(absl::string_view bytes, const ImageLimits& limits) {
  if (!IsTiff(bytes)) return InvalidArgument(Reason::kDataBad, "image: not a TIFF file");
  const uint64_t width = ReadTiffNumber(bytes, kTiffWidthTag).value_or(0);
  const uint64_t height = ReadTiffNumber(bytes, kTiffHeightTag).value_or(0);
  if (width == 0 || height == 0) return BadTiff("its first directory says no size");
  ImageInfo info;
  info.kind = ImageKind::kTiff;
  info.width = static_cast<int>(std::min<uint64_t>(width, INT_MAX));
  info.height = static_cast<int>(std::min<uint64_t>(height, INT_MAX));
  const uint64_t samples = ReadTiffNumber(bytes, kTiffSamplesTag).value_or(1);
  const bool palette = ReadTiffNumber(bytes, kTiffPhotometricTag) == PHOTOMETRIC_PALETTE;
  info.channels = samples == 3 || palette ? 3 : samples == 1 ? 1 : 4;
  info.orientation = ReadTiffOrientation(bytes);
  CVT_RETURN_IF_ERROR(CheckImageLimits(info, static_cast<int64_t>(bytes.size()), limits));
  return info;
}

absl::Status DecodeTiff(absl::string_view bytes, const ImageLimits& limits, Image* out) {
  CVT_ASSIGN_OR_RETURN(const ImageInfo info, ReadTiffInfo(bytes, limits));
  CVT_ASSIGN_OR_RETURN(const int compression, ReadCompression(bytes));
  Reading reading{.bytes = bytes};
  const TiffHandle tiff = Open(&reading, limits);
  if (tiff == nullptr) return BadTiff(reading.message);
  CVT_ASSIGN_OR_RETURN(const TiffLayout layout, ReadLayout(tiff.get(), bytes, info, compression));
  const bool one_strip = !layout.tiled && TIFFNumberOfStrips(tiff.get()) == 1;
  if (one_strip && compression == COMPRESSION_NONE) {
    CVT_RETURN_IF_ERROR(CheckStrip(bytes, layout, info));
  }
  BlockReader blocks(tiff.get(), layout, info.width, info.height);
  CVT_RETURN_IF_ERROR(blocks.Prepare(static_cast<int64_t>(bytes.size()), limits));
  out->Resize(info.width, info.height);
  // What was wrong so far was in tags that did not matter.
  reading.failed = false;
  reading.message[0] = '\0';
  reading.in_data = true;
  bool ok = false;
  if (layout.planes) {
    CVT_ASSIGN_OR_RETURN(ok, ReadPlanes(layout, limits, &blocks, out));
  } else {
    ok = blocks.Read(0, [&](int x, int y, int64_t count, const uint8_t* samples) {
      uint8_t* to = out->pixels.data() + (int64_t{y} * out->width + x) * 3;
      TiffSamplesToRgb(layout, samples, layout.samples, count, to);
    });
  }
  if (ok && !reading.failed) return absl::OkStatus();
  return BadTiff(reading.failed ? reading.message : "its data cannot be read");
}

}  // namespace cvtrain::formats
