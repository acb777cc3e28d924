#ifndef CVTRAIN_COORDINATOR_STORAGE_ROCKS_FILE_SYSTEM_H_
#define CVTRAIN_COORDINATOR_STORAGE_ROCKS_FILE_SYSTEM_H_

#include <memory>

#include "common/file_system.h"

// For this folder only: it names RocksDB.
namespace rocksdb {
class Env;
class FileSystem;
}  // namespace rocksdb

namespace cvtrain::coordinator {

// A RocksDB file system whose files are those of `files`, so that the database runs in memory and
// meets the faults and crashes of a FaultyFileSystem. The machine's own files do not go through it:
// RocksDB knows them better.
//
// It has no links and no memory maps: an ingested table is copied. `files` must outlive it.
// Thread-safe.
std::shared_ptr<rocksdb::FileSystem> NewRocksFileSystem(FileSystem& files);

// An environment over `files`, for such a file system, in which RocksDB never sleeps. It would
// sleep for a second after each background failure, in case the disk recovers; a planned fault does
// not.
std::unique_ptr<rocksdb::Env> NewRocksTestEnv(const std::shared_ptr<rocksdb::FileSystem>& files);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_ROCKS_FILE_SYSTEM_H_
