#ifndef CVTRAIN_FORMATS_AUDIO_AUDIO_INFO_H_
#define CVTRAIN_FORMATS_AUDIO_AUDIO_INFO_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cvtrain::formats {

// Of one sound file: its bytes, samples of each channel (46 minutes at 48 kHz), and channels.
inline constexpr size_t kAudioFileSizeBytesMax = size_t{64} << 20;
inline constexpr int64_t kAudioFramesMax = int64_t{1} << 27;
inline constexpr int kAudioChannelsMax = 8;

// What is accepted. File and header are checked before anything is decoded, and frames are counted
// while it is, whatever the header says.
struct AudioLimits {
  // Of the file.
  int64_t file_bytes_max = kAudioFileSizeBytesMax;
  // Samples of each channel.
  int64_t frames_max = kAudioFramesMax;
  int channels_max = kAudioChannelsMax;
};

enum class AudioKind : uint8_t { kUnknown = 0, kWav = 1, kFlac = 2, kMp3 = 3 };

// What is known of a sound file, all of it from decoding it.
struct AudioInfo {
  AudioKind kind = AudioKind::kUnknown;
  int sample_rate = 0;  // Hz
  int channels = 0;
  int64_t frames = 0;  // samples of each channel, at least 1
  absl::Duration duration;
};

// Kind by content: the first bytes, never the name. An MP3 begins with an ID3 tag or with a frame
// of layer III.
AudioKind SniffAudioKind(absl::string_view bytes);

// Decodes all of a file (WAV in any encoding that libsndfile has, FLAC, MP3), and keeps none of it:
// it needs memory for some thousand frames. Never reads past the bytes given, never writes to
// standard error. Thread-safe.
//
// Returns INVALID_ARGUMENT (DATA_BAD) if `bytes` are empty, of another kind, have no good header,
// are truncated, or are damaged as far as the kind shows it, and, with a text of its own, if there
// are no samples; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED), with the limit's name, outside `limits`. A
// WAV has no checksums. An MP3 has neither these nor a length: what is no frame of it is skipped,
// as players do, and a cut is not noticed.
absl::StatusOr<AudioInfo> ReadAudioInfo(absl::string_view bytes, const AudioLimits& limits = {});

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_AUDIO_AUDIO_INFO_H_
