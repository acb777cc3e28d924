// A sound file: WAV, FLAC or MP3, decoded to its end.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "formats/audio/audio_info.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain::formats;
  const AudioLimits limits{.frames_max = 1 << 18};
  const auto info =
      ReadAudioInfo(absl::string_view(reinterpret_cast<const char*>(data), size), limits);
  if (!info.ok()) return 0;
  CVT_CHECK(info->frames >= 1 && info->frames <= limits.frames_max);
  CVT_CHECK(info->channels >= 1 && info->channels <= limits.channels_max);
  CVT_CHECK(info->sample_rate >= 1 && info->duration > absl::ZeroDuration());
  return 0;
}
