// The only file that calls libmpg123: for MP3, libsndfile would leave it printing to standard
// error.

#include <mpg123.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "formats/audio/decoders.h"

namespace cvtrain::formats::internal {
namespace {

static_assert(MPG123_API_VERSION >= 46, "older ones want mpg123_init() first");

struct Mp3Source {
  absl::string_view bytes;
  int64_t offset = 0;
};

ssize_t OnRead(void* user, void* to, size_t count) {
  auto* file = static_cast<Mp3Source*>(user);
  const int64_t left = static_cast<int64_t>(file->bytes.size()) - file->offset;
  if (left <= 0) return 0;
  count = std::min(count, static_cast<size_t>(left));
  std::memcpy(to, file->bytes.data() + file->offset, count);
  file->offset += static_cast<int64_t>(count);
  return static_cast<ssize_t>(count);
}

off_t OnSeek(void* user, off_t offset, int whence) {
  auto* file = static_cast<Mp3Source*>(user);
  const auto size = static_cast<int64_t>(file->bytes.size());
  const int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file->offset : size;
  int64_t to = 0;
  if (__builtin_add_overflow(from, int64_t{offset}, &to) || to < 0) return -1;
  file->offset = to;
  return to;
}

struct Deleter {
  void operator()(mpg123_handle* handle) const { mpg123_delete(handle); }
};
using Mp3Handle = std::unique_ptr<mpg123_handle, Deleter>;

// `file` must outlive the handle. Null if there is no memory.
Mp3Handle Open(Mp3Source* file) {
  Mp3Handle handle(mpg123_new(nullptr, nullptr));
  if (handle == nullptr) return nullptr;
  // Tags are not read. Search as long as it takes for the next frame: pictures and texts are stored
  // between them, and after the last one.
  mpg123_param(handle.get(), MPG123_ADD_FLAGS,
               MPG123_QUIET | MPG123_GAPLESS | MPG123_NO_FRANKENSTEIN | MPG123_SKIP_ID3V2, 0);
  mpg123_param(handle.get(), MPG123_REMOVE_FLAGS, MPG123_AUTO_RESAMPLE, 0);
  mpg123_param(handle.get(), MPG123_RESYNC_LIMIT, -1, 0);
  if (mpg123_replace_reader_handle(handle.get(), OnRead, OnSeek, nullptr) != MPG123_OK ||
      mpg123_open_handle(handle.get(), file) != MPG123_OK) {
    return nullptr;
  }
  return handle;
}

}  // namespace

absl::StatusOr<AudioInfo> ReadMp3(absl::string_view bytes, const AudioLimits& limits) {
  Mp3Source file{.bytes = bytes};
  const Mp3Handle handle = Open(&file);
  if (handle == nullptr) return BadSound(AudioKind::kMp3, "it cannot be opened");
  AudioInfo info;
  info.kind = AudioKind::kMp3;
  long rate = 0;
  int encoding = 0;
  const int found = mpg123_getformat(handle.get(), &rate, &info.channels, &encoding);
  if (found == MPG123_DONE) return info;  // no frame in it, no samples
  if (found != MPG123_OK) return BadSound(info.kind, mpg123_strerror(handle.get()));
  info.sample_rate = static_cast<int>(rate);
  CVT_RETURN_IF_ERROR(CheckHeader(info, limits));
  const size_t frame_bytes =
      static_cast<size_t>(info.channels) * static_cast<size_t>(mpg123_encsize(encoding));
  if (frame_bytes == 0) return BadSound(info.kind, "its samples have no size");
  std::vector<unsigned char> samples(static_cast<size_t>(kFramesAtATime) * frame_bytes);
  for (;;) {
    size_t got = 0;
    const int result = mpg123_read(handle.get(), samples.data(), samples.size(), &got);
    info.frames += static_cast<int64_t>(got / frame_bytes);
    CVT_RETURN_IF_ERROR(CheckFrames(info, limits));
    if (result == MPG123_DONE) return info;
    if (result == MPG123_OK) continue;
    return BadSound(info.kind, result == MPG123_NEW_FORMAT ? "its sampling rate or channels change"
                                                           : mpg123_strerror(handle.get()));
  }
}

}  // namespace cvtrain::formats::internal
