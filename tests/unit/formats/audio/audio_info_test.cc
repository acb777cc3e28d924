#include "formats/audio/audio_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/little_endian.h"
#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/formats/audio/audio_fixtures.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::MakeSound;
using ::cvtrain::formats::testing::SoundFixture;
using ::cvtrain::formats::testing::WavEncoding;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr AudioKind kKinds[] = {AudioKind::kWav, AudioKind::kFlac, AudioKind::kMp3};

auto Bad(const char* text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD"), Message(HasSubstr(text)));
}

auto TooLarge(const char* text) {
  return StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED"),
                  Message(HasSubstr(text)));
}

TEST(AudioInfoTest, ReadsEveryKind) {
  for (const AudioKind kind : kKinds) {
    for (const int channels : {1, 2}) {
      SCOPED_TRACE(static_cast<int>(kind) * 10 + channels);
      const std::string file =
          MakeSound({.kind = kind, .sample_rate = 22'050, .channels = channels, .frames = 11'025});
      CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info, ReadAudioInfo(file));
      EXPECT_EQ(info.kind, kind);
      EXPECT_EQ(info.sample_rate, 22'050);
      EXPECT_EQ(info.channels, channels);
      if (kind == AudioKind::kMp3) {  // whole frames of 576
        EXPECT_NEAR(static_cast<double>(info.frames), 11'025, 2 * 576);
      } else {
        EXPECT_EQ(info.frames, 11'025);
        EXPECT_EQ(info.duration, absl::Milliseconds(500));
      }
      EXPECT_EQ(info.duration, absl::Seconds(info.frames) / 22'050);
    }
  }
}

TEST(AudioInfoTest, ReadsEveryEncodingOfWav) {
  for (const WavEncoding encoding : {WavEncoding::kPcm8, WavEncoding::kPcm16, WavEncoding::kPcm24,
                                     WavEncoding::kFloat, WavEncoding::kMuLaw}) {
    CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info,
                             ReadAudioInfo(MakeSound({.encoding = encoding})));
    EXPECT_EQ(info.frames, 4'000);
  }
  for (const WavEncoding encoding : {WavEncoding::kImaAdpcm, WavEncoding::kMsAdpcm}) {
    CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info,
                             ReadAudioInfo(MakeSound({.encoding = encoding})));
    EXPECT_GE(info.frames, 4'000);  // whole blocks
  }
}

TEST(AudioInfoTest, GoesByContent) {
  EXPECT_EQ(SniffAudioKind("RIFF1234WAVEfmt "), AudioKind::kWav);
  EXPECT_EQ(SniffAudioKind("RIFF1234WEBPVP8 "), AudioKind::kUnknown);
  EXPECT_EQ(SniffAudioKind("fLaC"), AudioKind::kFlac);
  EXPECT_EQ(SniffAudioKind("ID3\x03"), AudioKind::kMp3);
  EXPECT_EQ(SniffAudioKind("\xff\xfb\x90\x64"), AudioKind::kMp3);
  EXPECT_EQ(SniffAudioKind("\xff\xf3\x90\x64"), AudioKind::kMp3);      // MPEG 2
  EXPECT_EQ(SniffAudioKind("\xff\xf1\x50\x80"), AudioKind::kUnknown);  // AAC
  EXPECT_EQ(SniffAudioKind("\xff\xeb\x90\x64"), AudioKind::kUnknown);  // a reserved version
  EXPECT_EQ(SniffAudioKind("\xff\xfb\xf0\x64"), AudioKind::kUnknown);  // no bit rate
  EXPECT_EQ(SniffAudioKind("\xff\xfb\x9c\x64"), AudioKind::kUnknown);  // no sampling rate
  EXPECT_EQ(SniffAudioKind("\xff\xd8\xff\xe0"), AudioKind::kUnknown);  // a JPEG
  EXPECT_EQ(SniffAudioKind("OggS"), AudioKind::kUnknown);
  EXPECT_EQ(SniffAudioKind(""), AudioKind::kUnknown);
}

TEST(AudioInfoTest, RefusesWhatIsNoSound) {
  EXPECT_THAT(ReadAudioInfo(""), Bad("the file is empty"));
  EXPECT_THAT(ReadAudioInfo("OggS and more"), Bad("neither WAV, FLAC nor MP3"));
  EXPECT_THAT(ReadAudioInfo("RIFF1234WAVE"), Bad("no chunk of samples"));
  EXPECT_THAT(ReadAudioInfo("fLaC"), Bad("bad FLAC"));
  // FLAC in a WAV's clothes, and the other way round.
  const std::string flac = MakeSound({.kind = AudioKind::kFlac});
  const std::string wav = MakeSound();
  EXPECT_THAT(ReadAudioInfo(wav.substr(0, 12) + flac), Bad("bad WAV"));
  EXPECT_THAT(ReadAudioInfo("fLaC" + wav), Bad("bad FLAC"));
}

TEST(AudioInfoTest, SaysThatThereAreNoSamples) {
  for (const int channels : {1, 2}) {
    EXPECT_THAT(ReadAudioInfo(MakeSound({.channels = channels, .frames = 0})), Bad("no samples"));
  }
  std::string flac = MakeSound({.kind = AudioKind::kFlac}).substr(0, 42);  // its first block only
  flac[4] = static_cast<char>(0x80);                                       // which is the last
  flac[24] = flac[25] = 0;
  EXPECT_THAT(ReadAudioInfo(flac), Bad("no samples"));
  std::string tag("ID3\x03\0\0\0\0\0\x10", 10);  // 16 bytes, and nothing after them
  EXPECT_THAT(ReadAudioInfo(tag + std::string(16, '\0')), Bad("no samples"));
}

TEST(AudioInfoTest, FindsATruncationAtEachLength) {
  for (const AudioKind kind : {AudioKind::kWav, AudioKind::kFlac}) {
    const std::string file = MakeSound({.kind = kind, .frames = 500});
    for (size_t length = 0; length < file.size(); ++length) {
      // A copy, so that a sanitizer sees a read past its end.
      const std::vector<char> cut(file.data(), file.data() + length);
      ASSERT_THAT(ReadAudioInfo(absl::string_view(cut.data(), cut.size())), Bad("audio: "))
          << length << " of " << file.size();
    }
  }
}

TEST(AudioInfoTest, TakesAWavOfAWriterThatCouldNotGoBack) {
  std::string file = MakeSound();
  StoreLittleEndian<uint32_t>(0xffffffff, file.data() + 4);
  StoreLittleEndian<uint32_t>(0xffffffff, file.data() + 40);
  CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info, ReadAudioInfo(file));
  EXPECT_EQ(info.frames, 4'000);
}

TEST(AudioInfoTest, TakesPicturesAndTextsAroundAnMp3) {
  const std::string file = MakeSound({.kind = AudioKind::kMp3});
  CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo alone, ReadAudioInfo(file));
  const std::string tag =
      std::string("ID3\x03\0\0\0\0\x1f\x76", 10) + std::string(31 * 128 + 118, 'x');
  const std::string ape = "APETAGEX" + std::string(5'000, 'y');
  const std::string id3v1 = "TAG" + std::string(125, ' ');
  CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo tagged, ReadAudioInfo(tag + file + ape + id3v1));
  EXPECT_EQ(tagged.frames, alone.frames);
}

TEST(AudioInfoTest, FindsHeadersThatLie) {
  const std::string wav = MakeSound({.channels = 2});
  const auto with16 = [&](size_t at, uint16_t value) {
    std::string changed = wav;
    StoreLittleEndian<uint16_t>(value, changed.data() + at);
    return ReadAudioInfo(changed);
  };
  EXPECT_THAT(with16(22, 0), Bad("bad WAV"));          // channels
  EXPECT_THAT(with16(22, 9), TooLarge("9 channels"));  //
  EXPECT_THAT(with16(20, 0x7777), Bad("bad WAV"));     // encoding
  std::string rate = wav;
  StoreLittleEndian<uint32_t>(0, rate.data() + 24);
  EXPECT_THAT(ReadAudioInfo(rate), Bad("bad WAV"));

  std::string flac = MakeSound({.kind = AudioKind::kFlac});
  // 36 bits of the number of samples end at byte 26.
  ASSERT_EQ(static_cast<uint8_t>(flac[25]), 0xa0) << "4,000 is 0xfa0";
  flac[25] = static_cast<char>(0xa1);
  EXPECT_THAT(ReadAudioInfo(flac), Bad("fewer samples than its header says"));
  flac[24] = flac[25] = 0;  // unknown: it is counted
  CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info, ReadAudioInfo(flac));
  EXPECT_EQ(info.frames, 4'000);
}

TEST(AudioInfoTest, FindsDamageOfFlac) {
  const std::string good = MakeSound({.kind = AudioKind::kFlac});
  CVT_ASSERT_OK(ReadAudioInfo(good));
  int found = 0;
  for (size_t at = good.size() - 400; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    found += ReadAudioInfo(bad).ok() ? 0 : 1;
  }
  EXPECT_EQ(found, 400);  // frames have checksums
}

TEST(AudioInfoTest, StopsAtItsLimits) {
  for (const AudioKind kind : kKinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    const std::string file = MakeSound({.kind = kind, .channels = 2, .frames = 6'000});
    EXPECT_THAT(ReadAudioInfo(file, {.file_bytes_max = 100}), TooLarge("at most 100 are read"));
    EXPECT_THAT(ReadAudioInfo(file, {.channels_max = 1}), TooLarge("2 channels, at most 1"));
    EXPECT_THAT(ReadAudioInfo(file, {.frames_max = 4'999}), TooLarge("at most 4999 are read"));
  }
  // A bomb whose header says nothing of its length.
  std::string silence = MakeSound({.kind = AudioKind::kFlac, .frames = 500'000, .silent = true});
  EXPECT_LT(silence.size(), 12'000u);
  silence[23] = silence[24] = silence[25] = 0;
  CVT_ASSERT_OK_AND_ASSIGN(const AudioInfo info, ReadAudioInfo(silence));
  EXPECT_EQ(info.frames, 500'000);
  EXPECT_THAT(ReadAudioInfo(silence, {.frames_max = 100'000}), TooLarge("at most 100000 are read"));
}

TEST(AudioInfoTest, SurvivesAnyDamageInSilence) {
  KeyedStream random("audio-info-test/v1", {cvtrain::testing::TestSeed()});
  ::testing::internal::CaptureStderr();
  int bad = 0;
  for (const AudioKind kind : kKinds) {
    const std::string good = MakeSound({.kind = kind, .frames = 1'200});
    for (int i = 0; i < 400; ++i) {
      std::vector<char> changed(good.begin(), good.end());
      const size_t region = i % 2 == 0 ? 120 : changed.size();
      for (int k = 0; k < 4; ++k) {
        changed[random.UniformInt(region)] = static_cast<char>(random.NextU32());
      }
      const auto info = ReadAudioInfo(absl::string_view(changed.data(), changed.size()));
      bad += info.ok() ? 0 : 1;
    }
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(bad, 0);
}

}  // namespace
}  // namespace cvtrain::formats
