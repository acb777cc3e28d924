#include "tests/unit/formats/image/image_fixtures.h"

// After cstdio, which it needs, and before jerror.h.
#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "common/little_endian.h"
#include "common/random.h"
#include "common/status_macros.h"

namespace cvtrain::formats::testing {

Image MakePicture(int width, int height, uint64_t seed) {
  Image image;
  image.Resize(width, height);
  KeyedStream stream("image-fixture/v1", {seed});
  double phase[6];
  for (double& p : phase) p = stream.Uniform(0, 6.28);
  // Waves from tables and noise from a cheap generator: tests make large pictures, and run under
  // sanitizers too.
  std::vector<double> columns, rows;
  for (int i = 0; i < 3 * width; ++i) columns.push_back(std::sin(0.05 * (i / 3) + phase[i % 3]));
  for (int i = 0; i < 3 * height; ++i) rows.push_back(std::cos(0.07 * (i / 3) + phase[3 + i % 3]));
  uint32_t noise = stream.NextU32();
  uint8_t* to = image.pixels.data();
  for (int y = 0; y < height; ++y) {
    const double* row = rows.data() + 3 * y;
    for (int i = 0; i < 3 * width; ++i) {
      noise = noise * 1'664'525 + 1'013'904'223;
      const double value = 128 + 50 * (columns.data()[i] + row[i % 3]) + (noise >> 28) - 8;
      *to++ = static_cast<uint8_t>(std::clamp(value, 0.0, 255.0));
    }
  }
  return image;
}

namespace {

// Each coefficient by itself, first without its lowest bit, then that.
std::vector<jpeg_scan_info> ManyScans() {
  std::vector<jpeg_scan_info> scans(1);
  scans[0].comps_in_scan = 1;
  for (int bit = 1; bit >= 0; --bit) {
    for (int coefficient = 1; coefficient < 64; ++coefficient) {
      jpeg_scan_info scan = scans[0];
      scan.Ss = scan.Se = coefficient;
      scan.Ah = 1 - bit;
      scan.Al = bit;
      scans.push_back(scan);
    }
  }
  return scans;
}

}  // namespace

std::string MakeJpeg(const Image& image, const JpegFixture& fixture) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr error = {};
  info.err = jpeg_std_error(&error);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  const bool grey = fixture.colors == JpegColors::kGrey;
  const bool cmyk = fixture.colors == JpegColors::kCmyk;
  info.input_components = grey ? 1 : cmyk ? 4 : 3;
  info.in_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&info);
  if (fixture.colors == JpegColors::kRgb) jpeg_set_colorspace(&info, JCS_RGB);
  info.comp_info[0].h_samp_factor = fixture.horizontal_sampling;
  info.comp_info[0].v_samp_factor = fixture.vertical_sampling;
  info.restart_interval = static_cast<unsigned>(fixture.restart_interval);
  jpeg_set_quality(&info, fixture.quality, TRUE);
  if (fixture.progressive) jpeg_simple_progression(&info);
  const std::vector<jpeg_scan_info> scans = ManyScans();
  if (fixture.many_scans) {
    info.scan_info = scans.data();
    info.num_scans = static_cast<int>(scans.size());
  }
  jpeg_start_compress(&info, TRUE);
  if (!fixture.exif.empty()) {
    jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(fixture.exif.data()),
                      static_cast<unsigned>(fixture.exif.size()));
  }
  std::vector<uint8_t> row(static_cast<size_t>(image.width) * 4);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.pixels.data() + static_cast<size_t>(y * image.width) * 3;
    for (int x = 0; x < image.width; ++x) {
      uint8_t* to = row.data() + x * info.input_components;
      if (grey) {
        to[0] = from[3 * x];
      } else {
        std::memcpy(to, from + 3 * x, 3);
        if (cmyk) to[3] = 255;  // inverted, as Adobe does: no black
      }
    }
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return result;
}

std::string MakeExif(int orientation, bool big_endian) {
  std::string exif("Exif\0\0", 6);
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      exif.push_back(static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i)));
    }
  };
  exif += big_endian ? "MM" : "II";
  put(42, 2);
  put(8, 4);  // the first directory
  put(2, 2);  // of two entries
  put(0x0100, 2), put(3, 2), put(1, 4), put(7, 2), put(0, 2);
  put(0x0112, 2), put(3, 2), put(1, 4), put(static_cast<uint32_t>(orientation), 2), put(0, 2);
  put(0, 4);
  return exif;
}

namespace {

void AppendPng(png_structp png, png_bytep bytes, size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))
      ->append(reinterpret_cast<const char*>(bytes), count);
}

int PngType(PngColors colors) {
  switch (colors) {
    case PngColors::kRgb:
      return PNG_COLOR_TYPE_RGB;
    case PngColors::kRgba:
      return PNG_COLOR_TYPE_RGB_ALPHA;
    case PngColors::kGrey:
      return PNG_COLOR_TYPE_GRAY;
    case PngColors::kGreyAlpha:
      return PNG_COLOR_TYPE_GRAY_ALPHA;
    default:
      return PNG_COLOR_TYPE_PALETTE;
  }
}

// One row in the file's form: 16 bits are 257 times the value, give or take what is rounded away.
std::string PngRow(const Image& image, int y, const PngFixture& fixture) {
  const bool color = fixture.colors == PngColors::kRgb || fixture.colors == PngColors::kRgba;
  const bool alpha = fixture.colors == PngColors::kRgba || fixture.colors == PngColors::kGreyAlpha;
  std::string row;
  const auto put = [&](uint8_t value) {
    if (fixture.bits == 16) {
      const int wide = std::clamp(value * 257 + (value * 7 + y) % 257 - 128, 0, 65'535);
      row.push_back(static_cast<char>(wide >> 8));
      row.push_back(static_cast<char>(wide));
    } else {
      row.push_back(static_cast<char>(value));
    }
  };
  for (int x = 0; x < image.width; ++x) {
    const uint8_t* pixel = image.pixels.data() + static_cast<size_t>(y * image.width + x) * 3;
    for (int c = 0; c < (color ? 3 : 1); ++c) put(pixel[c]);
    if (alpha) put(static_cast<uint8_t>(x));
  }
  return row;
}

void AppendBigEndian32(uint32_t value, std::string* to) {
  for (int shift = 24; shift >= 0; shift -= 8) to->push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::string MakePngChunk(absl::string_view type_and_data) {
  std::string chunk;
  AppendBigEndian32(static_cast<uint32_t>(type_and_data.size() - 4), &chunk);
  chunk.append(type_and_data.data(), type_and_data.size());
  AppendBigEndian32(
      static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(type_and_data.data()),
                                  static_cast<uInt>(type_and_data.size()))),
      &chunk);
  return chunk;
}

std::string MakePng(const Image& image, const PngFixture& fixture) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, AppendPng, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), fixture.bits, PngType(fixture.colors),
               fixture.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (fixture.colors == PngColors::kPalette) {
    std::vector<png_color> palette(256);
    for (size_t i = 0; i < palette.size(); ++i) {
      palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(i), static_cast<png_byte>(i)};
    }
    png_set_PLTE(png, info, palette.data(), 256);
  }
  std::vector<std::string> rows;
  std::vector<png_bytep> pointers;
  for (int y = 0; y < image.height; ++y) rows.push_back(PngRow(image, y, fixture));
  for (std::string& row : rows) pointers.push_back(reinterpret_cast<png_bytep>(row.data()));
  png_write_info(png, info);
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::string MakeFlatPng(uint32_t width, uint32_t height) {
  std::string bytes("\x89PNG\r\n\x1a\n", 8);
  std::string header = "IHDR";
  AppendBigEndian32(width, &header);
  AppendBigEndian32(height, &header);
  header += std::string("\x08\x00\x00\x00\x00", 5);
  bytes += MakePngChunk(header);
  std::string raw(uint64_t{height} * (uint64_t{width} + 1), '\0');
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  CVT_CHECK(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(raw.data()), raw.size()) == Z_OK);
  bytes += MakePngChunk("IDAT" + packed.substr(0, size));
  bytes += MakePngChunk("IEND");
  return bytes;
}

std::string MakeWebp(const Image& image) {
  uint8_t* bytes = nullptr;
  const size_t size = WebPEncodeLosslessRGB(image.pixels.data(), image.width, image.height,
                                            3 * image.width, &bytes);
  CVT_CHECK(size > 0);
  std::string webp(reinterpret_cast<const char*>(bytes), size);
  WebPFree(bytes);
  return webp;
}

std::string MakeRiff(absl::string_view chunks) {
  std::string file = "RIFF";
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(chunks.size() + 4), &file);
  file += "WEBP";
  file.append(chunks.data(), chunks.size());
  return file;
}

std::string MakeRiffChunk(absl::string_view type_and_data) {
  std::string chunk(type_and_data.substr(0, 4));
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(type_and_data.size() - 4), &chunk);
  chunk.append(type_and_data.data() + 4, type_and_data.size() - 4);
  if (chunk.size() % 2 != 0) chunk.push_back('\0');
  return chunk;
}

std::string MakeVp8x(int flags, int width, int height) {
  std::string chunk = "VP8X";
  AppendLittleEndian<uint32_t>(static_cast<uint32_t>(flags), &chunk);
  for (const int side : {width, height}) {
    for (int shift = 0; shift < 24; shift += 8) {
      chunk.push_back(static_cast<char>((side - 1) >> shift));
    }
  }
  return MakeRiffChunk(chunk);
}

std::string WithJpegSize(absl::string_view jpeg, int width, int height) {
  std::string changed(jpeg);
  for (size_t at = 2; at + 9 < changed.size();) {
    const auto marker = static_cast<uint8_t>(changed[at + 1]);
    if (marker >= 0xc0 && marker <= 0xc2) {
      const int sides[2] = {height, width};
      for (size_t i = 0; i < 2; ++i) {
        changed[at + 5 + 2 * i] = static_cast<char>(sides[i] >> 8);
        changed[at + 6 + 2 * i] = static_cast<char>(sides[i]);
      }
      return changed;
    }
    at += 2 + (static_cast<size_t>(static_cast<uint8_t>(changed[at + 2])) << 8 |
               static_cast<uint8_t>(changed[at + 3]));
  }
  CVT_CHECK(false) << "no frame header";
  return changed;
}

double Psnr(const Image& a, const Image& b) {
  CVT_CHECK(a.width == b.width && a.height == b.height);
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = double{1} * a.pixels[i] - b.pixels[i];
    sum += difference * difference;
  }
  if (sum == 0) return 100;
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.pixels.size()) / sum);
}

Image Cut(const Image& image, const Rect& rect) {
  Image cut;
  cut.Resize(rect.width, rect.height);
  for (int y = 0; y < rect.height; ++y) {
    std::memcpy(cut.pixels.data() + static_cast<size_t>(y * rect.width) * 3,
                image.pixels.data() + static_cast<size_t>((rect.y + y) * image.width + rect.x) * 3,
                static_cast<size_t>(rect.width) * 3);
  }
  return cut;
}

}  // namespace cvtrain::formats::testing
