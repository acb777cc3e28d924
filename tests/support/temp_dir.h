#ifndef CVTRAIN_TESTS_SUPPORT_TEMP_DIR_H_
#define CVTRAIN_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain::testing {

// A fresh directory on the real disk, mode 0700, removed with everything in it by the
// destructor; kept, and its path printed, if the environment variable
// CVTRAIN_KEEP_TEMP_DIRS is set. Paths are short enough for Unix sockets.
class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }
  // A path below it: dir / "state".
  std::string operator/(absl::string_view name) const;

 private:
  std::string path_;
};

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_TEMP_DIR_H_
