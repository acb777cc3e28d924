#include "common/env.h"

#include <cstdlib>

namespace cvtrain {

std::optional<std::string> GetEnv(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

}  // namespace cvtrain
