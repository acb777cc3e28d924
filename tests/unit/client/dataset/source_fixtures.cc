#include "tests/unit/client/dataset/source_fixtures.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/little_endian.h"
#include "common/status_macros.h"

namespace cvtrain::client::testing {

void SealTarHeader(std::string* tar, size_t offset) {
  std::fill_n(tar->begin() + static_cast<ptrdiff_t>(offset) + 148, 8, ' ');
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<uint8_t>((*tar)[offset + i]);
  tar->replace(offset + 148, 7, absl::StrFormat("%06o", sum) + std::string(1, '\0'));
}

std::string MakeTar(const std::vector<TarEntry>& entries) {
  std::string tar;
  for (const TarEntry& entry : entries) {
    const size_t at = tar.size();
    std::string header(512, '\0');
    header.replace(0, entry.name.size(), entry.name);
    header.replace(100, 8, std::string("0000644\0", 8));
    header.replace(124, 12, absl::StrFormat("%011o", entry.bytes.size()) + std::string(1, '\0'));
    header[156] = entry.type;
    header.replace(257, 8, std::string("ustar\00000", 8));
    tar += header;
    SealTarHeader(&tar, at);
    tar += entry.bytes;
    tar.resize((tar.size() + 511) / 512 * 512);
  }
  return tar + std::string(1024, '\0');
}

std::string MakeWav(int samples) {
  const auto bytes = static_cast<uint32_t>(2 * samples);
  std::string wav = "RIFF";
  AppendLittleEndian<uint32_t>(36 + bytes, &wav);
  wav += "WAVEfmt ";
  AppendLittleEndian<uint32_t>(16, &wav);
  AppendLittleEndian<uint16_t>(1, &wav);
  AppendLittleEndian<uint16_t>(1, &wav);
  AppendLittleEndian<uint32_t>(8000, &wav);
  AppendLittleEndian<uint32_t>(16000, &wav);
  AppendLittleEndian<uint16_t>(2, &wav);
  AppendLittleEndian<uint16_t>(16, &wav);
  wav += "data";
  AppendLittleEndian<uint32_t>(bytes, &wav);
  for (int i = 0; i < samples; ++i) AppendLittleEndian<int16_t>(static_cast<int16_t>(i), &wav);
  return wav;
}

std::string MakeIdx(const std::vector<uint32_t>& dimensions, const std::string& bytes) {
  std::string idx("\0\0\x08", 3);
  idx.push_back(static_cast<char>(dimensions.size()));
  for (const uint32_t dimension : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8)
      idx.push_back(static_cast<char>(dimension >> shift));
  }
  return idx + bytes;
}

std::string Gzip(const std::string& bytes) {
  z_stream stream = {};
  CVT_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CVT_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string VocObject(const std::string& name, int xmin, int ymin, int xmax, int ymax) {
  return absl::StrFormat(
      "<name>%s</name><difficult>0</difficult><bndbox><xmin>%d</xmin><ymin>%d</ymin>"
      "<xmax>%d</xmax><ymax>%d</ymax></bndbox>",
      name, xmin, ymin, xmax, ymax);
}

std::string MakeVoc(int width, int height, const std::vector<std::string>& objects) {
  std::string xml = absl::StrFormat(
      "<?xml version=\"1.0\"?>\n<annotation>\n<filename>../../etc/passwd</filename>\n"
      "<size><width>%d</width><height>%d</height><depth>3</depth></size>\n",
      width, height);
  for (const std::string& object : objects)
    absl::StrAppend(&xml, "<object>", object, "</object>\n");
  return xml + "</annotation>\n";
}

void SourceFiles::Put(const std::string& path, const std::string& bytes) {
  CVT_CHECK_OK(files.CreateDir(DirName(path)));
  CVT_CHECK_OK(WriteFileAtomic(files, path, bytes));
}

absl::StatusOr<DatasetListing> SourceFiles::List(const std::string& format, const std::string& root,
                                                 const ReaderOptions& options) {
  CVT_ASSIGN_OR_RETURN(const DatasetFormat* found, FindDatasetFormat(format));
  reader = found->make(files, root, options);
  return reader->List();
}

absl::StatusOr<std::string> SourceFiles::Guess(const std::string& root) {
  CVT_ASSIGN_OR_RETURN(const DatasetFormat* format, GuessDatasetFormat(files, root));
  return std::string(format->name);
}

std::string Samples(const DatasetListing& listing, const std::string& split) {
  for (const SourceSplit& one : listing.splits) {
    if (one.name != split) continue;
    std::string text = split + ":";
    for (const SourceSample& sample : one.samples) {
      absl::StrAppend(&text, " ", sample.key, "=", sample.label);
    }
    return text;
  }
  return "";
}

std::map<std::string, int> Skipped(const DatasetListing& listing) {
  std::map<std::string, int> causes;
  for (const SkippedSource& one : listing.skipped) ++causes[one.cause];
  return causes;
}

std::map<std::string, int> PassedOver(const DatasetListing& listing) {
  std::map<std::string, int> causes;
  for (const SkippedSource& one : listing.passed_over) ++causes[one.cause];
  return causes;
}

}  // namespace cvtrain::client::testing
