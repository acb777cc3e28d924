#ifndef CVTRAIN_CLIENT_DATASET_BUILD_FOLDER_H_
#define CVTRAIN_CLIENT_DATASET_BUILD_FOLDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/file_system.h"
#include "cvtrain/storage/v1/dataset_build.pb.h"

namespace cvtrain::client {

// Where a build keeps its shards until they are sent, so that one that was killed goes on where it
// was:
//
//   LOCK                 held as long as this lives
//   log                  entries of dataset_build.proto: u32 length, u32 CRC32C of it, the bytes
//   SPLIT-NNNNN.shard
//
// A shard is synced before its entry is. After a crash, the log is read to its first damaged entry,
// and the shards that it names to the first that is missing or has another digest; what is behind
// is removed and made again.
//
// Thread-compatible.
class BuildFolder {
 public:
  // Makes the folder `path` (0700), if it is not there, and locks it.
  // Returns FAILED_PRECONDITION (STATE_DIR_BUSY) if another process has it; the errors of `files`,
  // which must outlive this.
  static absl::StatusOr<std::unique_ptr<BuildFolder>> Open(FileSystem& files,
                                                           const std::string& path);

  // Takes what is there if it was made for `fingerprint`; else empties the folder, and starts a
  // build whose upload is `request_id`. Called once. Returns the errors of the files.
  absl::Status Begin(const std::string& fingerprint, const std::string& request_id);

  // After Begin().
  const std::string& request_id() const { return request_id_; }
  // Shards that are there, in their order.
  const std::vector<storage::v1::DatasetBuildShard>& finished() const { return finished_; }

  const std::string& path() const { return path_; }
  std::string ShardPath(const v1::Shard& shard) const;
  // A file to write a shard to, which Add() makes one of the folder.
  absl::StatusOr<std::unique_ptr<WritableFile>> NewShardFile();
  // Syncs and closes `file`, gives it the name of `entry.shard()`, and remembers it.
  absl::Status Add(std::unique_ptr<WritableFile> file, const storage::v1::DatasetBuildShard& entry);

  // Removes the shards, the log, the lock, and then the folder, unless something else is in it.
  absl::Status Remove();

 private:
  BuildFolder(FileSystem& files, std::string path, std::unique_ptr<FileLock> lock)
      : files_(files), path_(std::move(path)), lock_(std::move(lock)) {}

  absl::StatusOr<std::vector<storage::v1::DatasetBuildEntry>> ReadLog() const;
  // Whether the shard is there, whole.
  absl::StatusOr<bool> IsThere(const v1::Shard& shard) const;
  absl::Status RemoveOthers() const;
  absl::Status WriteLog();

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
  std::string fingerprint_;
  std::string request_id_;
  std::vector<storage::v1::DatasetBuildShard> finished_;
  std::unique_ptr<WritableFile> log_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_BUILD_FOLDER_H_
