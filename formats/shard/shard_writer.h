#ifndef CVTRAIN_FORMATS_SHARD_SHARD_WRITER_H_
#define CVTRAIN_FORMATS_SHARD_SHARD_WRITER_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/file_system.h"
#include "cvtrain/storage/v1/annotation.pb.h"
#include "formats/shard/shard_format.h"
#include "formats/shard/shard_layout.h"

namespace cvtrain::formats {

struct ShardWriterOptions {
  // Split that all pictures belong to: 1 to 63 bytes.
  std::string split = "train";
  // Short sides of the rungs: ascending, distinct, at most kShardRungsMax, each in 1 to 16,384.
  std::vector<int> rungs{kDefaultRungs.begin(), kDefaultRungs.end()};
  // Labels must be below it.
  uint32_t classes = 1;
  // Only pictures may have rungs.
  ShardMedia media = ShardMedia::kPictures;
  // Pictures may have boxes and masks. This, or other media, makes it a shard of version 2.
  bool annotated = false;
};

// A picture, or a sound or another file, to be written. The bytes are copied by Add().
struct ShardPicture {
  // Unique in the split; 1 to 1,024 bytes.
  absl::string_view key;
  uint32_t label = 0;
  // Upright size of `source`; 0x0 for what is no picture, whose format is kOther.
  PictureSize size;
  SourceFormat source_format = SourceFormat::kJpeg;
  // 1 unless the source is an original that must be turned after decoding.
  int source_orientation = 1;
  // SHA-256 of the file that the picture was made from; 32 bytes.
  absl::string_view source_digest;
  // One for each rung of the options. Empty where the short side of `size` is not greater than the
  // rung's, and only there.
  std::vector<absl::string_view> rungs;
  absl::string_view source;
  // Null: none. In pixels of `source`; annotation_rules.h has its rules.
  const storage::v1::Annotation* annotation = nullptr;
};

struct ShardSummary {
  std::string uuid;
  int64_t records = 0;
  int64_t file_bytes = 0;
  // SHA-256 of the whole file, lower-case hex.
  std::string digest;
};

// Makes one shard. Holds the pictures in memory until Finish(), because rungs lie one after the
// other in the file: the caller ends a shard when pending_bytes() reaches its target.
//
// Thread-compatible.
class ShardWriter {
 public:
  explicit ShardWriter(ShardWriterOptions options);

  // Returns INVALID_ARGUMENT (FIELD_INVALID), and adds nothing, if the picture breaks a rule above;
  // RESOURCE_EXHAUSTED (LIMIT_EXCEEDED), and adds nothing, if the shard would grow over its limit.
  absl::Status Add(const ShardPicture& picture);

  int64_t records() const { return static_cast<int64_t>(pictures_.size()); }
  // About what the file will have, and its index, which has a bound of its own
  // (limits::kShardIndexSizeBytesMax).
  int64_t pending_bytes() const;
  int64_t pending_index_bytes() const;

  // Writes the shard to `file` from its beginning, in order, and leaves syncing and closing to the
  // caller; then the writer is empty again. The bytes depend on the options and on the pictures in
  // their order, on nothing else. Returns FAILED_PRECONDITION (WRONG_STATE) if there are no
  // pictures; the errors of `file`.
  absl::StatusOr<ShardSummary> Finish(WritableFile& file);

 private:
  struct Picture {
    uint32_t label;
    PictureSize size;
    SourceFormat format;
    int orientation;
    uint32_t key_offset;
    uint16_t key_length;
    std::array<uint32_t, kShardRungsMax + 1> offsets;
    std::array<uint32_t, kShardRungsMax + 1> lengths;
    uint32_t annotation_offset;
    uint32_t annotation_length;
  };

  bool is_annotated() const {
    return options_.annotated || options_.media != ShardMedia::kPictures;
  }
  absl::Status Check(const ShardPicture& picture) const;
  absl::Status CheckSource(const ShardPicture& picture) const;
  internal::ShardCounts Counts() const;
  std::string Index() const;
  std::string HeaderPage(const internal::ShardPlan& plan, absl::string_view index_digest) const;

  const ShardWriterOptions options_;
  std::vector<Picture> pictures_;
  std::string keys_;
  std::string source_digests_;
  std::string annotations_;
  std::vector<std::string> sections_;  // the bytes of each rung, then of the source
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_SHARD_SHARD_WRITER_H_
