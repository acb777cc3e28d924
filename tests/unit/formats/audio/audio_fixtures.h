#ifndef CVTRAIN_TESTS_UNIT_FORMATS_AUDIO_AUDIO_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_AUDIO_AUDIO_FIXTURES_H_

#include <cstdint>
#include <string>

#include "formats/audio/audio_info.h"

// Sound files of every kind, made where they are used.
namespace cvtrain::formats::testing {

enum class WavEncoding { kPcm8, kPcm16, kPcm24, kFloat, kMuLaw, kImaAdpcm, kMsAdpcm };

struct SoundFixture {
  AudioKind kind = AudioKind::kWav;
  int sample_rate = 16'000;
  int channels = 1;
  int64_t frames = 4'000;
  WavEncoding encoding = WavEncoding::kPcm16;  // of a WAV
  bool silent = false;
};

// A tone with some noise. A function of its arguments.
std::string MakeSound(const SoundFixture& fixture = {});

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_AUDIO_AUDIO_FIXTURES_H_
