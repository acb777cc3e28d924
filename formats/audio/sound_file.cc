// The only file that calls libsndfile.

#include <sndfile.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "common/little_endian.h"
#include "common/status_macros.h"
#include "formats/audio/decoders.h"

namespace cvtrain::formats::internal {
namespace {

struct MemoryFile {
  absl::string_view bytes;
  sf_count_t offset = 0;
};

sf_count_t OnLength(void* user) {
  return static_cast<sf_count_t>(static_cast<MemoryFile*>(user)->bytes.size());
}

sf_count_t OnSeek(sf_count_t offset, int whence, void* user) {
  auto* file = static_cast<MemoryFile*>(user);
  const sf_count_t from = whence == SEEK_SET   ? 0
                          : whence == SEEK_CUR ? file->offset
                                               : OnLength(user);
  if (__builtin_add_overflow(from, offset, &offset) || offset < 0) return -1;
  file->offset = offset;
  return offset;
}

sf_count_t OnRead(void* to, sf_count_t count, void* user) {
  auto* file = static_cast<MemoryFile*>(user);
  const sf_count_t left = OnLength(user) - file->offset;
  if (count <= 0 || left <= 0) return 0;
  count = std::min(count, left);
  std::memcpy(to, file->bytes.data() + file->offset, static_cast<size_t>(count));
  file->offset += count;
  return count;
}

sf_count_t OnWrite(const void* /*from*/, sf_count_t /*count*/, void* /*user*/) { return 0; }

sf_count_t OnTell(void* user) { return static_cast<MemoryFile*>(user)->offset; }

struct Closer {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

// libsndfile shortens the samples of a WAV to what is there, and says nothing: so that is looked at
// here. A length of all ones is that of a writer that could not go back to set it.
absl::Status CheckLengthOfWav(absl::string_view bytes) {
  constexpr uint32_t kUnknown = 0xffffffff;
  for (size_t at = 12; bytes.size() - at >= 8;) {
    const uint32_t length = LoadLittleEndian<uint32_t>(bytes.data() + at + 4);
    const size_t left = bytes.size() - at - 8;
    if (bytes.substr(at, 4) == "data") {
      if (length <= left || length == kUnknown) return absl::OkStatus();
      return BadSound(AudioKind::kWav, "the file is truncated");
    }
    if (length > left) break;
    at += std::min<size_t>(bytes.size() - at, size_t{8} + length + length % 2);
  }
  return BadSound(AudioKind::kWav, "it has no chunk of samples");
}

// Reads to the end and counts. `claimed`: what the header says, or -1.
absl::Status CountFrames(SNDFILE* file, int64_t claimed, const AudioLimits& limits,
                         AudioInfo* info) {
  std::vector<float> samples(static_cast<size_t>(kFramesAtATime * info->channels));
  for (;;) {
    const sf_count_t got = sf_readf_float(file, samples.data(), kFramesAtATime);
    if (got <= 0) break;
    info->frames += got;
    CVT_RETURN_IF_ERROR(CheckFrames(*info, limits));
  }
  if (sf_error(file) != SF_ERR_NO_ERROR) return BadSound(info->kind, sf_strerror(file));
  if (claimed >= 0 && info->frames != claimed) {
    return BadSound(info->kind, "it has fewer samples than its header says");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AudioInfo> ReadSoundFile(AudioKind kind, absl::string_view bytes,
                                        const AudioLimits& limits) {
  if (kind == AudioKind::kWav) CVT_RETURN_IF_ERROR(CheckLengthOfWav(bytes));
  SF_VIRTUAL_IO io = {OnLength, OnSeek, OnRead, OnWrite, OnTell};
  MemoryFile memory{.bytes = bytes};
  SF_INFO header = {};
  const std::unique_ptr<SNDFILE, Closer> file(sf_open_virtual(&io, SFM_READ, &header, &memory));
  // The library keeps why in a variable of the process, which another thread may write.
  if (file == nullptr) return BadSound(kind, "its header cannot be read");
  const int type = header.format & SF_FORMAT_TYPEMASK;
  const bool expected = kind == AudioKind::kFlac ? type == SF_FORMAT_FLAC
                                                 : type == SF_FORMAT_WAV || type == SF_FORMAT_WAVEX;
  if (!expected) return BadSound(kind, "its header is that of another kind");
  AudioInfo info;
  info.kind = kind;
  info.sample_rate = header.samplerate;
  info.channels = header.channels;
  CVT_RETURN_IF_ERROR(CheckHeader(info, limits));
  const bool known = header.frames != std::numeric_limits<sf_count_t>::max();
  info.frames = known ? header.frames : 0;
  CVT_RETURN_IF_ERROR(CheckFrames(info, limits));
  info.frames = 0;
  CVT_RETURN_IF_ERROR(CountFrames(file.get(), known ? header.frames : -1, limits, &info));
  return info;
}

}  // namespace cvtrain::formats::internal
