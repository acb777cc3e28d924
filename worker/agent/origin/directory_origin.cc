#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "worker/agent/origin/shard_origin.h"

namespace cvtrain::worker {
namespace {

// What is read at once: large, for file systems on the network.
constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

class DirectoryOrigin : public ShardOrigin {
 public:
  DirectoryOrigin(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  const std::string& name() const override { return directory_; }

  absl::Status Fetch(const ContentKey& key, uint64_t offset, uint64_t length, const ByteSink& sink,
                     const StopToken& stop) override {
    const auto opened = files_.OpenBeneath(directory_, key.digest);
    if (absl::IsNotFound(opened.status())) {
      // A share that is not mounted is no share without this shard.
      if (absl::IsNotFound(files_.Stat(directory_).status())) {
        return Unavailable(Reason::kServerUnreachable, absl::StrCat(directory_, ": is not there"));
      }
      return NotFound(Reason::kShardNotFound, absl::StrCat(key.digest, " is not in ", directory_));
    }
    CVT_RETURN_IF_ERROR(opened.status());
    const RandomAccessFile& file = **opened;
    CVT_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
    if (size != key.size_bytes) {
      return NotFound(Reason::kShardNotFound,
                      absl::StrCat(key.digest, " in ", directory_, " has ", size,
                                   " bytes, the shard has ", key.size_bytes));
    }
    std::string piece(std::min(length, kPieceBytes), '\0');
    for (const uint64_t end = offset + length; offset < end;) {
      if (stop.stop_requested()) return Cancelled(Reason::kStopping, "the attempt is over");
      piece.resize(std::min(end - offset, kPieceBytes));
      CVT_ASSIGN_OR_RETURN(const size_t read, file.Read(offset, absl::MakeSpan(piece)));
      if (read < piece.size()) {
        return Unavailable(Reason::kServerUnreachable,
                           absl::StrCat(key.digest, " in ", directory_, " was cut off meanwhile"));
      }
      CVT_RETURN_IF_ERROR(sink(piece));
      offset += read;
    }
    return absl::OkStatus();
  }

 private:
  FileSystem& files_;
  const std::string directory_;
};

}  // namespace

std::unique_ptr<ShardOrigin> NewDirectoryOrigin(FileSystem& files, std::string directory) {
  return std::make_unique<DirectoryOrigin>(files, std::move(directory));
}

}  // namespace cvtrain::worker
