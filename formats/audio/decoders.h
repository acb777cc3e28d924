#ifndef CVTRAIN_FORMATS_AUDIO_DECODERS_H_
#define CVTRAIN_FORMATS_AUDIO_DECODERS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/audio/audio_info.h"

// Inside the audio library: what decodes each kind. Of what they return, frames may be 0, and the
// duration is not set; errors are those of ReadAudioInfo().
namespace cvtrain::formats::internal {

// Frames that are decoded at a time.
inline constexpr int64_t kFramesAtATime = 4096;

// By libsndfile. `kind` is kWav or kFlac.
absl::StatusOr<AudioInfo> ReadSoundFile(AudioKind kind, absl::string_view bytes,
                                        const AudioLimits& limits);

// By libmpg123.
absl::StatusOr<AudioInfo> ReadMp3(absl::string_view bytes, const AudioLimits& limits);

// INVALID_ARGUMENT (DATA_BAD): "audio: bad WAV: `problem`".
absl::Status BadSound(AudioKind kind, absl::string_view problem);

// Checks rate and channels, as a header has them.
absl::Status CheckHeader(const AudioInfo& info, const AudioLimits& limits);

// Checks `info.frames`, as a header has them or as they were counted so far.
absl::Status CheckFrames(const AudioInfo& info, const AudioLimits& limits);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_AUDIO_DECODERS_H_
