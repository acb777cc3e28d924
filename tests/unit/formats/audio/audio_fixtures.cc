#include "tests/unit/formats/audio/audio_fixtures.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/random.h"
#include "common/status_macros.h"

namespace cvtrain::formats::testing {
namespace {

struct Written {
  std::string bytes;
  size_t offset = 0;
};

sf_count_t OnLength(void* user) {
  return static_cast<sf_count_t>(static_cast<Written*>(user)->bytes.size());
}
sf_count_t OnSeek(sf_count_t offset, int whence, void* user) {
  auto* to = static_cast<Written*>(user);
  if (whence == SEEK_CUR) offset += static_cast<sf_count_t>(to->offset);
  if (whence == SEEK_END) offset += OnLength(user);
  to->offset = static_cast<size_t>(offset);
  return offset;
}
sf_count_t OnRead(void* into, sf_count_t count, void* user) {
  auto* from = static_cast<Written*>(user);
  const size_t got = from->bytes.copy(static_cast<char*>(into), static_cast<size_t>(count),
                                      std::min(from->offset, from->bytes.size()));
  from->offset += got;
  return static_cast<sf_count_t>(got);
}
sf_count_t OnWrite(const void* from, sf_count_t count, void* user) {
  auto* to = static_cast<Written*>(user);
  const auto size = static_cast<size_t>(count);
  to->bytes.resize(std::max(to->bytes.size(), to->offset + size));
  std::memcpy(to->bytes.data() + to->offset, from, size);
  to->offset += size;
  return count;
}
sf_count_t OnTell(void* user) {
  return static_cast<sf_count_t>(static_cast<Written*>(user)->offset);
}

int FormatOf(const SoundFixture& fixture) {
  if (fixture.kind == AudioKind::kFlac) return SF_FORMAT_FLAC | SF_FORMAT_PCM_16;
  if (fixture.kind == AudioKind::kMp3) return SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
  switch (fixture.encoding) {
    case WavEncoding::kPcm8:
      return SF_FORMAT_WAV | SF_FORMAT_PCM_U8;
    case WavEncoding::kPcm16:
      return SF_FORMAT_WAV | SF_FORMAT_PCM_16;
    case WavEncoding::kPcm24:
      return SF_FORMAT_WAV | SF_FORMAT_PCM_24;
    case WavEncoding::kFloat:
      return SF_FORMAT_WAV | SF_FORMAT_FLOAT;
    case WavEncoding::kMuLaw:
      return SF_FORMAT_WAV | SF_FORMAT_ULAW;
    case WavEncoding::kImaAdpcm:
      return SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM;
    default:
      return SF_FORMAT_WAV | SF_FORMAT_MS_ADPCM;
  }
}

}  // namespace

std::string MakeSound(const SoundFixture& fixture) {
  SF_VIRTUAL_IO io = {OnLength, OnSeek, OnRead, OnWrite, OnTell};
  Written written;
  SF_INFO info = {};
  info.samplerate = fixture.sample_rate;
  info.channels = fixture.channels;
  info.format = FormatOf(fixture);
  SNDFILE* file = sf_open_virtual(&io, SFM_WRITE, &info, &written);
  CVT_CHECK(file != nullptr) << sf_strerror(nullptr);
  KeyedStream noise("audio-fixture/v1", {1});
  std::vector<float> frame(static_cast<size_t>(fixture.channels));
  for (int64_t i = 0; i < fixture.frames; ++i) {
    const double tone = 0.4 * std::sin(0.05 * static_cast<double>(i));
    for (float& sample : frame) {
      sample = fixture.silent ? 0.0F : static_cast<float>(tone + noise.Uniform(-0.05, 0.05));
    }
    CVT_CHECK(sf_writef_float(file, frame.data(), 1) == 1);
  }
  CVT_CHECK(sf_close(file) == 0);
  return written.bytes;
}

}  // namespace cvtrain::formats::testing
