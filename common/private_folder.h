#ifndef CVTRAIN_COMMON_PRIVATE_FOLDER_H_
#define CVTRAIN_COMMON_PRIVATE_FOLDER_H_

#include <string>

#include "absl/status/status.h"

namespace cvtrain {

// Whether only we can have put there what is in the folder `path`: it is a folder and no link,
// ours, and nobody else may write to it. For folders with names that others can guess, in places
// where others may make some.
//
// Returns PERMISSION_DENIED (FILE_FORBIDDEN) if not; NOT_FOUND (FILE_NOT_FOUND).
absl::Status CheckPrivateFolder(const std::string& path);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_PRIVATE_FOLDER_H_
