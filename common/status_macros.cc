#include "common/status_macros.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace cvtrain::internal {

CheckFailure::CheckFailure(const char* file, int line, const char* condition)
    : stream_(std::make_unique<std::ostringstream>()) {
  *stream_ << file << ":" << line << ": CVT_CHECK failed: " << condition << " ";
}

CheckFailure::~CheckFailure() {
  const std::string text = static_cast<std::ostringstream&>(*stream_).str();
  std::fprintf(stderr, "%s\n", text.c_str());
  std::fflush(stderr);
  std::abort();
}

void CheckOk(const char* file, int line, const absl::Status& status) {
  if (!status.ok()) CheckFailure(file, line, "is OK").stream() << status.ToString();
}

}  // namespace cvtrain::internal
