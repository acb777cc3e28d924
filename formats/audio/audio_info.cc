#include "formats/audio/audio_info.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/audio/decoders.h"

namespace cvtrain::formats {
namespace {

// Whether `bytes` begin with a frame header of MPEG 1, 2 or 2.5, layer III: 11 bits set, then
// version, layer, and later bit rate and sampling rate, some values of which mean nothing.
bool IsLayerThree(absl::string_view bytes) {
  if (bytes.size() < 4 || static_cast<uint8_t>(bytes[0]) != 0xff) return false;
  const auto second = static_cast<uint8_t>(bytes[1]);
  const auto third = static_cast<uint8_t>(bytes[2]);
  constexpr int kReservedVersion = 1;
  return (second & 0xe6) == 0xe2 && (second >> 3 & 3) != kReservedVersion && third >> 4 != 15 &&
         (third >> 2 & 3) != 3;
}

absl::StatusOr<AudioInfo> Decode(absl::string_view bytes, const AudioLimits& limits) {
  switch (const AudioKind kind = SniffAudioKind(bytes); kind) {
    case AudioKind::kWav:
    case AudioKind::kFlac:
      return internal::ReadSoundFile(kind, bytes, limits);
    case AudioKind::kMp3:
      return internal::ReadMp3(bytes, limits);
    case AudioKind::kUnknown:
      break;
  }
  return InvalidArgument(Reason::kDataBad, "audio: neither WAV, FLAC nor MP3");
}

}  // namespace

namespace internal {

absl::Status BadSound(AudioKind kind, absl::string_view problem) {
  const char* name = kind == AudioKind::kWav ? "WAV" : kind == AudioKind::kFlac ? "FLAC" : "MP3";
  return InvalidArgument(Reason::kDataBad, absl::StrCat("audio: bad ", name, ": ", problem));
}

absl::Status CheckHeader(const AudioInfo& info, const AudioLimits& limits) {
  if (info.channels < 1 || info.sample_rate < 1) {
    return BadSound(info.kind, "its header says no channels or no sampling rate");
  }
  if (info.channels > limits.channels_max) {
    return LimitExceeded("kAudioChannelsMax",
                         absl::StrCat("audio: the header says ", info.channels,
                                      " channels, at most ", limits.channels_max, " are read"));
  }
  return absl::OkStatus();
}

absl::Status CheckFrames(const AudioInfo& info, const AudioLimits& limits) {
  if (info.frames <= limits.frames_max) return absl::OkStatus();
  return LimitExceeded("kAudioFramesMax",
                       absl::StrCat("audio: the file has ", info.frames,
                                    " samples or more, at most ", limits.frames_max, " are read"));
}

}  // namespace internal

AudioKind SniffAudioKind(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WAVE") {
    return AudioKind::kWav;
  }
  if (absl::StartsWith(bytes, "fLaC")) return AudioKind::kFlac;
  if (absl::StartsWith(bytes, "ID3") || IsLayerThree(bytes)) return AudioKind::kMp3;
  return AudioKind::kUnknown;
}

absl::StatusOr<AudioInfo> ReadAudioInfo(absl::string_view bytes, const AudioLimits& limits) {
  if (bytes.empty()) return InvalidArgument(Reason::kDataBad, "audio: the file is empty");
  const auto file_bytes = static_cast<int64_t>(bytes.size());
  if (file_bytes > limits.file_bytes_max) {
    return LimitExceeded("kAudioFileSizeBytesMax",
                         absl::StrCat("audio: the file has ", file_bytes, " bytes, at most ",
                                      limits.file_bytes_max, " are read"));
  }
  CVT_ASSIGN_OR_RETURN(AudioInfo info, Decode(bytes, limits));
  if (info.frames == 0) {
    return InvalidArgument(Reason::kDataBad, "audio: the file has no samples");
  }
  info.duration = absl::Seconds(info.frames) / info.sample_rate;
  return info;
}

}  // namespace cvtrain::formats
