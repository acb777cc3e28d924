#include "tests/support/temp_dir.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/env.h"
#include "common/file_system.h"
#include "common/status_macros.h"

namespace cvtrain::testing {

TempDir::TempDir() {
  const std::string base = GetEnv("TMPDIR").value_or("/tmp");
  std::string pattern = absl::StrCat(base, "/cvt.XXXXXX");
  CVT_CHECK(::mkdtemp(pattern.data()) != nullptr) << pattern;
  path_ = pattern;
}

TempDir::~TempDir() {
  if (GetEnv("CVTRAIN_KEEP_TEMP_DIRS").has_value()) {
    std::fprintf(stderr, "kept %s\n", path_.c_str());
    return;
  }
  const absl::Status removed = PosixFileSystem().RemoveAll(path_);
  if (!removed.ok()) std::fprintf(stderr, "%s\n", removed.ToString().c_str());
}

std::string TempDir::operator/(absl::string_view name) const { return JoinPath(path_, name); }

}  // namespace cvtrain::testing
