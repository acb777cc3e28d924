#ifndef CVTRAIN_COORDINATOR_STORAGE_LOG_DAMAGE_H_
#define CVTRAIN_COORDINATOR_STORAGE_LOG_DAMAGE_H_

#include <string>

#include "common/file_system.h"

namespace cvtrain::coordinator {

// Finds the first record with a wrong checksum in the logs of the RocksDB database in `directory`:
// "000012.log at offset 4711"; "" if there is none. RocksDB itself says only that there is one.
// Reads; changes nothing.
std::string DescribeLogDamage(FileSystem& files, const std::string& directory);

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_LOG_DAMAGE_H_
