#include "client/dataset/sound_check.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "common/little_endian.h"
#include "formats/audio/audio_info.h"

namespace cvtrain::client {
namespace {

constexpr size_t kChunkHeadBytes = 8;

// RIFF: chunks of a name, a length and as many bytes, filled up to an even number.
SoundProblem CheckWav(absl::string_view file) {
  uint64_t frame_bytes = 0;
  size_t at = 12;
  while (file.size() - at >= kChunkHeadBytes) {
    const absl::string_view name = file.substr(at, 4);
    const auto length = LoadLittleEndian<uint32_t>(file.data() + at + 4);
    const absl::string_view rest = file.substr(at + kChunkHeadBytes);
    if (name == "data") {
      if (frame_bytes == 0) return {"damaged", "wav: the samples come before their format"};
      // Who writes to a pipe does not know the length.
      const bool unknown = length == std::numeric_limits<uint32_t>::max();
      if (length > rest.size() && !unknown) return {"damaged", "wav: the file is cut off"};
      const uint64_t bytes = unknown ? rest.size() : length;
      return bytes < frame_bytes ? SoundProblem{"no_samples", "wav: has no samples"}
                                 : SoundProblem{};
    }
    if (length > rest.size()) return {"damaged", "wav: the file is cut off"};
    if (name == "fmt ") {
      if (length < 16) return {"damaged", "wav: its format is cut off"};
      const auto channels = LoadLittleEndian<uint16_t>(rest.data() + 2);
      const auto rate = LoadLittleEndian<uint32_t>(rest.data() + 4);
      frame_bytes = LoadLittleEndian<uint16_t>(rest.data() + 12);
      if (channels == 0 || rate == 0 || frame_bytes == 0) {
        return {"damaged", "wav: has no channels, or no rate"};
      }
    }
    at += std::min(kChunkHeadBytes + length + length % 2, file.size() - at);
  }
  return {"no_samples", "wav: has no samples"};
}

// Metadata blocks, the last of which is marked; frames begin with 14 ones.
SoundProblem CheckFlac(absl::string_view file) {
  size_t at = 4;
  bool last = false;
  while (!last) {
    if (file.size() - at < 4) return {"damaged", "flac: the file is cut off"};
    const auto head = [&](size_t i) { return static_cast<uint8_t>(file[at + i]); };
    last = (head(0) & 0x80) != 0;
    const size_t length = size_t{head(1)} << 16 | size_t{head(2)} << 8 | head(3);
    if (length > file.size() - at - 4) return {"damaged", "flac: the file is cut off"};
    at += 4 + length;
  }
  if (at == file.size()) return {"no_samples", "flac: has no samples"};
  const bool is_frame = file.size() - at >= 2 && static_cast<uint8_t>(file[at]) == 0xff &&
                        (static_cast<uint8_t>(file[at + 1]) & 0xfc) == 0xf8;
  return is_frame ? SoundProblem{} : SoundProblem{"damaged", "flac: no frame after its metadata"};
}

bool IsMpegFrame(absl::string_view bytes) {
  return bytes.size() >= 4 && static_cast<uint8_t>(bytes[0]) == 0xff &&
         (static_cast<uint8_t>(bytes[1]) & 0xe6) == 0xe2;  // layer III
}

// A tag of ID3, then frames.
SoundProblem CheckMp3(absl::string_view file) {
  size_t at = 0;
  if (absl::StartsWith(file, "ID3")) {
    if (file.size() < 10) return {"damaged", "mp3: the file is cut off"};
    size_t length = 0;
    for (size_t i = 6; i < 10; ++i) length = length << 7 | (file[i] & 0x7f);
    at = std::min(file.size(), 10 + length);
  }
  while (at < file.size() && file[at] == '\0') ++at;
  if (at == file.size()) return {"no_samples", "mp3: has no samples"};
  return IsMpegFrame(file.substr(at)) ? SoundProblem{}
                                      : SoundProblem{"damaged", "mp3: no frame after its tag"};
}

SoundProblem CheckHeaders(absl::string_view file) {
  switch (formats::SniffAudioKind(file)) {
    case formats::AudioKind::kWav:
      return CheckWav(file);
    case formats::AudioKind::kFlac:
      return CheckFlac(file);
    case formats::AudioKind::kMp3:
      return CheckMp3(file);
    case formats::AudioKind::kUnknown:
      break;
  }
  return {"not_a_sound", "sound: neither WAV nor FLAC nor MP3"};
}

}  // namespace

// The headers tell a file without samples from one whose samples are damaged; the rest is decoding.
SoundProblem CheckSound(absl::string_view file) {
  if (file.empty()) return {"empty", "sound: the file is empty"};
  SoundProblem problem = CheckHeaders(file);
  if (!problem.cause.empty()) return problem;
  const absl::Status status = formats::ReadAudioInfo(file).status();
  if (status.ok()) return {};
  return {absl::IsResourceExhausted(status) ? "too_large" : "damaged",
          std::string(status.message())};
}

}  // namespace cvtrain::client
